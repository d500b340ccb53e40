"""While each event counts: from its own instant on, until a cancellation takes it back.

`counted.py` nets cancellations as of one instant; here the same netting is told for all instants
at once. An event that is taken back piece by piece has several lives, one after the other, each
with the weight of what is left; an instant t sees the one with born < t <= dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.config import Events
from ebb.interests.counted import PAIR, acted, stack_of, weight_of
from ebb.interests.netting import DUST

COLUMNS = ("user_id", "item_id", "event_type", "event_id", "event_ts", "weight", "born", "dies")
_EVENT = ("user_id", "item_id", "event_type", "event_id", "event_ts", "weight")
_MICROS = pa.timestamp("us", tz="UTC")
_ARROW = pa.schema(
    [(name, pa.string()) for name in _EVENT[:4]]
    + [("event_ts", _MICROS), ("weight", pa.float64()), ("born", _MICROS), ("dies", _MICROS)]
    + [("remaining", pa.float64())]
)
_SPARK = (
    "user_id string, item_id string, event_type string, event_id string, event_ts timestamp, "
    "weight double, born timestamp, dies timestamp, remaining double"
)
_LIVES_A_BATCH = 10_000


class Happening(NamedTuple):
    """An event or a cancellation, with `pair` what a cancellation and its targets have in common.

    `ts` is in microseconds since 1970, `quantity` 0 or more; `event` is handed through.
    """

    pair: tuple[Any, ...]
    ts: int
    is_cancel: bool
    quantity: float
    event: tuple[Any, ...]


class Life(NamedTuple):
    """A time during which an event counts: born < t <= dies, without end where `dies` is None.

    `remaining` is the quantity that is left, None while that is all of it.
    """

    event: tuple[Any, ...]
    born: int
    dies: int | None
    remaining: float | None


def lives(events: DataFrame, settings: Events) -> DataFrame:
    """Every event that ever counts, once a life; cancelling events never do, nor what was shown.

    Parameters
    ----------
    events : the `events` table.

    Returns
    -------
    DataFrame of user_id, item_id, event_type, event_id, event_ts, weight, born (null: event_ts),
    dies (null: never).
    """
    events, cancelled_by = acted(events, settings), settings.cancelled_by()
    instants = [F.lit(None).cast("timestamp").alias(name) for name in ("born", "dies")]
    if not cancelled_by:
        return events.select(*_EVENT, *instants)
    is_cancel = F.col("event_type").isin(sorted(set(cancelled_by.values())))
    stacked = events.withColumn("stack", stack_of(cancelled_by)).withColumn("is_cancel", is_cancel)
    # Few (user, item) ever see a cancellation: only those pay for the ordering.
    theirs = [F.col(name).alias(f"cancelled_{name}") for name in PAIR]
    pairs = stacked.where("is_cancel").select(*theirs).distinct()
    same = [F.col(name).eqNullSafe(F.col(f"cancelled_{name}")) for name in PAIR]
    marked = stacked.join(pairs, on=same, how="left")
    has_cancel = F.col("cancelled_user_id").isNotNull()
    netted = (
        marked.where(has_cancel)
        .select(*_EVENT, "value", "order_id", "stack", "is_cancel")
        .repartition(*PAIR)
        .sortWithinPartitions(*PAIR, "event_ts", "is_cancel", "event_id")
        .mapInArrow(_life_batches, _SPARK)
    )
    rest = weight_of(settings.types, F.col("event_type"), F.col("remaining"))
    weight = F.when(F.col("remaining").isNull(), F.col("weight")).otherwise(rest)
    plain = marked.where(~has_cancel).select(*_EVENT, *instants)
    return plain.unionByName(netted.withColumn("weight", weight).select(*COLUMNS))


def lives_of(happenings: Iterable[Happening]) -> Iterator[Life]:
    """The lives of the events among `happenings`: last in, first out.

    Parameters
    ----------
    happenings : those of one pair follow each other, ordered by instant, cancellations last.
    """
    pair: tuple[Any, ...] | None = None
    stack: list[_Standing] = []
    for happening in happenings:
        if happening.pair != pair:
            yield from (standing.until(None) for standing in stack)
            pair, stack = happening.pair, []
        if happening.is_cancel:
            yield from _taken_back(stack, happening.quantity, happening.ts)
        else:
            standing = _Standing(happening.event, happening.quantity, happening.ts)
            if happening.quantity > 0:
                stack.append(standing)
            else:  # nothing of it can be taken back
                yield standing.until(None)
    yield from (standing.until(None) for standing in stack)


class _Standing:
    """An event of which something is left, and since when it is so much."""

    def __init__(self, event: tuple[Any, ...], quantity: float, born: int) -> None:
        self.event, self.quantity, self.left, self.born = event, quantity, quantity, born

    def until(self, dies: int | None) -> Life:
        is_whole = self.left >= self.quantity * (1.0 - DUST)
        return Life(self.event, self.born, dies, None if is_whole else self.left)


def _taken_back(stack: list[_Standing], quantity: float, at: int) -> Iterator[Life]:
    """Take `quantity` off the top of the stack; what more there is to take finds nothing."""
    while quantity > 0 and stack:
        top = stack[-1]
        if top.born < at:
            yield top.until(at)
        taken = min(top.left, quantity)
        quantity -= taken
        top.left -= taken
        top.born = at
        if top.left <= top.quantity * DUST:
            stack.pop()


def _life_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found = lives_of(happening for batch in batches for happening in _happenings(batch))
    while chunk := list(islice(found, _LIVES_A_BATCH)):
        rows = [(*life.event, life.born, life.dies, life.remaining) for life in chunk]
        columns = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), _ARROW, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _happenings(batch: pa.RecordBatch) -> Iterator[Happening]:
    def column(name: str) -> list[Any]:
        values = batch.column(name)
        return list((values.cast(pa.int64()) if name == "event_ts" else values).to_pylist())

    events = zip(*(column(name) for name in _EVENT), strict=True)
    pairs = zip(*(column(name) for name in PAIR), strict=True)
    rest = zip(column("event_ts"), column("is_cancel"), column("value"), strict=True)
    for pair, event, (ts, is_cancel, value) in zip(pairs, events, rest, strict=True):
        given = 1.0 if value is None else value
        yield Happening(pair, ts, is_cancel, abs(given) if is_cancel else max(given, 0.0), event)
