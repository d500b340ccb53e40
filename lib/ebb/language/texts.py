"""Texts with their hashes: that of each item, made of a version's fields, and those of events."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.named import MARK
from ebb.interests.named_columns import hash_of, text_name
from ebb.language.settings import LIST_FIELDS, Language


def texts_at(items: DataFrame, as_of: datetime, settings: Language) -> DataFrame:
    """Each item's text at `as_of`: that of the version valid just before it, or of the last one.

    Parameters
    ----------
    items : versions, columns of the table `items`.

    Returns
    -------
    DataFrame of item_id, text_hash, text; one row an item that has a text.
    """
    latest = (
        items.where(F.col("valid_from") < F.lit(as_of))
        .groupBy("item_id")
        .agg(F.max_by(F.struct(*settings.fields), "valid_from").alias("version"))
        .select("item_id", "version.*")
    )
    return _with_texts(latest, settings)


def texts_before(items: DataFrame, as_of: datetime, settings: Language) -> DataFrame:
    """Every text that an item had before `as_of`, once; columns as of `texts_at`."""
    known = items.where(F.col("valid_from") < F.lit(as_of))
    return _with_texts(known, settings).dropDuplicates(["item_id", "text_hash"])


def texts_of_events(events: DataFrame, as_of: datetime, settings: Language) -> DataFrame:
    """Every text of an event before `as_of` that is read, once; columns as of `texts_at`.

    Its item_id is its name (`interests.named`).
    """
    known = events.where(
        (F.col("event_ts") < F.lit(as_of))
        & F.col("event_type").isin(*(settings.events or ()))
        & F.col("text").isNotNull()
    )
    return known.select(
        text_name(F.col("text")).alias("item_id"),
        hash_of(F.col("text")).alias("text_hash"),
        F.substring("text", 1, settings.characters).alias("text"),
    ).dropDuplicates(["item_id"])


def catalogue_first(texts: DataFrame) -> DataFrame:
    """Texts of items and of events in the order in which a budget is spent on them."""
    return texts.orderBy(F.col("item_id").startswith(MARK), "item_id", "text_hash")


def text_hash(settings: Language) -> Column:
    """The hash of a version's text; also where it has none."""
    return hash_of(_text(settings))


def _with_texts(versions: DataFrame, settings: Language) -> DataFrame:
    return (
        versions.select("item_id", _text(settings).alias("text"))
        .where(F.trim("text") != "")
        .select("item_id", hash_of(F.col("text")).alias("text_hash"), "text")
    )


def _text(settings: Language) -> Column:
    fields = [_field(name) for name in settings.fields]
    return F.substring(F.concat_ws("\n", *fields), 1, settings.characters)


def _field(name: str) -> Column:
    return F.concat_ws("\n", F.col(name)) if name in LIST_FIELDS else F.col(name)
