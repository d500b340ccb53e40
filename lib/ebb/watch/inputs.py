"""Which inputs are watched: numbers of users and items, and what people do with what.

Numbers that grow with the calendar whatever people do (`tenure_days`, `age_days`) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.durations import format_duration
from ebb.features.settings import Features

_OF_USERS = (
    "n", "recency_days", "active_days", "sessions", "events_per_session", "median_gap_hours",
    "repeat_share",
)  # fmt: skip
_OF_ITEMS = (
    "n", "users", "recency_days", "popularity", "velocity", "audience_entropy", "repeat_share",
)  # fmt: skip


def numbers_of_users(settings: Features, facets: Sequence[str]) -> dict[str, Column]:
    """Name to column of `user_features`; an entry of a map is named ``entropy.category``."""
    entries = [("events_in", format_duration(window)) for window in settings.activity]
    entries += [(name, facet) for name in ("entropy", "divergence") for facet in facets]
    mapped = {f"{name}.{key}": F.try_element_at(F.col(name), F.lit(key)) for name, key in entries}
    return {name: F.col(name) for name in _OF_USERS} | mapped


def numbers_of_items() -> dict[str, Column]:
    """Name to column of `item_features`."""
    return {name: F.col(name) for name in _OF_ITEMS}


def mixes(
    events: DataFrame,
    items: DataFrame,
    now: datetime,
    before: datetime,
    window: timedelta,
    shown: Sequence[str] = (),
) -> DataFrame:
    """of, name, is_now, bin: of each event of the window before `now`, and of that before
    `before`, its type and each category of its item.

    Parameters
    ----------
    events : item_id, event_type, event_ts. items : item_id, categories; one row an item.
    shown : event types of what was only shown: whose categories are ours, not the users'.
    """

    def within(until: datetime) -> Column:
        at = F.col("event_ts")
        return (at >= F.lit(until - window)) & (at < F.lit(until))

    # An event may lie in both.
    sides = F.array_compact(
        F.array(F.when(within(now), F.lit(True)), F.when(within(before), F.lit(False)))
    )
    type_ = F.struct(F.lit("event_type").alias("name"), F.col("event_type").alias("bin"))
    none = F.array().cast("array<string>")
    own = F.when(F.col("event_type").isin(*shown), none).otherwise(F.array_distinct("categories"))
    categories = F.coalesce(own, none)
    of_items = F.transform(
        categories, lambda key: F.struct(F.lit("category").alias("name"), key.alias("bin"))
    )
    listed = events.where(within(now) | within(before)).join(items, on="item_id", how="left")
    return listed.select(
        F.explode(sides).alias("is_now"), F.concat(F.array(type_), of_items).alias("mixes")
    ).select(F.lit("events").alias("of"), "is_now", F.inline("mixes"))
