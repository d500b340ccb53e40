"""Item versions with the tags and the topic that were made of their texts.

Tags join those that the source gives; the topic becomes the attribute `topic`. So whoever takes
an item's keys from its version has them, at any as_of: a version's labels are those of its own
text. Never writes a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.named import MARK
from ebb.language.labels import Labels
from ebb.language.settings import Language
from ebb.language.texts import text_hash
from ebb.schema import ITEM_TAGS, ITEMS, LABELLERS
from ebb.tables import Tables

_TEXT = ("item_id", "text_hash")


def labelled_items(tables: Tables, labels: Labels | None, as_of: datetime) -> DataFrame:
    """All versions of the table `items`, with the labels that hold at an instant.

    Parameters
    ----------
    labels : None leaves the versions as they are.
    as_of : whose labellers are asked for; before the first was fitted, that first one.
    """
    items = tables.read(ITEMS)
    if labels is None:
        return items
    versions = labels.versions_at(lambda: tables.newest_first(LABELLERS), as_of)
    return with_labels(items, tables.read(ITEM_TAGS), versions, labels.language)


def labelled_texts(tables: Tables, labels: Labels | None, as_of: datetime) -> DataFrame | None:
    """The texts of events that have tags which hold at an instant; None where none are read.

    Parameters
    ----------
    labels, as_of : as of `labelled_items`.

    Returns
    -------
    DataFrame of text_name (`interests.named`) and tags.
    """
    if labels is None or not labels.told:
        return None
    versions = labels.versions_at(lambda: tables.newest_first(LABELLERS), as_of)
    made = tables.read(ITEM_TAGS).where(F.col("version") == versions.get("tag", ""))
    of_texts = made.where(F.col("item_id").startswith(MARK))
    return of_texts.select(F.col("item_id").alias("text_name"), "tags")


def with_labels(
    items: DataFrame, made: DataFrame, versions: Mapping[str, str], language: Language
) -> DataFrame:
    """Versions of items with labels of their texts; columns as given.

    Parameters
    ----------
    items : versions, columns of the table `items`.
    made : columns of the table `item_tags`.
    versions : by facet, the version of the labels that hold.
    language : how texts are made.
    """
    found = items.withColumn("text_hash", text_hash(language))
    columns = {name: F.col(name) for name in items.columns}
    if "tag" in versions:
        found = _joined(found, made, versions["tag"], "made_tags")
        columns["tags"] = F.array_union(_or_empty("tags"), _or_empty("made_tags"))
    if "topic" in versions:
        found = _joined(found, made, versions["topic"], "made_topics")
        topic = F.get("made_topics", F.lit(0))
        own = F.coalesce("attributes", F.create_map().cast("map<string,string>"))
        with_topic = F.map_concat(own, F.create_map(F.lit("topic"), topic))
        columns["attributes"] = F.when(topic.isNotNull(), with_topic).otherwise(F.col("attributes"))
    return found.select(*(column.alias(name) for name, column in columns.items()))


def _joined(items: DataFrame, made: DataFrame, version: str, name: str) -> DataFrame:
    own = made.where(F.col("version") == version).select(*_TEXT, F.col("tags").alias(name))
    return items.join(own, on=[*_TEXT], how="left")


def _or_empty(name: str) -> Column:
    return F.coalesce(name, F.array().cast("array<string>"))
