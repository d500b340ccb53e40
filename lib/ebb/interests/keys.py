"""The keys that an item stands for in each facet: itself, its categories, tags, attributes."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.item_keys import LIST_FACETS
from ebb.interests.named_columns import item_of, text_of

_KEYS = "array<struct<facet:string,key:string>>"


def with_keys(
    rows: DataFrame, items: DataFrame, facets: tuple[str, ...], texts: DataFrame | None = None
) -> DataFrame:
    """One row a row of `rows` and key of its item; none where the item has no key.

    Parameters
    ----------
    rows : with item_id, which gives way to facet and key; rows without one are dropped.
    items : item versions that hold at the as_of, one row an item.
    texts : text_name and tags of the texts that item_id may name (`named.py`), which are keys of
        the row, too; None where it names none.
    """
    on_items = rows.where(F.col("item_id").isNotNull())
    others = [F.col(name) for name in rows.columns if name != "item_id"]
    if facets == ("item",):
        return on_items.select(*others, F.lit("item").alias("facet"), F.col("item_id").alias("key"))
    # All keys but the item itself are put together on the items' side, once an item.
    listed = F.concat(*(_at(facet, keys_of(facet)) for facet in facets if facet != "item"))
    known = items.select("item_id", listed.alias("keys"))
    if texts is None:
        joined = on_items.join(known, on="item_id", how="left")
        keys = _or_empty("keys")
    else:
        parts = {"text_name": text_of(F.col("item_id")), "item_id": item_of(F.col("item_id"))}
        told = texts.select("text_name", _at("tag", F.col("tags")).alias("told"))
        joined = on_items.withColumns(parts).join(known, on="item_id", how="left")
        joined = joined.join(told, on="text_name", how="left")
        keys = F.array_union(_or_empty("keys"), _or_empty("told"))
    if "item" in facets:
        itself = F.struct(F.lit("item").alias("facet"), F.col("item_id").alias("key"))
        own = F.when(F.col("item_id").isNotNull(), F.array(itself))
        keys = F.concat(F.coalesce(own, F.array().cast(_KEYS)), keys)
    return joined.select(*others, F.inline(keys))


def _or_empty(keys: str) -> Column:
    return F.coalesce(keys, F.array().cast(_KEYS))


def keys_of(facet: str) -> Column:
    """An item's keys of a facet, each once."""
    if facet in LIST_FACETS:
        listed = F.col(LIST_FACETS[facet])
    else:
        listed = F.array_compact(F.array(F.col("attributes")[facet]))
    return F.array_distinct(F.coalesce(listed, F.array().cast("array<string>")))


def number_of(attribute: str) -> Column:
    """An item's attribute as a number; empty where it isn't a finite one."""
    number = F.col("attributes")[attribute].try_cast("double")
    return F.when(F.abs(number) < F.lit(float("inf")), number)


def _at(facet: str, keys: Column) -> Column:
    return F.transform(keys, lambda key: F.struct(F.lit(facet).alias("facet"), key.alias("key")))
