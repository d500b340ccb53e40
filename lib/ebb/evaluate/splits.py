"""What is known and what is to be foreseen: splits of events in time, never per user at random.

A random split of each user's events lets a model learn from what came after its test events: what
is popular, and which items there are. Here everything before an instant is known and nothing after
it; the one exception, leave-one-out, says what is wrong with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

# So many label windows must lie before an as_of.
_LEAST_PAST = 2


@dataclass(frozen=True)
class Split:
    """Events strictly before `as_of` are known, those in [as_of, until) are to be foreseen.

    Raises
    ------
    ValueError
        When an instant has no zone, or `until` is not after `as_of`.
    """

    as_of: datetime
    until: datetime

    def __post_init__(self) -> None:
        for instant in (self.as_of, self.until):
            if instant.tzinfo is None:
                raise ValueError(f"{instant} has no zone; expected an instant such as in UTC")
        if self.until <= self.as_of:
            raise ValueError(f"until {self.until}: expected an instant after as_of {self.as_of}")

    def has_past(self, first: datetime) -> bool:
        """Whether what is known goes back two label windows' length: with less there is too little
        to learn from. `first` is the first event's instant."""
        return self.as_of - first >= (self.until - self.as_of) * _LEAST_PAST

    def known(self, events: DataFrame) -> DataFrame:
        """The events strictly before as_of."""
        return events.where(F.col("event_ts") < F.lit(self.as_of))

    def to_foresee(self, events: DataFrame) -> DataFrame:
        """The events in [as_of, until); `slates.labels_after` makes labels of them."""
        at = F.col("event_ts")
        return events.where((at >= F.lit(self.as_of)) & (at < F.lit(self.until)))


def time_split(as_of: datetime, horizon: timedelta) -> Split:
    """The main split: known before `as_of`, labels in [as_of, as_of + horizon)."""
    return Split(as_of, as_of + horizon)


def rolling_nights(
    last: datetime, horizon: timedelta, nights: int, step: timedelta | None = None
) -> list[Split]:
    """Splits at `last`, and at so many steps before it; the latest first.

    One as_of is one draw: what holds on several nights is no accident of one. Where `step` is
    shorter than `horizon` the label windows overlap; a user is in several nights anyhow, so that
    intervals over pooled nights must draw users, not rows (`significance.paired_bootstrap`).

    Parameters
    ----------
    nights : how many, at least 1.
    step : between as_of; default the horizon, so that no event is foreseen twice.

    Raises
    ------
    ValueError
        When `nights` is below 1, or step or horizon is not above zero.
    """
    step = horizon if step is None else step
    if nights < 1 or step <= timedelta(0):
        raise ValueError(f"nights {nights}, step {step}: expected at least 1, and above zero")
    return [time_split(last - step * place, horizon) for place in range(nights)]


def leave_one_out(events: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Hold out each user's last event. For comparison with papers only: it flatters.

    Each user is cut at another instant, so a model that is fitted on the known part has seen, by
    other users' later events, what will be popular and which items will come; and it is asked for
    the very next thing, moments after the event before, of every user as often, active or not. No
    night could know that much. Ji, Sun, Zhang & Li (2023), A critical study on data leakage in
    recommender system offline evaluation, ACM TOIS, show rankings of models turning over.

    Parameters
    ----------
    events : user_id, item_id, event_id, event_ts, ...; those that may be labels, with an item and a
        weight above 0.

    Returns
    -------
    tuple of DataFrame
        The known events and the held-out ones, with the columns of `events`. Ties of event_ts go by
        event_id. A user's only event is known.
    """
    of_user = Window.partitionBy("user_id")
    latest_first = of_user.orderBy(F.desc("event_ts"), F.desc("event_id"))
    is_held_out = (F.row_number().over(latest_first) == 1) & (F.count("*").over(of_user) > 1)
    marked = events.withColumn("is_held_out", is_held_out)
    known = marked.where(~F.col("is_held_out")).drop("is_held_out")
    return known, marked.where("is_held_out").drop("is_held_out")


def sixty_twenty_twenty(
    events: DataFrame, resolution: timedelta = timedelta(hours=1)
) -> tuple[Split, Split]:
    """Train, validation and test by time: 60, 20 and 20 % of the events.

    Parameters
    ----------
    events : event_ts.
    resolution : the instants are the first whole multiples of it (since 1970, UTC) that at least
        60 % and 80 % of the events lie before: exact, whatever the order of rows.

    Returns
    -------
    tuple of Split
        Validation, from the first instant to the second, and test, from there to just after the
        last event. Fit on `validation.known(events)` to choose, and on `test.known(events)` to
        judge. Runs a job.

    Raises
    ------
    ValueError
        When the events are too few, or too close together, for three parts.
    """
    first, second, end = _instants(events, (0.6, 0.8), resolution)
    if not first < second < end:
        raise ValueError(
            f"the events end at {end}, before three parts of them can begin at multiples of "
            f"{resolution}; expected more of them, or a finer resolution"
        )
    return Split(first, second), Split(second, end)


def _instants(
    events: DataFrame, shares: Sequence[float], resolution: timedelta
) -> tuple[datetime, ...]:
    """An instant a share, and the one just after the last event."""
    width = resolution // timedelta(microseconds=1)
    micros = F.unix_micros("event_ts")
    slots = events.groupBy(F.floor(micros / width).alias("slot")).agg(
        F.count("*").alias("events"), F.max(micros).alias("last")
    )
    # As many rows as the log has slots of time: they don't grow with its users or events.
    rows = slots.orderBy("slot").collect()
    if not rows:
        raise ValueError("there are no events to split")
    up_to = list(accumulate(row["events"] for row in rows))
    reached = [bisect_left(up_to, share, key=lambda n: n / up_to[-1]) for share in shares]
    found = [*((rows[place]["slot"] + 1) * width for place in reached), rows[-1]["last"] + 1]
    return tuple(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at) for at in found)
