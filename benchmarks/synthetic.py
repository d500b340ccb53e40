"""Made-up events for the benchmarks: the same at every run, of whatever size, never random.

Every draw is a hash of the event's number, so that a table written twice is equal, however many
tasks write it. A user has some 60 tastes, the first ones strongest: 10 million events of 200,000
users come to 5.8 million pairs of user and item.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from ebb.config import EventType

Ids = Literal["short", "long"]
Skew = Literal["none", "user", "key"]
START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {"view": EventType(weight=1.0), "buy": EventType(weight=3.0)}
_TASTES = 60
_CATEGORIES = 200
_EVENTS_PER_USER = 50
_FILES = 8
_FINE = 1 << 30


@dataclass(frozen=True)
class Made:
    """What to make.

    Attributes
    ----------
    events : number of events; a user has 50 of them on average.
    items : number of items, each of one category of 200.
    days : the events lie in [START, START + days).
    ids : ``short``, a number as text, or ``long``, 36 characters like a UUID.
    skew : ``user``, one user with a tenth of all events, on items of all sorts; ``key``, one item
        with half of all events.
    """

    events: int
    items: int = 20_000
    days: int = 60
    ids: Ids = "short"
    skew: Skew = "none"

    @property
    def users(self) -> int:
        return max(1, self.events // _EVENTS_PER_USER)

    @property
    def as_of(self) -> datetime:
        return START + timedelta(days=self.days)


def write_events(spark: SparkSession, made: Made, path: Path) -> None:
    """Write a Delta table of event_id, user_id, item_id, event_type, event_ts, weight."""
    number = F.col("id")
    user = F.pmod(F.xxhash64(number, F.lit(1)), F.lit(made.users))
    taste = F.floor(F.pow(_uniform(2), 2.2) * _TASTES)
    item = F.pmod(F.xxhash64("user", taste), F.lit(made.items))
    if made.skew == "user":
        is_heavy = _uniform(5) < 0.1
        user = F.when(is_heavy, F.lit(0)).otherwise(user)
        item = F.when(is_heavy, F.floor(_uniform(6) * made.items)).otherwise(item)
    if made.skew == "key":
        item = F.when(_uniform(5) < 0.5, F.lit(0)).otherwise(item)
    second = F.floor(_uniform(3) * made.days * 86_400)
    is_buy = _uniform(4) < 0.1
    events = (
        spark.range(0, made.events, 1, _FILES)
        .withColumn("user", user)
        .select(
            number.cast("string").alias("event_id"),
            _id("user", F.col("user"), made).alias("user_id"),
            _id("item", item, made).alias("item_id"),
            F.when(is_buy, "buy").otherwise("view").alias("event_type"),
            F.timestamp_seconds(F.lit(int(START.timestamp())) + second).alias("event_ts"),
            F.when(is_buy, TYPES["buy"].weight).otherwise(TYPES["view"].weight).alias("weight"),
        )
    )
    events.write.format("delta").save(str(path))


def write_items(spark: SparkSession, made: Made, path: Path) -> None:
    """Write a Delta table of item_id, categories, tags (none), attributes (none)."""
    category = F.pmod(F.xxhash64("id", F.lit(7)), F.lit(_CATEGORIES))
    items = spark.range(0, made.items, 1, 1).select(
        _id("item", F.col("id"), made).alias("item_id"),
        F.array(F.concat(F.lit("category "), category.cast("string"))).alias("categories"),
        F.array().cast("array<string>").alias("tags"),
        F.create_map().cast("map<string,string>").alias("attributes"),
    )
    items.write.format("delta").save(str(path))


def _uniform(draw: int) -> Column:
    """In [0, 1), of the event's number and the number of the draw."""
    return F.pmod(F.xxhash64("id", F.lit(draw)), F.lit(_FINE)) / F.lit(float(_FINE))


def _id(kind: str, number: Column, made: Made) -> Column:
    text = number.cast("string")
    if made.ids == "short":
        return text
    digest = F.md5(F.concat(F.lit(f"{kind} "), text))
    return F.regexp_replace(digest, "^(.{8})(.{4})(.{4})(.{4})", "$1-$2-$3-$4-")
