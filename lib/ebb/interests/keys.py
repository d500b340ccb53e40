"""The keys that an item stands for in each facet: itself, its categories, tags, attributes."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.interests.item_keys import LIST_FACETS

_KEYS = "array<struct<facet:string,key:string>>"


def with_keys(rows: DataFrame, items: DataFrame, facets: tuple[str, ...]) -> DataFrame:
    """One row a row of `rows` and key of its item; none where the item has no key.

    Parameters
    ----------
    rows : with item_id, which gives way to facet and key; rows without one are dropped.
    items : item versions that hold at the as_of, one row an item.
    """
    on_items = rows.where(F.col("item_id").isNotNull())
    others = [F.col(name) for name in rows.columns if name != "item_id"]
    if facets == ("item",):
        return on_items.select(*others, F.lit("item").alias("facet"), F.col("item_id").alias("key"))
    # All keys but the item itself are put together on the items' side, once an item.
    listed = F.concat(*(_at(facet, keys_of(facet)) for facet in facets if facet != "item"))
    joined = on_items.join(items.select("item_id", listed.alias("keys")), on="item_id", how="left")
    keys = F.coalesce("keys", F.array().cast(_KEYS))
    if "item" in facets:
        itself = F.struct(F.lit("item").alias("facet"), F.col("item_id").alias("key"))
        keys = F.concat(F.array(itself), keys)
    return joined.select(*others, F.inline(keys))


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
