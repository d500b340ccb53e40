"""Boosted trees fitted on top of the blend, distributed over Spark (LambdaMART, Burges 2010).

The blend's weighted sum is where boosting begins, so that without a tree the ranker is the blend.
Users are dealt to the workers by their number and each worker's rows are sorted, so that the same
rows give the same bytes with the same number of workers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.ranker.settings import Ranker

_SEED = 7
_BINS = 256


def fit_trees(
    rows: DataFrame, names: tuple[str, ...], weights: Mapping[str, float], settings: Ranker
) -> bytes:
    """Fit trees on a training set; runs jobs.

    Parameters
    ----------
    rows : label_from, user_id, item_id, group_id, is_label, features of `training_sets`.
    names : of the blend's features, which come first in each row's.
    weights : of the blend, by name.

    Returns
    -------
    The model as xgboost stores it (UBJSON).
    """
    from xgboost.spark import SparkXGBRanker

    # It tells every step of a fit; a night tells its own.
    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    ranker = SparkXGBRanker(
        features_col="features",
        label_col="label",
        qid_col="number",
        base_margin_col="margin",
        num_workers=settings.workers,
        n_estimators=settings.trees,
        max_depth=settings.depth,
        learning_rate=settings.eta,
        min_child_weight=settings.min_child_weight,
        reg_lambda=settings.l2,
        subsample=settings.subsample,
        objective="rank:ndcg",
        # Of no effect beside margins; at 0 the trees' sum is what is predicted without them.
        base_score=0.0,
        tree_method="hist",
        max_bin=_BINS,
        random_state=_SEED,
        verbosity=0,
    )
    fitted = ranker.fit(_dealt(rows, names, weights, settings.workers))
    return bytes(fitted.get_booster().save_raw("ubj"))


def _dealt(
    rows: DataFrame, names: tuple[str, ...], weights: Mapping[str, float], workers: int
) -> DataFrame:
    """What the workers get: users by their number in turn, a user's rows by item."""
    # Numbered in one task: a row a user and window, as many as the configuration allows.
    in_order = Window.orderBy("label_from", "user_id")
    groups = rows.select("label_from", "user_id").distinct()
    numbered = groups.withColumn("number", F.row_number().over(in_order) - 1)
    return (
        rows.join(F.broadcast(numbered), on=["label_from", "user_id"], how="inner")
        .select(
            "number",
            "item_id",
            F.col("is_label").cast("double").alias("label"),
            margin(names, weights).alias("margin"),
            "features",
        )
        .repartitionById(workers, F.col("number") % workers)
        .sortWithinPartitions("number", "item_id")
    )


def margin(names: tuple[str, ...], weights: Mapping[str, float]) -> Column:
    """The blend's weighted sum of `features`, its terms added one after the other."""
    total = F.lit(0.0)
    for place, name in enumerate(names):
        if weight := weights.get(name, 0.0):
            total = total + F.lit(weight) * F.col("features")[place].cast("double")
    return total
