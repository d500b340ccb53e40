"""Which events count at an as_of, and for how much: the future is dropped, cancellations applied.

Everything that looks at events (interests, popularity, models, labels) starts here, so that all
of them agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Events, EventType, ValueTransform
from ebb.interests.netting import DUST as _DUST

COLUMNS = ("event_id", "user_id", "item_id", "event_type", "event_ts", "weight")


def transform_value(transform: ValueTransform | None, value: Column) -> Column:
    """v of weight = a * v; an event without a value counts as v = 1."""
    if transform is None:
        return F.lit(1.0)
    match transform.transform:
        case "none":
            v = value
        case "log1p":
            v = F.log1p(F.greatest(value, F.lit(0.0)))
        case "clip":
            v = F.least(F.greatest(value, F.lit(transform.low)), F.lit(transform.high))
    return F.when(value.isNull(), F.lit(1.0)).otherwise(v)


def weight_of(types: Mapping[str, EventType], event_type: Column, value: Column) -> Column:
    """weight = a * v of an event; 0 for a cancelling one, null for an unknown type."""
    weight = F.lit(None).cast("double")
    for name, kind in types.items():
        a = 0.0 if kind.effect == "cancel" else kind.weight
        own = F.lit(a) * transform_value(kind.value, value)
        weight = F.when(event_type == name, own).otherwise(weight)
    return weight


def acted(events: DataFrame, settings: Events) -> DataFrame:
    """What users did: all events but those of what they were shown."""
    return events.where(~F.col("event_type").isin(*settings.shown)) if settings.shown else events


def counted(events: DataFrame, settings: Events, as_of: datetime, *also: str) -> DataFrame:
    """Events strictly before `as_of` with their weight after cancellations.

    A cancelling event takes its quantity (the size of its value, 1 without one) back from the
    latest earlier events of the same user, item and order that still have some. Only
    cancellations before `as_of` act. What is wholly cancelled is left out; cancelling events
    themselves are never counted, nor is what was only shown.

    Parameters
    ----------
    also : more columns of `events` to keep.

    Returns
    -------
    DataFrame of event_id, user_id, item_id (empty for itemless types), event_type, event_ts,
    weight.
    """
    kept = (*COLUMNS, *also)
    known = acted(events, settings).where(F.col("event_ts") < F.lit(as_of))
    cancelled_by = settings.cancelled_by()
    if not cancelled_by:
        return known.select(*kept)
    stacked = known.withColumn("stack", stack_of(cancelled_by))
    is_cancel = F.col("event_type").isin(sorted(set(cancelled_by.values())))
    # Few (user, item) ever see a cancellation: only those pay for the ordering.
    theirs = [F.col(name).alias(f"cancelled_{name}") for name in PAIR]
    pairs = stacked.where(is_cancel).select(*theirs).distinct()
    same = [F.col(name).eqNullSafe(F.col(f"cancelled_{name}")) for name in PAIR]
    marked = stacked.join(pairs, on=same, how="left")
    has_cancel = F.col("cancelled_user_id").isNotNull()
    plain = marked.where(~has_cancel)
    netted = _net(marked.where(has_cancel), settings.types, is_cancel)
    return plain.select(*kept).unionByName(netted.select(*kept))


PAIR = ("user_id", "item_id", "order_id", "stack")


def stack_of(cancelled_by: Mapping[str, str]) -> Column:
    """The cancelling type that an event belongs with; null where nothing can take it back."""
    stack = F.lit(None).cast("string")
    for target, canceller in cancelled_by.items():
        stack = F.when(F.col("event_type").isin(target, canceller), F.lit(canceller)).otherwise(
            stack
        )
    return stack


def _net(events: DataFrame, types: Mapping[str, EventType], is_cancel: Column) -> DataFrame:
    """What is left of each event: last in, first out, in closed form.

    The units that are still there form a stack whose height is the running balance, held at 0
    from below (a cancellation of more than there is takes nothing back that came later).
    An event's units lie between the height before it and after it, and survive up to the lowest
    height that ever follows.
    """
    pair = Window.partitionBy(*PAIR).orderBy("event_ts", is_cancel, "event_id")
    so_far = pair.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    from_here = pair.rowsBetween(Window.currentRow, Window.unboundedFollowing)
    quantity = F.when(is_cancel, F.abs(F.coalesce("value", F.lit(1.0)))).otherwise(
        F.greatest(F.coalesce("value", F.lit(1.0)), F.lit(0.0))
    )
    balance = F.sum(F.when(is_cancel, -F.col("quantity")).otherwise(F.col("quantity")))
    remaining = F.least(
        F.col("quantity"),
        F.greatest(
            F.lit(0.0), F.min("height").over(from_here) - F.col("height") + F.col("quantity")
        ),
    )
    heights = (
        events.withColumn("quantity", quantity)
        .withColumn("balance", balance.over(so_far))
        .withColumn(
            "height",
            F.col("balance") - F.least(F.lit(0.0), F.min("balance").over(so_far)),
        )
    )
    kept = heights.withColumn("remaining", remaining).where(
        ~is_cancel
        & ((F.col("quantity") == 0) | (F.col("remaining") > F.col("quantity") * F.lit(_DUST)))
    )
    partly = F.col("remaining") < F.col("quantity") * F.lit(1.0 - _DUST)
    rest = weight_of(types, F.col("event_type"), F.col("remaining"))
    return kept.withColumn("weight", F.when(partly, rest).otherwise(F.col("weight")))
