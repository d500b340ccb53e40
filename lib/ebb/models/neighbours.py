"""Items that the same people take: a shrunk cosine over decayed weights, in native Spark."""

from __future__ import annotations

from datetime import datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Neighbours
from ebb.models.pairs import item_codes, pair_weights
from ebb.rounding import significant
from ebb.storage import stored


def fit_neighbours(events: DataFrame, as_of: datetime, settings: Neighbours) -> DataFrame:
    """The nearest items of each item.

    With w_ui = max(0, sum of weight * 2^(-age / half_life)) over u's events on i, and only u's
    `history` most recently met items counted:
    s_ij = sum_u w_ui w_uj / (|w_i| |w_j| + shrinkage), |w_i| = sqrt(sum_u w_ui^2).

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.

    Returns
    -------
    DataFrame of item_id, neighbour_id, rank (1, 2, ... `neighbours` at most), similarity (rounded
    to 6 significant digits before ranking; ties by neighbour_id). An item that nobody took
    together with another has no row. Runs jobs (the item ids and norms are broadcast) and comes
    back persisted: unpersist it once it is written.
    """
    weights = pair_weights(events, as_of, settings.half_life).where(F.col("weight") > 0)
    with stored(weights) as pairs, stored(item_codes(pairs)) as codes:
        coded = pairs.join(codes, on="item_id", how="inner")
        with stored(recent_histories(coded, settings.history)) as histories:
            nearest = _nearest(_co_taken(histories), _norms(histories), codes, settings)
            nearest = nearest.persist(StorageLevel.MEMORY_AND_DISK)
            nearest.count()
    return nearest


def recent_histories(weights: DataFrame, length: int) -> DataFrame:
    """Each user's `length` most recently met items, ties by item.

    Parameters
    ----------
    weights : user_id, item (int), weight, last_ts; one row a user and item.

    Returns
    -------
    DataFrame of history: array of (item, weight), ordered by item.
    """
    met = F.struct((-F.unix_micros("last_ts")).alias("newest_first"), "item", "weight")
    recent = F.slice(F.sort_array(F.collect_list(met)), 1, length)
    return (
        weights.groupBy("user_id")
        .agg(recent.alias("recent"))
        .select(F.sort_array(F.arrays_zip("recent.item", "recent.weight")).alias("history"))
    )


def _co_taken(histories: DataFrame) -> DataFrame:
    """Sum of w_ui w_uj over users, once for each item < other that one user has both of."""
    placed = histories.where(F.size("history") > 1).select(
        "history", F.posexplode("history").alias("place", "one")
    )
    # `place` counts from 0 and slice from 1: the entries after this one start at place + 2.
    later = F.slice("history", F.col("place") + 2, F.size("history"))
    return (
        placed.select("one", F.explode(later).alias("two"))
        .groupBy(F.col("one.item").alias("item"), F.col("two.item").alias("other"))
        .agg(F.sum(F.col("one.weight") * F.col("two.weight")).alias("dot"))
    )


def _norms(histories: DataFrame) -> DataFrame:
    """|w_i| of each item, over the same capped histories."""
    return (
        histories.select(F.inline("history").alias("item", "weight"))
        .groupBy("item")
        .agg(F.sqrt(F.sum(F.col("weight") * F.col("weight"))).alias("norm"))
    )


def _nearest(
    dots: DataFrame, norms: DataFrame, codes: DataFrame, settings: Neighbours
) -> DataFrame:
    one = F.broadcast(norms)
    two = F.broadcast(norms.select(F.col("item").alias("other"), F.col("norm").alias("other_norm")))
    cosine = F.col("dot") / (F.col("norm") * F.col("other_norm") + F.lit(settings.shrinkage))
    similar = (
        dots.where(F.col("dot") > 0)  # 0 where the product underflows
        .join(one, on="item", how="inner")
        .join(two, on="other", how="inner")
        .select("item", "other", significant(cosine).alias("similarity"))
    )
    both_ways = similar.select(
        F.inline(
            F.array(
                F.struct(F.col("item").alias("item"), F.col("other").alias("other"), "similarity"),
                F.struct(F.col("other").alias("item"), F.col("item").alias("other"), "similarity"),
            )
        )
    )
    # Codes are in the order of the ids: a tie by code is a tie by neighbour_id.
    nearest_first = Window.partitionBy("item").orderBy(F.desc("similarity"), F.asc("other"))
    kept = both_ways.withColumn("rank", F.row_number().over(nearest_first)).where(
        F.col("rank") <= settings.neighbours
    )
    names = F.broadcast(codes)
    neighbour_names = F.broadcast(
        codes.select(F.col("item").alias("other"), F.col("item_id").alias("neighbour_id"))
    )
    return (
        kept.join(names, on="item", how="inner")
        .join(neighbour_names, on="other", how="inner")
        .select("item_id", "neighbour_id", "rank", "similarity")
    )
