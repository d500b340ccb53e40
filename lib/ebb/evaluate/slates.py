"""Slates against what users then did: metrics of `metrics.py` over everybody, in native Spark."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.evaluate.metrics import ideal_gain


def labels_after(
    events: DataFrame, as_of: datetime, until: datetime, exclude_pairs: DataFrame | None = None
) -> DataFrame:
    """What users did in the label window [as_of, until): each user and item once.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight, after cancellations seen from `until`. Itemless
        events and weights at or below 0 (dislikes) are no labels.
    exclude_pairs : user_id, item_id that don't count, e.g. what a user had before `as_of` where
        slates leave that out.

    Returns
    -------
    DataFrame of user_id, item_id.
    """
    in_window = (F.col("event_ts") >= F.lit(as_of)) & (F.col("event_ts") < F.lit(until))
    wanted = F.col("item_id").isNotNull() & (F.col("weight") > 0)
    labels = events.where(in_window & wanted).select("user_id", "item_id").distinct()
    if exclude_pairs is None:
        return labels
    excluded = exclude_pairs.select("user_id", "item_id")
    return labels.join(excluded, on=["user_id", "item_id"], how="left_anti")


def evaluate_slates(slates: DataFrame, labels: DataFrame, n: int, eligible_items: int) -> DataFrame:
    """Recall, NDCG, hit rate, MRR and coverage of slates at n.

    Parameters
    ----------
    slates : user_id, rank (from 1), item_id; no item twice in a slate. Ranks above n are ignored.
    labels : user_id, item_id, distinct, of the users to be judged: those known at as_of who then
        did something. A user without a slate scores 0 and stays in the mean.
    eligible_items : how many items could have been recommended.

    Returns
    -------
    DataFrame of metric (``recall@10``, ...), value, users (how many were judged). Values are means
    over users; coverage is the number of distinct items in all the given slates, judged or not,
    over `eligible_items`. Without a user to judge there are no rows but coverage, and none for
    it without an eligible item: no figure rather than a made-up 0.
    """
    served = slates.where(F.col("rank") <= n).select("user_id", "rank", "item_id")
    means = _judge(served, labels, n).agg(
        F.avg("recall").alias(f"recall@{n}"),
        F.avg("ndcg").alias(f"ndcg@{n}"),
        F.avg("hit").alias(f"hit_rate@{n}"),
        F.avg("reciprocal").alias(f"mrr@{n}"),
        F.count("*").alias("users"),
    )
    distinct_items = served.agg(F.countDistinct("item_id").alias("items"))
    covered = F.when(F.lit(eligible_items) > 0, F.col("items") / F.lit(float(eligible_items)))
    # One row on either side.
    summary = means.crossJoin(distinct_items.select(covered.alias(f"coverage@{n}")))
    names: list[Column | str] = [name for name in summary.columns if name != "users"]
    return (
        summary.unpivot("users", names, "metric", "value")
        .where(F.col("value").isNotNull())
        .select("metric", "value", "users")
    )


def _judge(served: DataFrame, labels: DataFrame, n: int) -> DataFrame:
    """One row a labelled user: recall, ndcg, hit, reciprocal; from one merge with the truth."""
    truth = labels.select("user_id", "item_id")
    merged = truth.join(served, on=["user_id", "item_id"], how="left")
    is_hit = F.col("rank").isNotNull()
    gain = F.when(is_hit, 1.0 / F.log2(F.col("rank") + 1)).otherwise(0.0)
    return (
        merged.groupBy("user_id")
        .agg(
            F.count("*").alias("labels"),
            F.count("rank").alias("hits"),
            F.sum(gain).alias("gain"),
            F.min("rank").alias("first"),
        )
        .select(
            (F.col("hits") / F.col("labels")).alias("recall"),
            (F.col("gain") / _ideal(F.least("labels", F.lit(n)), n)).alias("ndcg"),
            (F.col("hits") > 0).cast("double").alias("hit"),
            F.coalesce(1.0 / F.col("first"), F.lit(0.0)).alias("reciprocal"),
        )
    )


def _ideal(hits: Column, n: int) -> Column:
    gains = F.array(*[F.lit(ideal_gain(k)) for k in range(n + 1)])
    return F.get(gains, hits.cast("int"))
