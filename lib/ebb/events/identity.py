"""Exactly once: an id for every event, and what becomes of each row.

An event has the source's own id, or a hash of its fields with the occurrence number among
identical rows of one file: two files that overlap then coincide, and real repeats survive.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

CONFLICT = "conflict: event_id was seen before with other fields"
_PAYLOAD = ("user_id", "item_id", "event_type", "event_ts", "value", "text", "order_id", "context")
# Columns that only the deciding needs.
_WORKING = (
    "payload", "place", "own_id", "parses", "first_payload", "copy", "known_payload", "known",
)  # fmt: skip


def payload_hash() -> Column:
    """Hash of an event's fields. Each is led by its length, so that ("1", "23") and ("12", "3")
    differ, and a missing field differs from an empty one."""
    in_order = F.to_json(F.map_from_entries(F.array_sort(F.map_entries("context"))))
    texts = {
        "event_ts": F.unix_micros("event_ts").cast("string"),
        # -0.0 and 0.0 are one value.
        "value": (F.col("value") + F.lit(0.0)).cast("string"),
        "context": F.when(F.col("context").isNotNull(), in_order),
    }
    fields = [texts.get(name, F.col(name)) for name in _PAYLOAD]
    parts = [
        F.coalesce(F.concat(F.length(f).cast("string"), F.lit(":"), f), F.lit("~")) for f in fields
    ]
    return F.md5(F.concat(*parts))


def with_ids(rows: DataFrame, keep_identical: Column) -> DataFrame:
    """Add payload (hash of the fields) and event_id to judged rows.

    A refused row is known by its raw text instead: rows that lack everything would all share one
    hash, and one task. Rows with equal ids end up in one partition, so `with_fate` needs no
    second shuffle.

    Parameters
    ----------
    keep_identical : true where identical rows of one file are real repeats
        (``identical_rows: keep``).
    """
    good = F.size("reasons") == 0
    own = F.when(good, F.col("own_id"))
    placed = (
        # Only what may still be refused carries its text along; to make it for each row is dear.
        rows.withColumn("raw", F.when(~good | own.isNotNull(), F.col("raw")))
        .withColumn("payload", F.when(good, payload_hash()).otherwise(F.md5("raw")))
        .withColumn("place", F.coalesce(own, "payload"))
        .repartition("place")
    )
    identical = Window.partitionBy("place", "file_id", "payload").orderBy("payload")
    number = F.when(keep_identical, F.row_number().over(identical)).otherwise(F.lit(1))
    made = F.md5(F.concat_ws("#", "payload", number.cast("string")))
    return placed.withColumn("event_id", F.coalesce(own, made))


def with_fate(rows: DataFrame, existing: DataFrame) -> DataFrame:
    """Decide each row's fate: `new`, `repeated` or `quarantined`.

    Parameters
    ----------
    rows : of `with_ids`.
    existing : event_id and payload of events taken in before, those that may meet these ids;
        the payload is empty where the id itself is made of it.

    Returns
    -------
    DataFrame: rows with fate, and `CONFLICT` among the reasons of an id met with other fields;
    file, file_id and raw are left to quarantined ones.
    """
    same_id = Window.partitionBy("place", "event_id").orderBy("payload")
    known = existing.select(
        "event_id", F.col("payload").alias("known_payload"), F.lit(True).alias("known")
    )
    met = (
        rows.withColumn("first_payload", F.first("payload").over(same_id))
        .withColumn("copy", F.row_number().over(same_id))
        .join(known, on="event_id", how="left")
    )
    bad = F.size("reasons") > 0
    conflict = F.col("payload") != F.coalesce("known_payload", "first_payload")
    is_copy = F.col("known").isNotNull() | (F.col("copy") > 1)
    fate = (
        F.when(bad | conflict, F.lit("quarantined"))
        .when(is_copy, F.lit("repeated"))
        .otherwise(F.lit("new"))
    )
    reasons = F.when(~bad & conflict, F.array(F.lit(CONFLICT))).otherwise(F.col("reasons"))
    decided = met.withColumn("fate", fate).withColumn("reasons", reasons)
    is_refused = F.col("fate") == "quarantined"
    # Of the others nobody asks which line of which file they were.
    origin = {name: F.when(is_refused, F.col(name)) for name in ("file", "file_id", "raw")}
    return decided.withColumns(origin).drop(*_WORKING)
