"""How much is going on around each item: the decayed sum of everybody's weights."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.models.pairs import decayed_weight
from ebb.rounding import significant


def popularity(events: DataFrame, as_of: datetime, half_life: timedelta | None) -> DataFrame:
    """Score items by sum of weight * 2^(-age / half_life) over all users' events.

    Parameters
    ----------
    events : item_id, event_ts, weight; all strictly before `as_of`. Itemless events are left
        out; weights below 0 take away.
    half_life : None counts every event with its plain weight, however old.

    Returns
    -------
    DataFrame of item_id, score (rounded to 6 significant digits, so that ties are ties), n (the
    events that count). Items without an event have no row.
    """
    return (
        events.where(F.col("item_id").isNotNull())
        .groupBy("item_id")
        .agg(F.sum(decayed_weight(as_of, half_life)).alias("sum"), F.count("*").alias("n"))
        .select("item_id", significant(F.col("sum")).alias("score"), "n")
    )
