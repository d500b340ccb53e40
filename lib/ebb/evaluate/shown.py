"""Of what users were shown, the share that they took: in native Spark, from what was logged."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

METRIC = "taken_of_shown"
# Everything that was shown, whoever chose it; and of it what the slates held.
EVERYTHING, SLATES = "shown", "ebb"
_PAIR = ["user_id", "item_id"]


def taken_of_shown(shown: DataFrame, events: DataFrame, slates: DataFrame) -> DataFrame:
    """The share taken of the items that a user was shown, in the mean over users shown any.

    An item counts once a user, and as taken where the user took it (a weight above 0) at or after
    the first time that it was shown.

    Parameters
    ----------
    shown : user_id, item_id, event_ts, of a label window.
    events : user_id, item_id, event_ts, weight: counted as seen from the window's end, of it.
    slates : user_id, item_id: what was recommended at the window's beginning.

    Returns
    -------
    DataFrame of model (`EVERYTHING`; `SLATES` for the items of the user's slate alone), metric,
    value, users. A row is missing where nobody was shown anything of the sort.
    """
    first = shown.groupBy(*_PAIR).agg(F.min("event_ts").alias("first_shown"))
    took = events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    last = took.groupBy(*_PAIR).agg(F.max("event_ts").alias("last_taken"))
    of_slates = slates.select(*_PAIR, F.lit(True).alias("in_slate"))
    is_taken = F.coalesce(F.col("last_taken") >= F.col("first_shown"), F.lit(False)).cast("double")
    by_user = (
        first.join(last, on=_PAIR, how="left")
        .join(of_slates, on=_PAIR, how="left")
        .withColumn("is_taken", is_taken)
        .groupBy("user_id")
        .agg(
            F.avg("is_taken").alias(EVERYTHING),
            F.avg(F.when(F.col("in_slate"), F.col("is_taken"))).alias(SLATES),
        )
    )
    means = [
        F.struct(F.lit(m).alias("model"), F.avg(m).alias("value"), F.count(m).alias("users"))
        for m in (EVERYTHING, SLATES)
    ]
    return (
        by_user.agg(F.array(*means).alias("means"))
        .select(F.inline("means"))
        .where(F.col("value").isNotNull())
        .select("model", F.lit(METRIC).alias("metric"), "value", "users")
    )
