"""What all slates of a model make of the catalogue: coverage and Gini, in native Spark.

Of everybody's slates, judged or not. The pure functions are in `beyond_accuracy.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def catalogue_metrics(
    slates: DataFrame, eligible_items: int, ks: Sequence[int], models: Sequence[str] | None = None
) -> DataFrame:
    """Coverage and Gini of each model's slates at each k.

    Parameters
    ----------
    slates : model, user_id, rank (from 1), item_id; of eligible items only.
    eligible_items : how many items could have been recommended.
    ks, models : as in `slates.user_metrics`.

    Returns
    -------
    DataFrame of model, metric (``coverage@10``, ``gini@10``), slice (``all``), value, users (those
    with a slate). Without an eligible item there are no rows; without a slate coverage is 0 and
    Gini has no row.
    """
    at_k = F.explode(F.array(*map(F.lit, sorted(set(ks))))).alias("k")
    counts = (
        slates.select("model", "item_id", "rank", at_k)
        .where(F.col("rank") <= F.col("k"))
        .groupBy("model", "k", "item_id")
        .agg(F.count("*").alias("times"))
        .groupBy("model", "k", "times")
        .agg(F.count("*").alias("items"))
    )
    users = slates.groupBy("model").agg(F.countDistinct("user_id").alias("users"))
    wanted = model_names(slates, models).select("model", at_k)
    spread = _spread(counts, eligible_items)
    eligible = F.when(F.lit(eligible_items) > 0, F.lit(float(eligible_items)))
    values = (
        ("coverage", F.coalesce("items", F.lit(0)) / eligible),
        ("gini", F.col("spread") / (eligible * F.col("places"))),
    )
    named = [
        F.struct(F.concat(F.lit(f"{name}@"), F.col("k")).alias("metric"), value.alias("value"))
        for name, value in values
    ]
    return (
        wanted.join(spread, on=["model", "k"], how="left")
        .join(users, on="model", how="left")
        .select("model", F.coalesce("users", F.lit(0)).alias("users"), F.inline(F.array(*named)))
        .where(F.col("value").isNotNull())
        .select("model", "metric", F.lit("all").alias("slice"), "value", "users")
    )


def model_names(slates: DataFrame, models: Sequence[str] | None) -> DataFrame:
    """model: the names given, else those that the slates have rows of."""
    if models is None:
        return slates.select("model").distinct()
    session = slates.sparkSession
    return session.createDataFrame([(name,) for name in models], "model string")


def _spread(counts: DataFrame, eligible_items: int) -> DataFrame:
    """model, k, items, places, and spread, the sum over items of (2 r - E - 1) times.

    The f items recommended `times` times have the places b + 1 to b + f, b being the items less
    often recommended, those never recommended among them: times * f * (2 b + f - E) of the sum.
    """
    # As many rows as there are different numbers of times: few.
    at_k = Window.partitionBy("model", "k")
    fewer = at_k.orderBy("times").rowsBetween(Window.unboundedPreceding, -1)
    never = F.lit(eligible_items) - F.sum("items").over(at_k)
    before = never + F.coalesce(F.sum("items").over(fewer), F.lit(0))
    part = F.col("times") * F.col("items")
    return (
        counts.withColumn("before", before)
        .groupBy("model", "k")
        .agg(
            F.sum("items").alias("items"),
            F.sum(part).alias("places"),
            F.sum(part * (2 * F.col("before") + F.col("items") - eligible_items)).alias("spread"),
        )
    )
