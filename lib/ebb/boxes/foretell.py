"""The box that foretells interests: a small network, judged against the decayed past."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.inputs import counted_events, versions
from ebb.boxes.labels import items_in, labels_made, sections_of_keys
from ebb.context import Night
from ebb.durations import days
from ebb.evaluate.significance import sampled_users
from ebb.evaluate.splits import Split, rolling_nights
from ebb.events.catalogue import versions_at
from ebb.foretell.learn import Learned, learn, require_torch
from ebb.foretell.pasts import Pasts
from ebb.foretell.rows import gathered, met_around, met_before
from ebb.foretell.settings import Foretell
from ebb.hashes import short_hash
from ebb.schema import EVENTS, FORETELLERS, ITEMS, NEXT_INTERESTS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

SECTIONS = ("events", "items", "evaluate.horizon", "foretell")
_STEP = "foretell"


def foretell(night: Night, log: RunLog) -> Outcome | None:
    """Learn from what was known before as_of, and foretell everybody's next period."""
    settings, facet = night.config.foretell, night.config.foretold_facet
    if settings is None:
        return None
    require_torch()

    def work(stamp: Stamp) -> StepRun:
        with foretelling(night, settings) as one:
            return one.run(stamp)

    inputs = {**versions(night, EVENTS, ITEMS), **labels_made(night, (facet,))}
    stamp = stamp_for(night, _STEP, (*SECTIONS, *sections_of_keys(night)), inputs)
    return run_step(night, log, NEXT_INTERESTS, stamp, work)


@dataclass(frozen=True)
class Foretelling:
    """What a night foretells from.

    Attributes
    ----------
    known : counted events before as_of. items : versions that hold then.
    """

    night: Night
    settings: Foretell
    known: DataFrame
    items: DataFrame

    @property
    def facet(self) -> str:
        return self.night.config.foretold_facet

    @property
    def period(self) -> timedelta:
        return self.settings.period or self.night.config.evaluate.horizon

    def windows(self, many: int) -> list[Split]:
        """The periods before as_of that have a past, `many` at most, the latest first."""
        first = self.known.agg(F.min("event_ts")).collect()[0][0]
        periods = rolling_nights(self.night.as_of - self.period, self.period, many)
        return [one for one in periods if first and one.has_past(first.astimezone(UTC))]

    def run(self, stamp: Stamp) -> StepRun:
        tables, spark = self.night.tables, self.night.spark
        many = self.settings.judged + self.settings.periods
        learned = learn(self.pasts(self.windows(many)), self.settings)
        entries = [self._entry(learned, stamp)] if learned else []
        entered = spark.createDataFrame(entries, FORETELLERS.schema).coalesce(1)
        tables.write_slice(FORETELLERS, entered, stamp)
        empty = spark.createDataFrame([], NEXT_INTERESTS.schema)
        # They come last: their commit says that both tables are there.
        foretold = self._foretold(learned) if learned else empty
        written = tables.write_slice(NEXT_INTERESTS, foretold, stamp).rows_written
        said = learned.verdict.sentence if learned else "too little was met again to learn from"
        return StepRun({"next_interests": written}, f"{written:,} interests {said}")

    def pasts(self, windows: list[Split]) -> list[Pasts]:
        """Of a sample of users at the beginning of each window; runs jobs."""
        if not windows:
            return []
        night, settings = self.night, self.settings
        users = sampled_users(self.known.select("user_id"), settings.users).distinct()
        events = night.tables.read(EVENTS).where(F.col("event_ts") < F.lit(night.as_of))
        theirs = events.join(F.broadcast(users), on="user_id", how="left_semi")
        with stored(theirs) as sample:
            met = met_around(sample, self.items, self.facet, windows, night.config.events)
            return gathered(met, settings, len(windows))

    def _foretold(self, learned: Learned) -> DataFrame:
        from ebb.foretell.asked import foretold_by
        from ebb.foretell.model import ship_foreteller

        as_of = self.night.as_of
        met = met_before(self.known, self.items, self.facet, as_of, self.period)
        name = ship_foreteller(self.night.spark.sparkContext, learned.raw)
        by = "network" if learned.verdict.serves else "decayed"
        rows = foretold_by(met, name, by, self.settings.top)
        named = {"as_of": F.lit(as_of), "facet": F.lit(self.facet)}
        return rows.withColumns(named).select(*NEXT_INTERESTS.schema.names)

    def _entry(self, learned: Learned, stamp: Stamp) -> tuple[object, ...]:
        """The row of `foretellers`."""
        found, half_life = learned.verdict, learned.half_life * days(self.period)
        parameters = {name: str(v) for name, v in self.settings.model_dump(mode="json").items()}
        return (
            self.night.as_of, self.facet, short_hash(learned.raw),
            found.serves, found.sentence, days(self.period), learned.rows,
            found.network, found.decayed, found.ahead.value, found.ahead.low, found.ahead.high,
            found.ahead.users, half_life if math.isfinite(half_life) else None,
            parameters, learned.raw, dict(stamp.inputs),
        )  # fmt: skip


@contextmanager
def foretelling(night: Night, settings: Foretell) -> Iterator[Foretelling]:
    """What there is to foretell from, for as long as the `with` lasts."""
    facets = (night.config.foretold_facet,)
    catalogue = versions_at(items_in(night, facets, night.as_of), night.as_of)
    with stored(counted_events(night)) as known, stored(catalogue) as items:
        yield Foretelling(night, settings, known, items)
