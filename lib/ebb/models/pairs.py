"""What a user holds of an item, as the models see it, and dense numbers for string ids."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.columns import age_days, curve_column
from ebb.interests.curves import Exponential

# monotonically_increasing_id is the partition's number, shifted, plus the row's place in it.
_PLACE_BITS = 33
# A net weight within this part of the weights' sizes is the rounding of sums, not a dislike.
_DUST = 1e-9


def decayed_weight(as_of: datetime, half_life: timedelta | None) -> Column:
    """weight * 2^(-age / half_life) of an event; the plain weight without a half-life."""
    weight = F.col("weight")
    if half_life is None:
        return weight
    curve = Exponential(curve="exponential", half_life=half_life)
    return weight * curve_column(curve, age_days(as_of, F.col("event_ts")))


def pair_weights(
    events: DataFrame, as_of: datetime, half_lives: Mapping[str, timedelta | None]
) -> DataFrame:
    """What each user holds of each item; itemless events are left out.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.
    half_lives : a column's name to the half-life of its sums; None is flat, without decay.

    Returns
    -------
    DataFrame of user_id, item_id, one decayed sum of weights a half-life (may be below 0 after
    dislikes), n (events with a weight above 0), days (distinct UTC days with one), last_ts (the
    latest of them, else null), disliked (the weights add up to less than nothing, as they stand
    or under one of the half-lives).
    """
    took = F.col("weight") > 0
    sums = [F.sum(decayed_weight(as_of, h)).alias(name) for name, h in half_lives.items()]
    below = [_is_below(decayed_weight(as_of, h)) for h in {None, *half_lives.values()}]
    return (
        events.where(F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id")
        .agg(
            *sums,
            F.count_if(took).alias("n"),
            F.size(F.collect_set(F.when(took, F.to_date("event_ts")))).alias("days"),
            F.max(F.when(took, F.col("event_ts"))).alias("last_ts"),
            reduce(Column.__or__, below).alias("disliked"),
        )
    )


def _is_below(weight: Column) -> Column:
    return F.sum(weight) < F.lit(-_DUST) * F.sum(F.abs(weight))


def taken(pairs: DataFrame) -> DataFrame:
    """The pairs that models may learn from: taken, and not disliked."""
    return pairs.where((F.col("n") > 0) & ~F.col("disliked"))


def item_codes(pairs: DataFrame) -> DataFrame:
    """Numbers 0, 1, ... for the items of `pairs`, in the order of their ids.

    The distinct items pass through one task, which sorts them (spilling if it must): the item
    side is taken to be small against users and events. Lazy; nothing is stored.

    Returns
    -------
    DataFrame of item_id, item (int).
    """
    distinct = pairs.select("item_id").distinct().repartition(1).sortWithinPartitions("item_id")
    return distinct.select("item_id", F.monotonically_increasing_id().cast("int").alias("item"))


def user_codes(pairs: DataFrame) -> DataFrame:
    """Numbers 0, 1, ... for the users of `pairs`, in the order of their ids, in parallel.

    Sorts by range partitions and adds, to a user's place in its partition, the number of users
    in the partitions before. Runs a job; the result is persisted, and the caller unpersists it.

    Returns
    -------
    DataFrame of user_id, user (int).

    Raises
    ------
    OverflowError
        When there are more users than a 32-bit number can name, which is MLlib's limit.
    """
    numbered = (
        pairs.select("user_id")
        .distinct()
        .sort("user_id")
        .select("user_id", F.monotonically_increasing_id().alias("number"))
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    partition = F.shiftright("number", _PLACE_BITS)
    # One row a partition of the sort, not a user.
    sizes = numbered.groupBy(partition.alias("part")).count().sort("part").collect()
    offsets, total = {}, 0
    for row in sizes:
        offsets[row["part"]], total = total, total + row["count"]
    if total >= 2**31:
        numbered.unpersist()
        raise OverflowError(f"{total} users: MLlib's ALS numbers users with 32 bits")
    place = F.col("number").bitwiseAND(F.lit((1 << _PLACE_BITS) - 1))
    coded = numbered.select(
        "user_id", (place + _lookup(offsets, partition)).cast("int").alias("user")
    )
    coded = coded.persist(StorageLevel.MEMORY_AND_DISK)
    coded.count()
    numbered.unpersist()
    return coded


def _lookup(values: dict[int, int], key: Column) -> Column:
    """The value of a key in a small driver-side dict, as an expression."""
    if not values:
        return F.lit(0)
    entries = [F.lit(x) for entry in values.items() for x in entry]
    return F.element_at(F.create_map(*entries), key)
