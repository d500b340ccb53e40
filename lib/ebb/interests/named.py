"""How an event's text is named beside its item, wherever sums are kept by user and item.

What somebody did with item `i` while saying something is kept under `i~text:HASH`, and what they
said without an item under `~text:HASH`. Its keys are those of the item and those of the text.
Never imports Spark.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from ebb.language.settings import HASH_LENGTH

MARK = "~text:"
# Of a name that has a text, what names the text.
TEXT = f"{MARK}[0-9a-f]{{{HASH_LENGTH}}}$"


def with_texts_named(events: pa.Table, types: tuple[str, ...]) -> pa.Table:
    """Events of which those of some types have their text in `item_id`.

    Parameters
    ----------
    events : with item_id, event_type, text. types : whose texts are read.
    """
    item_ids, kinds, texts = (
        events.column(name).combine_chunks() for name in ("item_id", "event_type", "text")
    )
    encoded = texts.dictionary_encode()
    known = pa.array([MARK + hash_of(text) for text in encoded.dictionary.to_pylist()], pa.string())
    both = pc.binary_join_element_wise(pc.fill_null(item_ids, ""), known.take(encoded.indices), "")
    is_told = pc.and_(pc.is_in(kinds, pa.array(types, pa.string())), pc.is_valid(texts))
    names = pc.if_else(is_told, both, item_ids)
    return events.set_column(events.column_names.index("item_id"), "item_id", names)


def item_of(names: pa.Array) -> pa.Array:
    """The item of each name; none where there is a text alone."""
    items = pc.replace_substring_regex(names, TEXT, "")
    return pc.if_else(pc.equal(items, ""), pa.scalar(None, pa.string()), items)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
