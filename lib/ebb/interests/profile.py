"""A user's keys against each other: share, rank, drift and trend within each facet."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.interests.measures import Interests
from ebb.rounding import significant


def with_profile(rows: DataFrame, settings: Interests) -> DataFrame:
    """Add share, rank, drift and trend to rows of (user_id, facet, key) with their measures.

    With x the measure `rank_by`:

    - ``share``: max(x, 0) over the facet's sum of it, or the softmax of that over `temperature`;
      empty where the sum is 0.
    - ``rank``: 1 for the largest x, rounded to 6 significant digits; equal ones by key, so that
      ranks don't hang on the order of float sums.
    - ``drift``: plain share by `drift.short` minus that by `drift.long`, from -1 to 1; empty where
      either has nothing left. Its absolute sum over a facet, halved, is the total variation
      distance of the two.
    - ``trend``: ``rising`` where drift is at or above `drift.threshold`, ``fading`` where it is at
      or below minus that, else ``steady``.
    """
    facet = Window.partitionBy("user_id", "facet")
    order = facet.orderBy(significant(F.col(settings.rank_by)).desc(), F.col("key"))
    # The rank first: its sort serves the sums below as well.
    ranked = rows.withColumn("rank", F.row_number().over(order))
    shared = _with_share(ranked, settings)
    if settings.drift is None:
        empty = F.lit(None)
        return shared.withColumns({"drift": empty.cast("double"), "trend": empty.cast("string")})
    drift = plain_share(settings.drift.short) - plain_share(settings.drift.long)
    threshold = settings.drift.threshold
    # To nine decimals, so that the last bits of a sum don't decide.
    rounded = F.round("drift", 9)
    trend = (
        F.when(rounded >= threshold, F.lit("rising"))
        .when(rounded <= -threshold, F.lit("fading"))
        .when(F.col("drift").isNotNull(), F.lit("steady"))
    )
    return shared.withColumn("drift", drift).withColumn("trend", trend)


def plain_share(measure: str) -> Column:
    """max(x, 0) over its sum in the user's facet; empty where that sum is 0."""
    positive = F.greatest(F.coalesce(F.col(measure), F.lit(0.0)), F.lit(0.0))
    total = F.sum(positive).over(Window.partitionBy("user_id", "facet"))
    return F.when(total > 0, positive / total)


def _with_share(rows: DataFrame, settings: Interests) -> DataFrame:
    plain = rows.withColumn("share", plain_share(settings.rank_by))
    if settings.share == "plain":
        return plain
    facet = Window.partitionBy("user_id", "facet")
    # Less the largest share, which cancels: the largest term is 1, so that the sum can't overflow
    # and isn't 0.
    least = plain.withColumn("share", F.col("share") - F.max("share").over(facet))
    raised = F.exp(F.col("share") / F.lit(settings.temperature))
    return least.withColumn("share", raised / F.sum(raised).over(facet))
