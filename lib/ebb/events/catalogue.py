"""Taking the catalogue in: item versions, from a source with history or from snapshots.

A source that maps valid_from says itself since when a version holds. A source without it is a
snapshot: the first is taken to have been true always (`assumed_static`); what a later one
changes holds from the as_of of the night that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Config, ItemSource
from ebb.durations import format_instant, parse_instant
from ebb.events.ledger import Arrivals, changed_snapshot, enter
from ebb.events.listing import Source
from ebb.events.quarantine import quarantine_snapshot
from ebb.events.reading import ORIGIN, parse_time, read_rows, text_field, text_map
from ebb.schema import ITEMS
from ebb.tables import Stamp, Tables

ALWAYS = parse_instant("1900-01-01T00:00:00Z")
_FIELDS = (
    "title", "text", "categories", "tags", "attributes", "published_at", "available",
)  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """What became of an item source: rows read, versions kept, rows refused by reason."""

    read: int = 0
    versions: int = 0
    refused: int = 0


def ingest_items(tables: Tables, config: Config, as_of: datetime) -> Catalogue:
    """Bring the item versions up to date if a file of the catalogue, or its mapping, changed.

    Parameters
    ----------
    as_of : the night that reads the snapshot; what changed is known strictly before it.
    """
    if config.items is None:
        return Catalogue()
    mapping = config.fingerprint("items")
    source = Source("items", "items", config.items)
    arrived = changed_snapshot(tables, source, mapping)
    if arrived is None:
        return Catalogue()
    judged = _judged(tables, source, config.items, arrived.paths["items"]).persist()
    try:
        good = judged.where(F.col("reason").isNull())
        before = _before(tables, config.items, arrived)
        # Known strictly before the night that read it.
        since = ALWAYS if before is None else as_of - timedelta(microseconds=1)
        versions = _versions(good, before, since)
        stamp = Stamp("ingest", None, mapping, facts={"earliest": format_instant(since)})
        bad = judged.where(F.col("reason").isNotNull())
        refused = quarantine_snapshot(tables, bad, "items", stamp)
        commit = tables.replace(ITEMS, versions, None, stamp)
        enter(tables, arrived.files, "items", "items", datetime.now(UTC), stamp, only=True)
        return Catalogue(read=judged.count(), versions=commit.rows_written, refused=refused)
    finally:
        judged.unpersist()


def versions_at(items: DataFrame, as_of: datetime) -> DataFrame:
    """The item versions known at `as_of`: at most one row an item."""
    until = F.col("valid_to").isNull() | (F.col("valid_to") >= F.lit(as_of))
    return items.where((F.col("valid_from") < F.lit(as_of)) & until)


def _judged(tables: Tables, source: Source, reader: ItemSource, paths: list[str]) -> DataFrame:
    """Typed items, each with the reason it is refused for, or null."""
    columns = reader.columns
    mapped = {
        **columns.model_dump(exclude={"attributes"}),
        **{f"attribute_{name}": column for name, column in columns.attributes.items()},
    }
    rows = read_rows(tables.spark, source, paths, mapped, ["item_id"])
    kinds = {field.name: field.dataType for field in rows.schema}
    published = parse_time(F.col("in_published_at"), kinds["in_published_at"], reader.timestamp)
    since = parse_time(F.col("in_valid_from"), kinds["in_valid_from"], reader.timestamp)
    typed = rows.select(
        *ORIGIN,
        F.lit(None).cast("string").alias("user_id"),
        text_field("in_item_id").alias("item_id"),
        F.coalesce(since, F.lit(ALWAYS)).alias("valid_from"),
        F.trim(text_field("in_title")).alias("title"),
        text_field("in_text").alias("text"),
        _categories(reader).alias("categories"),
        _split(text_field("in_tags"), reader.tag_separator).alias("tags"),
        text_map("attribute", columns.attributes).alias("attributes"),
        published.alias("published_at"),
        _available().alias("available"),
        F.lit(columns.valid_from is None).alias("assumed_static"),
    )
    return typed.withColumn("reason", _reason(typed))


def _reason(typed: DataFrame) -> Column:
    same = Window.partitionBy("item_id", "valid_from").orderBy(
        *(F.to_json(F.struct(*_FIELDS)), F.col("raw"))
    )
    return (
        F.when(~F.col("parses"), F.lit("item: line does not parse"))
        .when(F.col("item_id").isNull(), F.lit("item: missing item_id"))
        .when(F.row_number().over(same) > 1, F.lit("item: a second row for this item_id"))
    )


def _split(text: Column, separator: str | None) -> Column:
    """A list from one field; blank parts and repeats are dropped."""
    parts = F.split(text, _literally(separator)) if separator else F.array(text)
    trimmed = F.transform(parts, lambda part: F.trim(part))
    return F.array_distinct(F.filter(trimmed, lambda part: part.isNotNull() & (part != "")))


def _literally(separator: str) -> str:
    return "\\Q" + separator + "\\E"


def _categories(reader: ItemSource) -> Column:
    """Categories of an item; a path "A > B > C" gives "A", "A > B" and "A > B > C"."""
    listed = _split(text_field("in_categories"), reader.category_separator)
    if reader.category_path is None:
        return listed
    step = reader.category_path
    joint = f" {step.strip()} "

    def ancestors(path: Column) -> Column:
        steps = F.transform(F.split(path, _literally(step)), lambda part: F.trim(part))
        return F.transform(
            F.sequence(F.lit(1), F.size(steps)),
            lambda depth: F.array_join(F.slice(steps, F.lit(1), depth), joint),
        )

    return F.array_distinct(F.flatten(F.transform(listed, ancestors)))


def _available() -> Column:
    """Items are available unless the source says no."""
    said = F.lower(F.trim(F.col("in_available").cast("string")))
    return ~F.coalesce(said.isin("false", "f", "no", "n", "0"), F.lit(False))


def _before(tables: Tables, reader: ItemSource, arrived: Arrivals) -> DataFrame | None:
    """Versions that a snapshot adds to; None where the source itself says all there is to say."""
    last = tables.history(ITEMS, limit=1)
    if not last or reader.columns.valid_from is not None or arrived.reason is not None:
        return None
    return tables.read(ITEMS, version=last[0].version)


def _versions(good: DataFrame, before: DataFrame | None, since: datetime) -> DataFrame:
    found = good.select("item_id", "valid_from", *_FIELDS, "assumed_static")
    return _closed(found if before is None else _with_changes(before, found, since))


def _with_changes(before: DataFrame, found: DataFrame, since: datetime) -> DataFrame:
    """Versions so far and, for each item that the snapshot shows changed, one from `since` on.

    An item gone from the snapshot is no longer available. A version that began at or after
    `since` is replaced by what the newer snapshot says.
    """
    content = F.to_json(F.struct(*_FIELDS))
    current = before.where(F.col("valid_to").isNull())
    gone = (
        current.join(found, on="item_id", how="left_anti")
        .where("available")
        .select("item_id", *_FIELDS)
        .withColumn("available", F.lit(False))
    )
    states = found.select("item_id", *_FIELDS).unionByName(gone)
    known = current.select("item_id", content.alias("known"))
    changed = (
        states.withColumn("content", content)
        .join(known, on="item_id", how="left")
        .where(~F.col("content").eqNullSafe(F.col("known")))
        .select("item_id", F.lit(since).alias("valid_from"), *_FIELDS)
        .withColumn("assumed_static", F.lit(True))
    )
    overtaken = changed.select("item_id", F.col("valid_from").alias("from"))
    kept = (
        before.join(overtaken, on="item_id", how="left")
        .where(F.col("from").isNull() | (F.col("valid_from") < F.col("from")))
        .select("item_id", "valid_from", *_FIELDS, "assumed_static")
    )
    return kept.unionByName(changed)


def _closed(versions: DataFrame) -> DataFrame:
    """Each version holds until the item's next one."""
    item = Window.partitionBy("item_id").orderBy("valid_from")
    return versions.withColumn("valid_to", F.lead("valid_from").over(item))
