"""Item versions with the labels of their texts, in Arrow: `labelled.py` without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ebb.interests.named import TEXT, hash_of, item_of
from ebb.language.settings import LIST_FIELDS, Language

_TAGS = pa.list_(pa.string())
_ATTRIBUTES = pa.map_(pa.string(), pa.string())


def with_labels(
    items: pa.Table, made: pa.Table, versions: Mapping[str, str], language: Language
) -> pa.Table:
    """Versions of items with labels of their texts.

    Parameters
    ----------
    items : item_id, tags, attributes and the fields of `language`.
    made : version, item_id, text_hash, tags.
    versions : by facet, the version of the labels that hold.
    """
    known: dict[tuple[str, str, str], list[str]] = {
        (row["version"], row["item_id"], row["text_hash"]): row["tags"] for row in made.to_pylist()
    }
    fields = [items.column(name).to_pylist() for name in language.fields]
    hashes = [text_hash(values, language) for values in zip(*fields, strict=True)]
    texts = list(zip(items.column("item_id").to_pylist(), hashes, strict=True))
    if "tag" in versions:
        of_texts = [known.get((versions["tag"], *text), []) for text in texts]
        own = items.column("tags").to_pylist()
        tags = [list(dict.fromkeys([*(a or []), *b])) for a, b in zip(own, of_texts, strict=True)]
        items = _with(items, "tags", pa.array(tags, _TAGS))
    if "topic" in versions:
        of_texts = [known.get((versions["topic"], *text), []) for text in texts]
        given = items.column("attributes").to_pylist()
        attributes = [
            [*(a or []), *(("topic", topic) for topic in b[:1])]
            for a, b in zip(given, of_texts, strict=True)
        ]
        items = _with(items, "attributes", pa.array(attributes, _ATTRIBUTES))
    return items


def with_texts(items: pa.Table, item_ids: pa.Array, made: pa.Table, version: str) -> pa.Table:
    """Items, and beside them a row for each id that names a text, with the text's tags as well.

    Parameters
    ----------
    items : item_id, categories, tags, attributes; one row an item.
    made : version, item_id, tags. version : of the tags that hold.
    """
    told = item_ids.filter(pc.match_substring_regex(item_ids, TEXT))
    of_text = {row["item_id"]: row["tags"] for row in made.to_pylist() if row["version"] == version}
    theirs = item_of(told)
    meant = items.filter(pc.is_in(items.column("item_id"), theirs.drop_null()))
    known = {row["item_id"]: row for row in meant.to_pylist()}
    rows = []
    for name, item in zip(told.to_pylist(), theirs.to_pylist(), strict=True):
        own = known.get(item, {})
        said = of_text.get(name.removeprefix(item or ""), [])
        rows.append({**own, "item_id": name, "tags": [*(own.get("tags") or ()), *said]})
    return pa.concat_tables([items, pa.Table.from_pylist(rows, items.schema)])


def text_hash(values: Sequence[Any], language: Language) -> str:
    """The hash of the text of a version's fields, in the order of `language.fields`."""
    parts: list[str] = []
    for name, value in zip(language.fields, values, strict=True):
        if name in LIST_FIELDS:  # of no list there is an empty line
            parts.append("\n".join(part for part in value or () if part is not None))
        elif value is not None:
            parts.append(value)
    return hash_of("\n".join(parts)[: language.characters])


def _with(items: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return items.set_column(items.column_names.index(name), name, column)
