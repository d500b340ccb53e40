"""Users' pasts on executors: events by user and key become cells, descriptions and half-lives.

The Spark part (`met_rows`) lays a user's events together; the rest runs inside Arrow batches and
never sees more than a block of users. Of a user's events in a facet only the latest
`MOST_EVENTS` are looked at, which bounds what a robot costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.arrow import changes, whole_groups
from ebb.forgetting.cells import Cells, Grid, cells_of
from ebb.forgetting.described import describe
from ebb.forgetting.forgetters import Models, foresee, half_lives_of
from ebb.forgetting.intensity import by_user
from ebb.forgetting.priors import Prior
from ebb.forgetting.visits import Booleans, Doubles, Integers, Visits, latest, visits_of
from ebb.interests.keys import with_keys
from ebb.spread import spread_by_user

MOST_EVENTS = 20_000
_ROWS_AT_ONCE = 20_000
_MICROS_A_DAY = 86_400_000_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OBSERVED_SCHEMA = (
    "user_id string, cut int, count long, waited double, floor double, excited array<double>, "
    "log_rates array<double>, described array<double>"
)
LEARNED_SCHEMA = (
    "user_id string, half_life_days double, deviation double, returns long, source string, "
    "foreseen_returns long, loglik array<double>, expected array<double>"
)
Batches = Iterator[pa.RecordBatch]


def met_rows(events: DataFrame, items: DataFrame, facet: str) -> DataFrame:
    """user_id, key, event_ts of everything that counts for a key; a user's rows together.

    Parameters
    ----------
    events : counted events; what counts against a key or for nothing is no visit to it.
    items : item versions that hold at as_of.
    """
    liked = events.where(F.col("weight") > 0).select("user_id", "item_id", "event_ts")
    met = with_keys(liked, items, (facet,)).select("user_id", "key", "event_ts")
    return spread_by_user(met).sortWithinPartitions("user_id", "key", "event_ts")


@dataclass(frozen=True)
class Cuts:
    """How pasts are looked at.

    Attributes
    ----------
    as_of : times count from it.
    days : instants, days since as_of, ascending: what is known is looked at as of each.
    gap : the session gap, days.
    """

    as_of: datetime
    days: tuple[float, ...]
    gap: float
    grid: Grid


@dataclass(frozen=True)
class Observed:
    """What a block of users had done at one instant.

    Attributes
    ----------
    waited : (users,) days from the end of a visit to the next of the key, over all returns.
    described : (users, features).
    """

    cells: Cells
    waited: Doubles
    described: Doubles

    @staticmethod
    def of(visits: Visits, cuts: Cuts, until: float) -> Observed:
        waits = np.where(np.isfinite(visits.next_start), visits.next_start - visits.end, 0.0)
        return Observed(
            cells_of(visits, cuts.grid, cuts.gap, until),
            by_user(waits, visits.user, visits.users),
            describe(visits, until),
        )


def observe(cuts: Cuts) -> Callable[[Batches], Batches]:
    """For mapInArrow over `met_rows`: a row a user and cut, of `OBSERVED_SCHEMA`."""

    def run(batches: Batches) -> Batches:
        for block in _blocks(batches, cuts):
            for cut, until in enumerate(cuts.days):
                yield _observed_batch(block.users, cut, block.observed(cuts, until))

    return run


def learn(cuts: Cuts, models: Models | None, prior: Prior) -> Callable[[Batches], Batches]:
    """For mapInArrow over `met_rows`: a row a user, of `LEARNED_SCHEMA`.

    Parameters
    ----------
    cuts : two instants: `models` were fitted at the first, `prior` at the second.
    models : None where there was nothing to fit them on: nothing is foreseen.
    """

    def run(batches: Batches) -> Batches:
        for block in _blocks(batches, cuts):
            now = block.observed(cuts, cuts.days[1])
            found = half_lives_of(now.cells, cuts.grid, prior, now.described)
            columns = {
                "user_id": pa.array(block.users, pa.string()),
                "half_life_days": found.days,
                "deviation": found.deviation,
                "returns": now.cells.count,
                "source": np.where(found.is_own, "own", prior.kind),
            }
            columns |= _foreseen_columns(block.observed(cuts, cuts.days[0]), now, cuts, models)
            yield pa.RecordBatch.from_pydict(columns)

    return run


def _foreseen_columns(
    known: Observed, then: Observed, cuts: Cuts, models: Models | None
) -> dict[str, object]:
    """Of users without a past at the first cut nothing is foreseen: their returns are empty."""
    there = known.cells.floor > 0
    users, numbers = len(there), pa.list_(pa.float64())
    if models is None or not there.any():
        none = pa.nulls(users, numbers)
        return {
            "foreseen_returns": pa.nulls(users, pa.int64()),
            "loglik": none,
            "expected": none,
        }
    found = foresee(known.cells, then.cells, cuts.grid, models, known.described, known.waited)
    return {
        "foreseen_returns": pa.array(found.returns, mask=~there),
        "loglik": _lists(found.loglik, ~there),
        "expected": _lists(found.expected, ~there),
    }


def _observed_batch(users: list[str], cut: int, found: Observed) -> pa.RecordBatch:
    cells = found.cells
    return pa.RecordBatch.from_pydict(
        {
            "user_id": pa.array(users, pa.string()),
            "cut": np.full(len(users), cut, dtype=np.int32),
            "count": cells.count,
            "waited": found.waited,
            "floor": cells.floor,
            "excited": _lists(cells.excited),
            "log_rates": _lists(cells.log_rates.reshape(len(users), -1)),
            "described": _lists(found.described),
        }
    )


def _lists(rows: Doubles, mask: Booleans | None = None) -> pa.Array:
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    flat = pa.array(np.ascontiguousarray(rows).ravel())
    absent = None if mask is None else pa.array(mask)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=absent)


@dataclass(frozen=True)
class _Block:
    """The events of some users, ordered by user, key and time.

    Attributes
    ----------
    user, key : (events,) numbers; keys are numbered across users.
    ts : (events,) days since as_of.
    """

    users: list[str]
    user: Integers
    key: Integers
    ts: Doubles

    def observed(self, cuts: Cuts, until: float) -> Observed:
        """What was known before `until`."""
        known = self.ts < until
        visits = visits_of(
            len(self.users), self.user[known], self.key[known], self.ts[known], cuts.gap
        )
        return Observed.of(visits, cuts, until)


def _blocks(batches: Batches, cuts: Cuts) -> Iterator[_Block]:
    as_of = (cuts.as_of - _EPOCH) // timedelta(microseconds=1)
    for table in whole_groups(batches, ("user_id",), _ROWS_AT_ONCE):
        table = table.combine_chunks()
        opens_user, opens_key = changes(table.column("user_id")), changes(table.column("key"))
        users = table.column("user_id").filter(pa.array(opens_user)).to_pylist()
        user = np.cumsum(opens_user) - 1
        key = np.cumsum(opens_user | opens_key) - 1
        micros = table.column("event_ts").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        ts = (micros.to_numpy() - as_of) / _MICROS_A_DAY
        kept = latest(user, ts, MOST_EVENTS)
        yield _Block(users, user[kept], key[kept], ts[kept])
