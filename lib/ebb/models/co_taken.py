"""How often two items are taken by the same people: the Gram matrix of users by items.

Neighbours and EASE are both made from it. Each pair of items has two sums over users: flat, the
number of those who took both, and decayed, where an item counts 2^(-age / half_life) by the age of
the user's latest take of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.interests.columns import age_days, halved
from ebb.models.pairs import item_codes
from ebb.storage import stored

KINDS = ("flat", "decayed")


@dataclass(frozen=True)
class CoTaken:
    """Sums over users, from each user's latest items.

    Attributes
    ----------
    codes : item_id, item (int, in the order of the ids).
    dots : item, other (item < other), flat, decayed: the sums of products of two items.
    sizes : item, flat, decayed: the sums of squares of one.
    mean_square : of each of `KINDS`, the mean square of a pair: what one user's worth is.
    """

    codes: DataFrame
    dots: DataFrame
    sizes: DataFrame
    mean_square: dict[str, float]


@contextmanager
def co_taken(
    taken: DataFrame, as_of: datetime, half_life: timedelta, history: int
) -> Iterator[CoTaken]:
    """Sum over everybody's latest items; kept in Spark's storage while the `with` lasts.

    Parameters
    ----------
    taken : user_id, item_id, last_ts; one row a user and item taken (`pairs.taken`).
    history : so many of a user's items are paired, the latest met first, ties by item.
    """
    with stored(item_codes(taken)) as codes:
        coded = taken.join(F.broadcast(codes), on="item_id", how="inner")
        days = half_life / timedelta(days=1)
        decayed = halved(days, age_days(as_of, F.col("last_ts")))
        with stored(_histories(coded.withColumn("decayed", decayed), history)) as histories:
            sizes = _sizes(histories)
            with stored(sizes) as kept_sizes, stored(_dots(histories)) as dots:
                yield CoTaken(codes, dots, kept_sizes, _mean_square(kept_sizes))


def _histories(coded: DataFrame, length: int) -> DataFrame:
    """Each user's latest items: history, an array of (item, decayed) by item."""
    met = F.struct((-F.unix_micros("last_ts")).alias("newest_first"), "item", "decayed")
    latest = F.slice(F.sort_array(F.collect_list(met)), 1, length)
    return (
        coded.groupBy("user_id")
        .agg(latest.alias("latest"))
        .select(F.sort_array(F.arrays_zip("latest.item", "latest.decayed")).alias("history"))
    )


def _dots(histories: DataFrame) -> DataFrame:
    """Each pair that one user has both of, once, with item < other."""
    placed = histories.where(F.size("history") > 1).select(
        "history", F.posexplode("history").alias("place", "one")
    )
    # `place` counts from 0 and slice from 1: the entries after this one start at place + 2.
    later = F.slice("history", F.col("place") + 2, F.size("history"))
    return (
        placed.select("one", F.explode(later).alias("two"))
        .groupBy(F.col("one.item").alias("item"), F.col("two.item").alias("other"))
        .agg(
            F.count(F.lit(1)).cast("double").alias("flat"),
            F.sum(F.col("one.decayed") * F.col("two.decayed")).alias("decayed"),
        )
    )


def _sizes(histories: DataFrame) -> DataFrame:
    return (
        histories.select(F.inline("history").alias("item", "decayed"))
        .groupBy("item")
        .agg(
            F.count(F.lit(1)).cast("double").alias("flat"),
            F.sum(F.col("decayed") * F.col("decayed")).alias("decayed"),
        )
    )


def _mean_square(sizes: DataFrame) -> dict[str, float]:
    """Over all pairs of user and item: 1 for flat, less for decayed."""
    sums = sizes.agg(*(F.sum(kind).alias(kind) for kind in KINDS)).first()
    if sums is None or not sums["flat"]:
        return dict.fromkeys(KINDS, 1.0)
    return {kind: sums[kind] / sums["flat"] for kind in KINDS}
