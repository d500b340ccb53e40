"""Each user's events in order: what networks learn from and are asked with. Native Spark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

_HELD_OUT_OF = 1_000_000


@dataclass(frozen=True)
class Vocabulary:
    """What a network knows by number, from 1; 0 is nothing, or an event type unheard of.

    Attributes
    ----------
    items : ids, ascending. takes : (m,) of each, how often it was taken. types : event types.
    """

    items: pa.Array
    takes: npt.NDArray[np.int64]
    types: tuple[str, ...]

    @staticmethod
    def of(events: DataFrame, most: int) -> Vocabulary:
        """The `most` most taken items, ties by id, and all event types; runs jobs.

        Parameters
        ----------
        events : of `takes_of`.
        """
        counts = events.groupBy("item_id").agg(F.count("*").alias("takes"))
        found = counts.orderBy(F.desc("takes"), "item_id").limit(most).toArrow()
        found = found.sort_by("item_id").combine_chunks()
        types = events.select("event_type").distinct().orderBy("event_type").collect()
        return Vocabulary(
            found.column("item_id").combine_chunks().cast(pa.string()),
            found.column("takes").to_numpy().astype(np.int64),
            tuple(row["event_type"] for row in types),
        )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def _numbered(self) -> pa.Table:
        codes = pa.array(np.arange(1, len(self) + 1, dtype=np.int32))
        return pa.table({"item_id": self.items, "item": codes})

    def codes(self, spark: SparkSession) -> DataFrame:
        """item_id, item (its number)."""
        return spark.createDataFrame(self._numbered)

    def type_code(self) -> Column:
        """The number of an event's type."""
        code = F.lit(0)
        for number, name in enumerate(self.types, start=1):
            code = F.when(F.col("event_type") == name, F.lit(number)).otherwise(code)
        return code


def takes_of(events: DataFrame) -> DataFrame:
    """Events of a weight above 0 on an item: what a sequence is made of."""
    return events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))


def sequence_rows(
    events: DataFrame, vocabulary: Vocabulary, as_of: datetime, length: int, history: int
) -> DataFrame:
    """Each user's latest takes, cut into sequences of at most `length`, the latest first.

    Parameters
    ----------
    events : event_id, user_id, item_id, event_type, event_ts, weight; all strictly before `as_of`.
    history : a user's latest takes that come in at all.

    Returns
    -------
    DataFrame of user_id, part (0 is the latest sequence), and three arrays of one length: items,
    types (numbers of `vocabulary`) and days (since as_of, below 0), the earliest event first, ties
    by event_id. Lazy.
    """
    spark = events.sparkSession
    known = takes_of(events).join(F.broadcast(vocabulary.codes(spark)), on="item_id", how="inner")
    newest_first = Window.partitionBy("user_id").orderBy(F.desc("event_ts"), F.desc("event_id"))
    place = F.row_number().over(newest_first)
    micros = F.unix_micros("event_ts") - F.unix_micros(F.lit(as_of))
    one = F.struct(
        F.col("event_ts"),
        F.col("event_id"),
        F.col("item"),
        vocabulary.type_code().alias("type"),
        (micros / F.lit(86_400e6)).alias("day"),
    )
    return (
        known.withColumn("place", place)
        .where(F.col("place") <= history)
        .withColumn("part", F.floor((F.col("place") - 1) / length).cast("int"))
        .groupBy("user_id", "part")
        .agg(F.sort_array(F.collect_list(one)).alias("events"))
        .select(
            "user_id",
            "part",
            F.col("events.item").alias("items"),
            F.col("events.type").alias("types"),
            F.col("events.day").alias("days"),
        )
    )


def is_held_out(share: float) -> Column:
    """Whether a user is one of those that a network is judged by, by a hash of the id."""
    return F.pmod(F.xxhash64(F.lit("held out"), "user_id"), F.lit(_HELD_OUT_OF)) < F.lit(
        round(share * _HELD_OUT_OF)
    )
