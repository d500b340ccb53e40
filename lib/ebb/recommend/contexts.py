"""In what context items are taken, and users were last: by keys of the events' context.

Only looks at the events that it is given, all strictly before an instant; writes no table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.models.pairs import decayed_weight
from ebb.rounding import significant

# Of a key, so many of its values are told apart; a key with more, such as a session, says little.
_MOST_VALUES = 1000


def items_by_context(
    events: DataFrame, keys: tuple[str, ...], as_of: datetime, half_life: timedelta
) -> DataFrame:
    """How much each item was taken in each value of each key.

    Parameters
    ----------
    events : item_id, event_ts, weight, context; all strictly before `as_of`.

    Returns
    -------
    DataFrame of key, value, item_id, taken: the sum of weight * 2^(-age / half_life) over takes
    (weight above 0), to 6 significant digits; of the 1,000 values of each key that were taken most.
    """
    took = events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    said = [F.struct(F.lit(key).alias("key"), _value(key).alias("value")) for key in keys]
    each = took.select(
        "item_id", decayed_weight(as_of, half_life).alias("taken"), F.inline(F.array(*said))
    ).where(F.col("value").isNotNull())
    taken = significant(F.sum("taken")).alias("taken")
    of_items = each.groupBy("key", "value", "item_id").agg(taken).where(F.col("taken") > 0)
    of_values = each.groupBy("key", "value").agg(taken)
    most_taken_first = Window.partitionBy("key").orderBy(F.desc("taken"), "value")
    kept = of_values.withColumn("place", F.row_number().over(most_taken_first)).where(
        F.col("place") <= _MOST_VALUES
    )
    return of_items.join(
        F.broadcast(kept.select("key", "value")), on=["key", "value"], how="left_semi"
    )


def latest_contexts(events: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """The value of each key in the latest event of each user that has one.

    Parameters
    ----------
    events : user_id, event_id, event_ts, context.

    Returns
    -------
    DataFrame of user_id, context (array, in the order of `keys`, with null where no event of the
    user has the key); ties by event_id.
    """
    latest = [
        F.max_by(
            _value(key), F.when(_value(key).isNotNull(), F.struct("event_ts", "event_id"))
        ).alias(f"latest_{place}")
        for place, key in enumerate(keys)
    ]
    names = [f"latest_{place}" for place in range(len(keys))]
    found = events.groupBy("user_id").agg(*latest)
    return found.select("user_id", F.array(*names).alias("context"))


def _value(key: str) -> Column:
    return F.try_element_at("context", F.lit(key))
