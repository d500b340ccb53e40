"""Vectors of items that somebody else made: which are good, and which hold at an instant."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.events.catalogue import ALWAYS
from ebb.events.reading import ORIGIN, parse_time, text_field
from ebb.hashes import short_hash
from ebb.language.settings import HASH_LENGTH, Given


def version_given(settings: Given) -> str:
    """Names the vectors of a source."""
    named = settings.model_dump_json(include={"kind", "path", "dimension", "columns"})
    return short_hash(named.encode())


def judged_vectors(rows: DataFrame, settings: Given) -> DataFrame:
    """Type the rows of a source, each with the reason that it is refused for, or null.

    Parameters
    ----------
    rows : of `reading.read_rows`, with in_item_id, in_vector and in_valid_from; a vector is an
        array of numbers or, in text, a list as JSON has it.

    Returns
    -------
    DataFrame of the `ORIGIN` columns, user_id (null), item_id, text_hash, vector (of length 1, or
    zeros), valid_from (long ago where the source doesn't say) and reason.
    """
    kinds = {field.name: field.dataType for field in rows.schema}
    since = parse_time(F.col("in_valid_from"), kinds["in_valid_from"], settings.timestamp)
    given = F.col("in_vector")
    if not isinstance(kinds["in_vector"], T.ArrayType):
        given = F.from_json(given.cast("string"), "array<double>")
    typed = rows.select(
        *ORIGIN,
        F.lit(None).cast("string").alias("user_id"),
        text_field("in_item_id").alias("item_id"),
        given.cast("array<double>").alias("given"),
        F.coalesce(since, F.lit(ALWAYS)).alias("valid_from"),
        (since.isNull() & text_field("in_valid_from").isNotNull()).alias("is_unreadable"),
    )
    found = typed.withColumn("reason", _reason(settings.dimension)).withColumn(
        "vector", _of_unit_length(F.col("given")).cast("array<float>")
    )
    named = F.to_json(F.struct("valid_from", "vector"))
    return found.select(
        *(*ORIGIN, "user_id", "item_id"),
        F.substring(F.sha2(named, 256), 1, HASH_LENGTH).alias("text_hash"),
        *("vector", "valid_from", "reason"),
    )


def given_at(vectors: DataFrame, version: str, as_of: datetime) -> DataFrame:
    """item_id and vector that held at an instant.

    That is the latest by valid_from; of several, the one that the last night up to then met or,
    before the first night, the first.

    Parameters
    ----------
    vectors : columns of the table `item_vectors`.
    """
    known = vectors.where((F.col("version") == version) & (F.col("valid_from") < F.lit(as_of)))
    is_met, night = F.col("as_of") <= F.lit(as_of), F.unix_micros("as_of")
    order = F.struct("valid_from", is_met, F.when(is_met, night).otherwise(-night))
    return known.groupBy("item_id").agg(F.max_by("vector", order).alias("vector"))


def _reason(dimension: int) -> Column:
    given = F.col("given")
    same = Window.partitionBy("item_id", "valid_from").orderBy(F.to_json("given"), "raw")
    not_finite = F.exists(
        given, lambda x: x.isNull() | F.isnan(x) | (F.abs(x) == F.lit(float("inf")))
    )
    size = F.concat(
        F.lit("vector: "), F.size(given).cast("string"), F.lit(f" numbers, expected {dimension}")
    )
    return (
        F.when(~F.col("parses"), F.lit("vector: line does not parse"))
        .when(F.col("item_id").isNull(), F.lit("vector: missing item_id"))
        .when(F.col("is_unreadable"), F.lit("vector: unreadable valid_from"))
        .when(given.isNull(), F.lit("vector: missing, or no list of numbers"))
        .when(F.size(given) != dimension, size)
        .when(not_finite, F.lit("vector: not all numbers are finite"))
        .when(F.row_number().over(same) > 1, F.lit("vector: a second one for this item_id"))
    )


def _of_unit_length(vector: Column) -> Column:
    # By the largest first: squares of what is left neither overflow nor vanish.
    largest = F.array_max(F.transform(vector, lambda x: F.abs(x)))
    scaled = F.transform(vector, lambda x: F.when(largest > 0, x / largest).otherwise(F.lit(0.0)))
    squares = F.aggregate(scaled, F.lit(0.0), lambda total, x: total + x * x)
    return F.transform(scaled, lambda x: F.when(squares > 0, x / F.sqrt(squares)).otherwise(x))
