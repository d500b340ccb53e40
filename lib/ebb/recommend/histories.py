"""A user's past as slates see it: one row a (user, item), then arrays, a user at a time.

The Spark part (`history_rows`) makes the rows; the numpy part (`read_histories`) runs on
executors, inside Arrow batches, and never sees more than its own users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.config import Recommend, Train
from ebb.models.pairs import decayed_weight
from ebb.rounding import significant

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

# A net weight within this part of the weights' sizes is the rounding of float sums, not a dislike.
_DUST = 1e-9
_WEIGHTS = ("history", "profile", "confidence")
_COLUMNS = ("user_id", "item_id", *_WEIGHTS, "disliked", "n", "last_ts")


@dataclass(frozen=True)
class History:
    """What one user did before as_of: one entry a distinct item, by the item's place.

    Attributes
    ----------
    items : (k,) places in the catalogue, ascending.
    history, profile, confidence : (k,) decayed net weight under `recommend.history_half_life`,
        `recommend.neighbours.profile_half_life` and `train.half_life`, to 6 significant digits.
    disliked : (k,) the weights add up to less than nothing, as they stand or decayed.
    n, last_ts : (k,) how often the user took the item, and when last (microseconds since 1970);
        0 where they never did.
    """

    user_id: str
    items: Integers
    history: Doubles
    profile: Doubles
    confidence: Doubles
    disliked: Booleans
    n: Integers
    last_ts: Integers

    def profile_entries(self, weights: Doubles, at_least: float, limit: int) -> Integers:
        """Entries that a model may learn from: taken, not disliked, of enough weight.

        Of more than `limit`, the latest taken (ties by item), so that one user can't cost what
        thousands do. Ascending.
        """
        wanted = (self.n > 0) & ~self.disliked & (weights > 0) & (weights >= at_least)
        entries = np.flatnonzero(wanted)
        if len(entries) > limit:
            newest_first = np.lexsort((entries, -self.last_ts[entries]))
            entries = np.sort(entries[newest_first[:limit]])
        return entries


def history_rows(
    events: DataFrame, users: DataFrame, as_of: datetime, recommend: Recommend, train: Train
) -> DataFrame:
    """One row a (user, item) with its decayed weights, and one without item a user to score.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.
    users : user_id, distinct.

    Returns
    -------
    DataFrame of user_id, item_id, history, profile, confidence, disliked, n, last_ts; a user's
    rows lie together in one partition, the row that marks it as to be scored first.
    """
    took = F.col("weight") > 0
    sizes = F.sum(F.abs(F.col("weight")))
    decayed_sizes = F.sum(F.abs(decayed_weight(as_of, recommend.history_half_life)))
    pairs = (
        events.where(F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id")
        .agg(
            F.sum(decayed_weight(as_of, recommend.history_half_life)).alias("history"),
            F.sum(decayed_weight(as_of, recommend.neighbours.profile_half_life)).alias("profile"),
            F.sum(decayed_weight(as_of, train.half_life)).alias("confidence"),
            (F.sum("weight") < -_DUST * sizes).alias("net_below"),
            decayed_sizes.alias("decayed_sizes"),
            F.count_if(took).alias("n"),
            F.max(F.when(took, F.col("event_ts"))).alias("last_ts"),
        )
        .withColumn(
            "disliked", F.col("net_below") | (F.col("history") < -_DUST * F.col("decayed_sizes"))
        )
        # Rounded as the fit rounds its ratings: from here on the same bits on any cluster.
        .withColumns({name: significant(F.col(name)) for name in _WEIGHTS})
        .select(*_COLUMNS)
    )
    rows = pairs.unionByName(users.select("user_id"), allowMissingColumns=True)
    # A number of its own keeps the adaptive planner from merging partitions that are small in
    # bytes: scoring costs by the user.
    partitions = int(events.sparkSession.conf.get("spark.sql.shuffle.partitions") or "200")
    return rows.repartition(partitions, "user_id").sortWithinPartitions("user_id", "item_id")


def read_histories(
    batches: Iterable[pa.RecordBatch], places: Mapping[str, int]
) -> Iterator[History]:
    """Turn the rows of `history_rows` into one `History` a user to score.

    A user may spread over several batches. Users without the row that marks them are passed over.

    Parameters
    ----------
    places : item_id to its place in the catalogue.
    """
    rest: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        if rest is not None:
            table = pa.concat_tables([rest, table])
        starts = _user_starts(table)
        yield from _split(table, starts, places)
        rest = table.slice(starts[-1]) if len(starts) else rest
    if rest is not None:
        yield from _split(rest, np.append(_user_starts(rest), len(rest)), places)


def _user_starts(table: pa.Table) -> Integers:
    """Rows at which a user begins."""
    users = table.column("user_id").combine_chunks()
    if len(users) == 0:
        return np.zeros(0, dtype=np.int64)
    changes = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.flatnonzero(changes) + 1)).astype(np.int64)


def _split(table: pa.Table, starts: Integers, places: Mapping[str, int]) -> Iterator[History]:
    """The users between consecutive starts."""
    if len(starts) < 2:
        return
    table = table.slice(0, starts[-1]).combine_chunks()
    users = table.column("user_id").take(pa.array(starts[:-1])).to_pylist()
    marked = table.column("item_id").is_null().to_numpy(zero_copy_only=False)
    ids = table.column("item_id").to_pylist()
    # -1 for the marking row; every other item is in the catalogue, which holds all touched items.
    items = np.array([-1 if i is None else places[i] for i in ids], dtype=np.int64)
    weights = {name: _numbers(table, name) for name in _WEIGHTS}
    disliked = _numbers(table, "disliked").astype(bool)
    n = _numbers(table, "n").astype(np.int64)
    last_ts = _micros(table)
    for user, start, end in zip(users, starts[:-1], starts[1:], strict=True):
        if not marked[start]:
            continue
        own = slice(start + 1, end)
        yield History(
            user_id=user,
            items=items[own],
            disliked=disliked[own],
            n=n[own],
            last_ts=last_ts[own],
            **{name: values[own] for name, values in weights.items()},
        )


def _numbers(table: pa.Table, name: str) -> Doubles:
    column = table.column(name).cast(pa.float64())
    numbers: Doubles = column.fill_null(0.0).to_numpy()
    return numbers


def _micros(table: pa.Table) -> Integers:
    instants = table.column("last_ts").cast(pa.int64()).fill_null(0)
    micros: Integers = instants.to_numpy()
    return micros
