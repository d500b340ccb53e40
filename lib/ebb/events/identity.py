"""Exactly once: an id for every event, and what becomes of each row.

An event has the source's own id, or a hash of its fields with the occurrence number among
identical rows of one file: two files that overlap then coincide, and real repeats survive.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

CONFLICT = "conflict: event_id was seen before with other fields"
_PAYLOAD = ("user_id", "item_id", "event_type", "event_ts", "value", "text", "order_id", "context")


def payload_hash() -> Column:
    """Hash of an event's fields. Each is led by its length, so that ("1", "23") and ("12", "3")
    differ, and a missing field differs from an empty one."""
    texts = {
        "event_ts": F.unix_micros("event_ts").cast("string"),
        # -0.0 and 0.0 are one value.
        "value": (F.col("value") + F.lit(0.0)).cast("string"),
        "context": F.to_json(F.map_from_entries(F.array_sort(F.map_entries("context")))),
    }
    fields = [texts.get(name, F.col(name)) for name in _PAYLOAD]
    parts = [
        F.coalesce(F.concat(F.length(f).cast("string"), F.lit(":"), f), F.lit("~")) for f in fields
    ]
    return F.md5(F.concat(*parts))


def with_ids(rows: DataFrame, keep_identical: Column) -> DataFrame:
    """Add payload (hash of the fields) and event_id to judged rows.

    Parameters
    ----------
    keep_identical : true where identical rows of one file are real repeats
        (``identical_rows: keep``).
    """
    hashed = rows.withColumn("payload", payload_hash())
    identical = Window.partitionBy("file_id", "payload", F.size("reasons") > 0).orderBy("raw")
    number = F.when(keep_identical & F.col("own_id").isNull(), F.row_number().over(identical))
    made = F.md5(F.concat_ws("#", "payload", F.coalesce(number, F.lit(1)).cast("string")))
    return hashed.withColumn("event_id", F.coalesce(F.col("own_id"), made))


def with_fate(rows: DataFrame, existing: DataFrame) -> DataFrame:
    """Decide each row's fate: `new`, `repeated` or `quarantined`.

    Parameters
    ----------
    rows : with event_id, payload and reasons.
    existing : event_id and payload of events taken in before, those that may meet these ids.

    Returns
    -------
    DataFrame: rows with fate, and `CONFLICT` among the reasons of an id met with other fields.
    """
    good = F.size("reasons") == 0
    same_id = Window.partitionBy("event_id", good).orderBy("payload", "file", "raw")
    first = F.first("payload").over(same_id)
    known = existing.select(
        "event_id", F.col("payload").alias("known_payload"), F.lit(True).alias("known")
    )
    met = (
        rows.withColumn("first_payload", first)
        .withColumn("copy", F.row_number().over(same_id))
        .join(known, on="event_id", how="left")
    )
    settled = F.coalesce(F.col("known_payload"), F.col("first_payload"))
    conflict = good & (F.col("payload") != settled)
    is_copy = F.col("known").isNotNull() | (F.col("copy") > 1)
    fate = (
        F.when(~good | conflict, F.lit("quarantined"))
        .when(is_copy, F.lit("repeated"))
        .otherwise(F.lit("new"))
    )
    reasons = F.when(conflict, F.array(F.lit(CONFLICT))).otherwise(F.col("reasons"))
    return met.withColumn("fate", fate).withColumn("reasons", reasons).drop(
        "first_payload", "copy", "known_payload", "known"
    )
