"""Interests at an as_of, straight from the events: every measure of every facet in one pass.

Exact for every curve: a measure is the sum over a user's events before as_of of
weight * curve(age), and all measures are conditional sums of one groupBy.
"""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Interests, Measure
from ebb.interests.columns import age_days, curve_column
from ebb.rounding import significant

_LIST_FACETS = {"category": "categories", "tag": "tags"}


def interests_from_events(
    events: DataFrame,
    items: DataFrame,
    facets: tuple[str, ...],
    settings: Interests,
    as_of: datetime,
) -> DataFrame:
    """Compute the interests of all users at `as_of`.

    Parameters
    ----------
    events : counted events (`counted.counted`): strictly before `as_of`, cancellations applied.
    items : item versions that hold at `as_of`, one row an item.

    Returns
    -------
    DataFrame of as_of, user_id, facet, key, n, last_ts, one column a measure, share, rank.
    """
    keyed = _with_keys(events, items, facets)
    age = age_days(as_of, F.col("event_ts"))
    measures = [_measure_column(measure, age).alias(measure.name) for measure in settings.measures]
    sums = keyed.groupBy("user_id", "facet", "key").agg(
        F.count(F.lit(1)).alias("n"), F.max("event_ts").alias("last_ts"), *measures
    )
    return _with_share_and_rank(sums, settings).select(
        F.lit(as_of).alias("as_of"),
        "user_id",
        "facet",
        "key",
        "n",
        "last_ts",
        *(measure.name for measure in settings.measures),
        "share",
        "rank",
    )


def _measure_column(measure: Measure, age: Column) -> Column:
    weight = F.lit(1.0) if measure.aggregate == "count" else F.col("weight")
    term = weight * curve_column(measure, age)
    if measure.event_types is not None:
        term = F.when(F.col("event_type").isin(*measure.event_types), term).otherwise(0.0)
    return F.sum(term)


def _with_keys(events: DataFrame, items: DataFrame, facets: tuple[str, ...]) -> DataFrame:
    """One row an event and key; an event on an item without categories has no category key."""
    on_items = events.where(F.col("item_id").isNotNull())
    columns = ("user_id", "event_type", "event_ts", "weight")
    if facets == ("item",):
        return on_items.select(
            *columns, F.lit("item").alias("facet"), F.col("item_id").alias("key")
        )
    keys = items.select("item_id", *(_keys_of(f).alias(f"keys_{f}") for f in facets if f != "item"))
    joined = on_items.join(keys, on="item_id", how="left")
    per_facet = [_facet_keys(facet) for facet in facets]
    exploded = joined.select(*columns, F.explode(F.concat(*per_facet)).alias("at"))
    return exploded.select(*columns, "at.facet", "at.key")


def _keys_of(facet: str) -> Column:
    """An item's keys of a facet, each once."""
    if facet in _LIST_FACETS:
        listed = F.col(_LIST_FACETS[facet])
    else:
        listed = F.array_compact(F.array(F.col("attributes")[facet]))
    return F.array_distinct(F.coalesce(listed, F.array().cast("array<string>")))


def _facet_keys(facet: str) -> Column:
    if facet == "item":
        listed = F.array(F.col("item_id"))
    else:
        listed = F.coalesce(F.col(f"keys_{facet}"), F.array().cast("array<string>"))
    return F.transform(listed, lambda key: F.struct(F.lit(facet).alias("facet"), key.alias("key")))


def _with_share_and_rank(sums: DataFrame, settings: Interests) -> DataFrame:
    """Share and rank of each key in its user's facet, by the measure `rank_by`.

    Plain share: max(x, 0) over the facet's sum of it, empty where that sum is 0. Softmax: over
    plain shares divided by the temperature. Ranks order by the measure rounded to 6 significant
    digits, then by key, so that they don't hang on the order of float sums.
    """
    facet = Window.partitionBy("user_id", "facet")
    positive = F.greatest(F.col(settings.rank_by), F.lit(0.0))
    total = F.sum(positive).over(facet)
    share = F.when(total > 0, positive / total)
    order = facet.orderBy(significant(F.col(settings.rank_by)).desc(), F.col("key"))
    ranked = sums.withColumn("share", share).withColumn("rank", F.row_number().over(order))
    if settings.share == "plain":
        return ranked
    # exp of (share - 1) / temperature stays within (0, 1]: it can't overflow, and the constant
    # factor cancels.
    raised = F.exp((F.col("share") - 1.0) / F.lit(settings.temperature))
    return ranked.withColumn("share", raised / F.sum(raised).over(facet))
