"""The keys that an item stands for in each facet: itself, its categories, tags, attributes."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_LIST_FACETS = {"category": "categories", "tag": "tags"}


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
    keys = items.select("item_id", *(keys_of(f).alias(f"keys_{f}") for f in facets if f != "item"))
    joined = on_items.join(keys, on="item_id", how="left")
    per_facet = [_facet_keys(facet) for facet in facets]
    exploded = joined.select(*others, F.explode(F.concat(*per_facet)).alias("at"))
    return exploded.select(*others, "at.facet", "at.key")


def keys_of(facet: str) -> Column:
    """An item's keys of a facet, each once."""
    if facet in _LIST_FACETS:
        listed = F.col(_LIST_FACETS[facet])
    else:
        listed = F.array_compact(F.array(F.col("attributes")[facet]))
    return F.array_distinct(F.coalesce(listed, F.array().cast("array<string>")))


def _facet_keys(facet: str) -> Column:
    if facet == "item":
        listed = F.array(F.col("item_id"))
    else:
        listed = F.coalesce(F.col(f"keys_{facet}"), F.array().cast("array<string>"))
    return F.transform(listed, lambda key: F.struct(F.lit(facet).alias("facet"), key.alias("key")))
