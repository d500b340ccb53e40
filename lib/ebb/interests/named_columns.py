"""How an event's text is named beside its item: `named.py` on Spark."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.named import MARK, TEXT
from ebb.language.settings import HASH_LENGTH


def with_texts_named(events: DataFrame, types: tuple[str, ...]) -> DataFrame:
    """Events of which those of some types have their text in `item_id`; columns as given.

    Parameters
    ----------
    events : with item_id, event_type and, where there are types, text.
    types : whose texts are read; without any nothing changes.
    """
    if not types:
        return events
    both = F.concat(F.coalesce("item_id", F.lit("")), text_name(F.col("text")))
    is_told = F.col("event_type").isin(*types) & F.col("text").isNotNull()
    return events.withColumn("item_id", F.when(is_told, both).otherwise(F.col("item_id")))


def text_name(text: Column) -> Column:
    return F.concat(F.lit(MARK), hash_of(text))


def hash_of(text: Column) -> Column:
    return F.substring(F.sha2(text, 256), 1, HASH_LENGTH)


def item_of(name: Column) -> Column:
    """The item of a name; null where it is a text alone."""
    return F.nullif(F.regexp_replace(name, TEXT, ""), F.lit(""))


def text_of(name: Column) -> Column:
    """What names the text in a name; null where there is none."""
    return F.nullif(F.regexp_extract(name, TEXT, 0), F.lit(""))
