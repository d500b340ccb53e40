"""Judging rows: what a good event needs, and every reason why a row isn't one."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.config import Events, EventSource
from ebb.durations import format_instant
from ebb.events.reading import ORIGIN, parse_time, text_field, text_map
from ebb.interests.counted import weight_of

EVENT_FIELDS = (
    "user_id", "item_id", "event_type", "event_ts", "value", "weight", "text", "order_id",
    "context",
)  # fmt: skip


def mapped_columns(source: EventSource) -> dict[str, str | None]:
    """Our names to the source's, context included, for `reading.read_rows`."""
    columns = source.columns
    plain = columns.model_dump(exclude={"context"})
    return {**plain, **{f"context_{key}": name for key, name in columns.context.items()}}


def judge(rows: DataFrame, reader: EventSource, settings: Events, now: datetime) -> DataFrame:
    """Type the fields of `read_rows`' rows and collect every reason against each.

    Returns
    -------
    DataFrame of the `ORIGIN` columns, own_id (the source's event id), the `EVENT_FIELDS`, and
    reasons (array of text; empty for a good row).
    """
    typed = _typed(rows, reader, settings)
    reasons = F.when(~F.col("parses"), F.array(F.lit("line does not parse"))).otherwise(
        F.array_compact(F.array(*_reasons(reader, settings, now)))
    )
    return typed.withColumn("reasons", reasons).select(*ORIGIN, "own_id", *EVENT_FIELDS, "reasons")


def _typed(rows: DataFrame, reader: EventSource, settings: Events) -> DataFrame:
    time = parse_time(F.col("in_ts"), rows.schema["in_ts"].dataType, reader.timestamp)
    kind = text_field("in_event_type") if reader.event_type is None else F.lit(reader.event_type)
    itemless = sorted(name for name, t in settings.types.items() if t.itemless)
    item = F.when(~F.coalesce(kind.isin(itemless), F.lit(False)), text_field("in_item_id"))
    value = F.col("in_value").try_cast("double")
    typed = rows.select(
        *ORIGIN,
        F.col("in_ts").cast("string").alias("ts_text"),
        F.col("in_value").cast("string").alias("value_text"),
        text_field("in_event_id").alias("own_id"),
        text_field("in_user_id").alias("user_id"),
        item.alias("item_id"),
        kind.alias("event_type"),
        time.alias("event_ts"),
        value.alias("value"),
        text_field("in_text").alias("text"),
        text_field("in_order_id").alias("order_id"),
        text_map("context", reader.columns.context).alias("context"),
    )
    weight = weight_of(settings.types, F.col("event_type"), F.col("value"))
    return typed.withColumn("weight", weight)


def _reasons(reader: EventSource, settings: Events, now: datetime) -> list[Column]:
    """One expression a possible reason: its text where it applies, else null."""
    user, item, kind = F.col("user_id"), F.col("item_id"), F.col("event_type")
    ts, longest = F.col("event_ts"), settings.max_id_length
    with_item = sorted(name for name, t in settings.types.items() if not t.itemless)
    reasons = [
        F.when(user.isNull(), F.lit("missing user_id")),
        F.when(F.length(user) > longest, F.lit(f"user_id longer than {longest}")),
        F.when(item.isNull() & kind.isin(with_item), F.lit("missing item_id")),
        F.when(F.length(item) > longest, F.lit(f"item_id longer than {longest}")),
        F.when(kind.isNull(), F.lit("missing event_type")),
        F.when(~kind.isin(sorted(settings.types)), F.lit("unknown event_type")),
        F.when(ts.isNull() & F.col("ts_text").isNull(), F.lit("missing time")),
        F.when(ts.isNull() & F.col("ts_text").isNotNull(), F.lit("unreadable time")),
        F.when(
            ts > F.lit(now + settings.future_tolerance),
            F.lit("time later than the ingestion clock"),
        ),
        F.when(
            F.col("value").isNull() & F.col("value_text").isNotNull(), F.lit("unreadable value")
        ),
        F.when(
            _not_finite(F.col("value")) | _not_finite(F.col("weight")), F.lit("weight not finite")
        ),
    ]
    if settings.earliest is not None:
        floor = f"time before {format_instant(settings.earliest)}"
        reasons.append(F.when(ts < F.lit(settings.earliest), F.lit(floor)))
    if reader.columns.event_id is not None:
        own = F.col("own_id")
        reasons.append(F.when(own.isNull(), F.lit("missing event_id")))
        reasons.append(F.when(F.length(own) > longest, F.lit(f"event_id longer than {longest}")))
    return reasons


def _not_finite(number: Column) -> Column:
    return F.isnan(number) | (F.abs(number) == float("inf"))
