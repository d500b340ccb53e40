"""The keys that items stand for, for numpy: `keys.py` without Spark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ebb.interests.coding import Integers, places, texts
from ebb.interests.named import item_of

# The facets that an item has lists of, and the columns those are in; others are attributes.
LIST_FACETS = {"category": "categories", "tag": "tags"}


@dataclass(frozen=True)
class Keys:
    """The keys of each item: those of item i are `key[start[i] : start[i + 1]]`.

    Attributes
    ----------
    start : (items + 1,)
    key : (links,) places in `text` and `facet`.
    text, facet : (keys,) each key and the place of its facet; by facet, and in it by text.
    """

    start: Integers
    key: Integers
    text: pa.Array
    facet: Integers


def item_keys(items: pa.Table, item_ids: pa.Array, facets: tuple[str, ...]) -> Keys:
    """The keys, each once, of the items `item_ids` in each facet.

    Parameters
    ----------
    items : item_id, categories, tags, attributes; at most one row an item.
    item_ids : of items, some of them with the name of a text (`named.py`).
    """
    item, key, known = [], [], []
    offset = 0
    for facet in facets:
        of_item, text = _of_facet(items, item_ids, facet)
        known.append(texts([text]))
        item.append(of_item)
        key.append(places(text, known[-1]) + offset)
        offset += len(known[-1])
    base = max(1, offset)
    links = np.unique(np.concatenate(item) * base + np.concatenate(key))
    links = links[links >= 0]
    return Keys(
        start=np.searchsorted(links, np.arange(len(item_ids) + 1) * base),
        key=links % base,
        text=pa.concat_arrays(known),
        facet=np.repeat(np.arange(len(facets)), [len(found) for found in known]),
    )


def _of_facet(items: pa.Table, item_ids: pa.Array, facet: str) -> tuple[Integers, pa.Array]:
    """Items and keys, one entry a link; item -1 for others than `item_ids`."""
    if facet == "item":
        own = item_of(item_ids)
        is_item = pc.is_valid(own)
        return np.flatnonzero(is_item), own.filter(is_item)
    item = places(items.column("item_id"), item_ids)
    if facet in LIST_FACETS:
        listed = items.column(LIST_FACETS[facet]).combine_chunks()
        item, text = item[pc.list_parent_indices(listed).to_numpy()], pc.list_flatten(listed)
    else:
        text = pc.map_lookup(items.column("attributes").combine_chunks(), facet, "first")
    is_there = pc.is_valid(text)
    return item[is_there.to_numpy(zero_copy_only=False)], text.filter(is_there)
