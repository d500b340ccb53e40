"""Pasts next to the rows that they are made from: native Spark up to Arrow batches of whole users.

What is known at an instant is what was counted there: a purchase that was taken back later still
stood. So each instant has its own look at the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.arrow import changes, whole_groups
from ebb.config import Events as EventSettings
from ebb.evaluate.splits import Split
from ebb.foretell.pasts import (
    CHANNELS,
    FEATURES,
    Booleans,
    Events,
    Integers,
    Pasts,
    Singles,
    pasts_of,
)
from ebb.foretell.settings import Foretell
from ebb.interests.counted import counted
from ebb.interests.keys import with_keys
from ebb.spread import spread_by_user

_ROWS_AT_ONCE = 20_000
PASTS_SCHEMA = (
    "user_id string, instant int, features array<float>, steps array<float>, label double"
)
Batches = Iterator[pa.RecordBatch]


def met_before(
    known: DataFrame, items: DataFrame, facet: str, as_of: datetime, period: timedelta
) -> DataFrame:
    """What users did on keys, as seen from `as_of`. Lazy; returns what `met_around` does.

    Parameters
    ----------
    known : counted events, strictly before `as_of`. items : item versions that hold then.
    """
    return _met(_seen_from(known, as_of, period, 0), items, facet)


def met_around(
    events: DataFrame,
    items: DataFrame,
    facet: str,
    windows: Sequence[Split],
    settings: EventSettings,
) -> DataFrame:
    """What users did on keys before each window and in it, a user's rows together. Lazy.

    Parameters
    ----------
    events : of the table; nothing at or after the end of a window is looked at.
    items : item versions that hold at as_of.

    Returns
    -------
    DataFrame of user_id, instant (place in `windows`), key, age (periods before the window begins;
    0 and below within it), weight, dice (of user and key).
    """
    looks = []
    for place, window in enumerate(windows):
        known = counted(events, settings, window.as_of)
        later = window.to_foresee(counted(events, settings, window.until))
        period = window.until - window.as_of
        looks.append(_seen_from(known.unionByName(later), window.as_of, period, place))
    return _met(reduce(DataFrame.unionByName, looks), items, facet)


def _seen_from(events: DataFrame, at: datetime, period: timedelta, place: int) -> DataFrame:
    micros = F.unix_micros(F.lit(at)) - F.unix_micros("event_ts")
    age = micros / F.lit(period / timedelta(microseconds=1))
    columns = ("user_id", F.lit(place).alias("instant"), "item_id", age.alias("age"), "weight")
    return events.where(F.col("weight") > 0).select(*columns)


def _met(seen: DataFrame, items: DataFrame, facet: str) -> DataFrame:
    met = with_keys(seen, items, (facet,)).drop("facet")
    diced = met.withColumn("dice", F.xxhash64("user_id", "key"))
    # By age and weight as well, so that sums come out the same to the last bit.
    order = ("user_id", "instant", "key", "age", "weight")
    return spread_by_user(diced).sortWithinPartitions(*order)


@dataclass(frozen=True)
class Block:
    """Events of some users at some instants.

    Attributes
    ----------
    users, instants : (groups,) whose and when. keys : (keys,) by number. dice : (keys,)
    """

    users: pa.Array
    instants: Integers
    keys: pa.Array
    dice: Integers
    events: Events


def blocks(batches: Batches) -> Iterator[Block]:
    """Rows of `met_around` in blocks that split no user's instant."""
    for table in whole_groups(batches, ("user_id", "instant"), _ROWS_AT_ONCE):
        users, keys = (table.column(name).combine_chunks() for name in ("user_id", "key"))
        opens_group = changes(table.column("user_id")) | changes(table.column("instant"))
        opens_key = opens_group | changes(table.column("key"))
        events = Events(
            int(opens_group.sum()),
            np.cumsum(opens_group) - 1,
            np.cumsum(opens_key) - 1,
            table.column("age").to_numpy(),
            table.column("weight").to_numpy(),
        )
        yield Block(
            users.filter(pa.array(opens_group)),
            table.column("instant").to_numpy()[opens_group],
            keys.filter(pa.array(opens_key)),
            table.column("dice").to_numpy()[opens_key],
            events,
        )


def pasts_to_learn(steps: int, most: int) -> Callable[[Batches], Batches]:
    """For mapInArrow over `met_around`: rows of `PASTS_SCHEMA`, by user, instant and key.

    Parameters
    ----------
    steps : as `pasts_of` has it. most : keys of a user at an instant, those of the least dice.
    """

    def run(batches: Batches) -> Batches:
        for block in blocks(batches):
            whole = pasts_of(block.events, steps)
            pasts = whole.where(least(whole.group, block.dice[whole.key], most))
            columns = [
                block.users.take(pa.array(pasts.group)),
                pa.array(block.instants[pasts.group], pa.int32()),
                _lists(pasts.features),
                _lists(pasts.steps.reshape(len(pasts), steps * CHANNELS)),
                pa.array(pasts.label),
            ]
            names = ["user_id", "instant", "features", "steps", "label"]
            yield pa.RecordBatch.from_arrays(columns, names)

    return run


def gathered(met: DataFrame, settings: Foretell, instants: int) -> list[Pasts]:
    """The pasts at each instant, by user and key; runs one job.

    Parameters
    ----------
    met : of `met_around`, of so few users that the driver can hold them. instants : of it.
    """
    found = met.mapInArrow(pasts_to_learn(settings.read, settings.keys), PASTS_SCHEMA).toArrow()
    # A user's rows come from one task, by instant and key; users come in any order.
    order = pc.sort_indices(found, [("instant", "ascending"), ("user_id", "ascending")])
    whole = found.take(order).combine_chunks()
    starts = np.searchsorted(whole.column("instant").to_numpy(), np.arange(instants + 1))
    parts = (whole.slice(start, end - start) for start, end in pairwise(starts))
    return [_pasts(part, settings.read) for part in parts]


def _pasts(table: pa.Table, steps: int) -> Pasts:
    """Of the rows of one instant."""
    features, read = (_values(table.column(name)) for name in ("features", "steps"))
    return Pasts(
        np.cumsum(changes(table.column("user_id"))) - 1,
        np.arange(len(table)),
        features.reshape(len(table), FEATURES),
        read.reshape(len(table), steps, CHANNELS),
        table.column("label").to_numpy().copy(),
    )


def _values(lists: pa.ChunkedArray) -> Singles:
    # A copy: torch takes no arrays that can't be written to.
    return np.array(lists.combine_chunks().flatten())


def least(group: Integers, dice: Integers, most: int) -> Booleans:
    """(rows,) whether a row is among the `most` of least dice in its group.

    Parameters
    ----------
    group : (rows,) ascending.
    """
    order = np.lexsort((dice, group))
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - np.searchsorted(group, group[order])
    kept: Booleans = place < most
    return kept


def _lists(rows: Singles) -> pa.Array:
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(rows).ravel()))
