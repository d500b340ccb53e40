"""Slates against what users then did: metrics a user, and their means, in native Spark.

The metrics are those of `metrics.py` and `beyond_accuracy.py`, at several cut-offs from one merge
of slates with the truth. Nothing here reads or writes tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.evaluate import expressions
from ebb.evaluate.catalogue import catalogue_metrics
from ebb.evaluate.facts import Facts
from ebb.evaluate.merge import merge

_EVALUATED = ("recall", "ndcg", "hit_rate", "mrr")


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


def user_metrics(
    slates: DataFrame,
    labels: DataFrame,
    ks: Sequence[int],
    facts: Facts | None = None,
    models: Sequence[str] | None = None,
) -> DataFrame:
    """Every metric at every k, for each model and each user with labels.

    Parameters
    ----------
    slates : model, user_id, rank (from 1), item_id; no item twice in a slate.
    labels : user_id, item_id, distinct, of the users to be judged: those known at as_of who then
        did something.
    ks : cut-offs, each at least 1; ranks below the last of them are ignored.
    facts : what novelty, serendipity, diversity and calibration need; each is left out where its
        frames are not given.
    models : names of the models to judge; default those that `slates` has rows of.

    Returns
    -------
    DataFrame, one row a model and user of `labels`, of model, user_id, and doubles of the names
    ``recall@10``, ``precision``, ``ndcg``, ``map``, ``hit_rate``, ``mrr``, ``serendipity`` (0
    without a slate), ``novelty``, ``category_diversity``, ``audience_diversity``, ``calibration``
    (null without a slate, or where nothing is known: see `beyond_accuracy.py`).

    Raises
    ------
    ValueError
        When `ks` is empty or has one below 1.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks {list(ks)}: expected cut-offs of at least 1")
    facts = facts or Facts()
    merged = merge(slates.where(F.col("rank") <= max(ks)), labels, facts, models)
    columns = [_metrics_at(k, facts) for k in sorted(set(ks))]
    named = [column.alias(name) for at_k in columns for name, column in at_k.items()]
    return merged.select("model", "user_id", *named)


def summarise(user_metrics: DataFrame, slices: DataFrame | None = None) -> DataFrame:
    """Means over users: of all, and of each slice of them.

    Parameters
    ----------
    user_metrics : model, user_id, and metrics as `user_metrics` gives them; of several nights where
        they are pooled, which then weigh by their users.
    slices : user_id, slice, one row a user and slice (see `slices.py`); a user may be in several.

    Returns
    -------
    DataFrame of model, metric, slice (``all`` and those given), value, users (rows with a figure).
    A slice where nobody has a figure has no row: no figure rather than a made-up 0.
    """
    everybody = F.array(F.lit("all"))
    tagged = user_metrics
    if slices is not None:
        own = slices.groupBy("user_id").agg(F.collect_set("slice").alias("slices"))
        tagged = tagged.join(own, on="user_id", how="left")
        everybody = F.concat(everybody, F.coalesce("slices", F.array().cast("array<string>")))
    names = [name for name in user_metrics.columns if "@" in name]
    means = [
        F.struct(
            F.lit(name).alias("metric"), F.avg(name).alias("value"), F.count(name).alias("users")
        )
        for name in names
    ]
    return (
        tagged.select("model", F.explode(everybody).alias("slice"), *names)
        .groupBy("model", "slice")
        .agg(F.array(*means).alias("means"))
        .select("model", "slice", F.inline("means"))
        .where(F.col("value").isNotNull())
        .select("model", "metric", "slice", "value", "users")
    )


def evaluate_slates(slates: DataFrame, labels: DataFrame, n: int, eligible_items: int) -> DataFrame:
    """Recall, NDCG, hit rate, MRR and coverage of one model's slates at n, over all users.

    Parameters
    ----------
    slates : user_id, rank (from 1), item_id; no item twice in a slate. Ranks above n are ignored.
    labels : as in `user_metrics`.
    eligible_items : how many items could have been recommended.

    Returns
    -------
    DataFrame of metric (``recall@10``, ...), value, users (how many were judged). Coverage is of
    all the given slates, judged or not. Without a user to judge there are no rows but coverage, and
    none for it without an eligible item.
    """
    only = F.lit("").alias("model")
    named = slates.select(only, "user_id", "rank", "item_id")
    metrics = [f"{name}@{n}" for name in _EVALUATED]
    judged = user_metrics(named, labels, [n], models=[""]).select(only, "user_id", *metrics)
    users = labels.agg(F.countDistinct("user_id").alias("users"))
    # One row on the right.
    covered = (
        catalogue_metrics(named, eligible_items, [n], models=[""])
        .where(F.col("metric") == f"coverage@{n}")
        .select("metric", "value")
        .crossJoin(users)
    )
    return summarise(judged).select("metric", "value", "users").unionByName(covered)


def _metrics_at(k: int, facts: Facts) -> dict[str, Column]:
    slate, hits = F.col("slate"), F.col("hits")
    metrics = expressions.accuracy(hits, F.col("labels"), k)
    if facts.popular is not None:
        metrics[f"serendipity@{k}"] = expressions.serendipity(hits, k)
    if facts.popularity is not None:
        metrics[f"novelty@{k}"] = expressions.novelty(slate, k)
    if facts.categories is not None:
        metrics[f"category_diversity@{k}"] = expressions.pair_diversity(F.col("category_pairs"), k)
    if facts.overlaps is not None:
        pairs = F.col("audience_pairs")
        metrics[f"audience_diversity@{k}"] = expressions.pair_diversity(pairs, k)
    if facts.categories is not None and facts.shares is not None:
        metrics[f"calibration@{k}"] = expressions.calibration(slate, F.col("shares"), k)
    return metrics
