"""What users were shown (event types with ``effect: shown``), and whether they then took it.

What is shown is no interest: nothing else looks at these events (`interests.counted`). Only looks
strictly before the instant it is asked for; writes no table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Events
from ebb.models.pairs import decayed_weight
from ebb.rounding import significant

_PAIR = ["user_id", "item_id"]


def shown_between(
    events: DataFrame, settings: Events, since: datetime | None, until: datetime
) -> DataFrame:
    """user_id, item_id, event_ts: each time that a user was shown an item in [since, until).

    Parameters
    ----------
    events : the `events` table. since : None is from the beginning.
    """
    shown = events.where(
        F.col("event_type").isin(*settings.shown) & (F.col("event_ts") < F.lit(until))
    )
    if since is not None:
        shown = shown.where(F.col("event_ts") >= F.lit(since))
    return shown.select(*_PAIR, "event_ts")


def passed_over(
    shown: DataFrame, events: DataFrame, as_of: datetime, half_life: timedelta
) -> DataFrame:
    """How often each user was shown each item since they last took it.

    Parameters
    ----------
    shown : of `shown_between`. events : user_id, item_id, event_ts, weight (counted). Both strictly
        before `as_of`.

    Returns
    -------
    DataFrame of user_id, item_id, passed: the sum of 2^(-age / half_life) over the times that lie
    after the user's last take of the item (weight above 0), to 6 significant digits. A row for each
    pair that has such a time.
    """
    took = events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    last = took.groupBy(*_PAIR).agg(F.max("event_ts").alias("last_ts"))
    since = F.col("last_ts").isNull() | (F.col("event_ts") > F.col("last_ts"))
    decayed = decayed_weight(as_of, half_life)
    return (
        shown.withColumn("weight", F.lit(1.0))
        .join(last, on=_PAIR, how="left")
        .where(since)
        .groupBy(*_PAIR)
        .agg(significant(F.sum(decayed)).alias("passed"))
    )


def items_tried(
    shown: DataFrame, events: DataFrame, as_of: datetime, half_life: timedelta
) -> DataFrame:
    """How often each item was taken when it was shown, and how often it wasn't.

    A time that an item was shown to a user is taken where a take of theirs (weight above 0) is what
    comes next of that item, at once or later; each counts 2^(-age / half_life).

    Parameters
    ----------
    shown, events : as of `passed_over`.

    Returns
    -------
    DataFrame of item_id, taken, left, to 6 significant digits.
    """
    took = events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    both = shown.withColumn("is_take", F.lit(False)).unionByName(
        took.select(*_PAIR, "event_ts", F.lit(True).alias("is_take"))
    )
    in_time = Window.partitionBy(*_PAIR).orderBy("event_ts", "is_take")
    times = both.withColumn("is_taken", F.coalesce(F.lead("is_take").over(in_time), F.lit(False)))
    decayed, zero = decayed_weight(as_of, half_life), F.lit(0.0)
    return (
        times.where(~F.col("is_take"))
        .withColumn("weight", F.lit(1.0))
        .groupBy("item_id")
        .agg(
            significant(F.sum(F.when(F.col("is_taken"), decayed).otherwise(zero))).alias("taken"),
            significant(F.sum(F.when(F.col("is_taken"), zero).otherwise(decayed))).alias("left"),
        )
    )
