"""The text of each item, made of the fields of a version, with its hash."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.language.settings import HASH_LENGTH, LIST_FIELDS, Language


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


def text_hash(settings: Language) -> Column:
    """The hash of a version's text; also where it has none."""
    return _hash(_text(settings))


def _with_texts(versions: DataFrame, settings: Language) -> DataFrame:
    return (
        versions.select("item_id", _text(settings).alias("text"))
        .where(F.trim("text") != "")
        .select("item_id", _hash(F.col("text")).alias("text_hash"), "text")
    )


def _text(settings: Language) -> Column:
    fields = [_field(name) for name in settings.fields]
    return F.substring(F.concat_ws("\n", *fields), 1, settings.characters)


def _hash(text: Column) -> Column:
    return F.substring(F.sha2(text, 256), 1, HASH_LENGTH)


def _field(name: str) -> Column:
    return F.concat_ws("\n", F.col(name)) if name in LIST_FIELDS else F.col(name)
