"""Versions of items with their labels: with Spark and without, the same to the letter."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ebb.config import Config
from ebb.interests.setup import Setup
from ebb.language import labelled, labelled_table
from ebb.language.labels import Labels
from ebb.language.settings import Language
from ebb.schema import ITEM_TAGS, ITEMS
from language.test_labels_box import TERMS

SINCE = datetime(2025, 1, 1, tzinfo=UTC)
FIELDS: list[Any] = [None, "", " ", "mug", "Größe\n", "夜の𝒳🎷 jazz", "x" * 30]
LISTS: list[Any] = [None, [], ["red"], ["red", None, "blue"], [None], ["", "a b"]]
ATTRIBUTES: list[Any] = [None, {}, {"brand": "x"}]
VERSIONS = {"tag": "t1", "topic": "p1"}


def versions(rng: random.Random, count: int) -> list[tuple[Any, ...]]:
    return [
        (f"i{n}", SINCE, None, *rng.choices(FIELDS, k=2), *rng.choices(LISTS, k=2),
         rng.choice(ATTRIBUTES), None, True, False)
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("fields", [("title", "text", "categories", "tags"), ("tags", "title")])
def test_the_readers_give_items_the_same_labels(spark: SparkSession, fields) -> None:
    language, rng = Language(fields=fields, characters=20), random.Random(5)
    rows = versions(rng, 150)
    place = {name: ITEMS.schema.names.index(name) for name in fields}
    made = []
    for row in rows:
        values = [row[place[name]] for name in fields]
        own = (row[0], labelled_table.text_hash(values, language))
        tags = rng.sample(["red", "blue", "jazz"], rng.randint(0, 3))
        made.append(("t1", "tag", *own, tags, 0, "given", SINCE))
        made.append(("p1", "topic", *own, rng.choice([[], ["mug, red"]]), 0, "given", SINCE))
        made.append(("t2", "tag", *own, ["of another version"], 0, "given", SINCE))
        made.append(("t1", "tag", row[0], "of another text", ["other"], 0, "given", SINCE))
    rng.shuffle(made)
    items = spark.createDataFrame(rows, ITEMS.schema)
    given = spark.createDataFrame(made, ITEM_TAGS.schema)
    with_spark = labelled.with_labels(items, given, VERSIONS, language)
    assert with_spark.columns == items.columns
    found = {row["item_id"]: (row["tags"], row["attributes"]) for row in with_spark.collect()}
    table = pa.table(
        {
            name: pa.array([row[ITEMS.schema.names.index(name)] for row in rows], kind)
            for name, kind in {
                "item_id": pa.string(), "title": pa.string(), "text": pa.string(),
                "categories": pa.list_(pa.string()), "tags": pa.list_(pa.string()),
                "attributes": pa.map_(pa.string(), pa.string()),
            }.items()
        }
    )  # fmt: skip
    without = labelled_table.with_labels(table, given.toArrow(), VERSIONS, language).to_pylist()
    assert len(without) == len(found) == 150
    for row in without:
        tags, attributes = found[row["item_id"]]
        assert (row["tags"], dict(row["attributes"] or [])) == (tags, attributes or {})
        assert "of another version" not in tags and "other" not in tags
    assert any("jazz" in tags for tags, _ in found.values())
    assert any((attributes or {}).get("topic") for _, attributes in found.values())


def config(**language: Any) -> Config:
    events = {"sources": [{"path": "e", "format": "csv"}], "types": {"view": {}}}
    return Config.model_validate({"root": "r", "events": events, "language": language})


def test_labels_are_asked_for_where_a_facet_wants_them_and_told_from_other_settings() -> None:
    both = config(tagger=TERMS, topics={})
    found = Labels.of(both, both.facets)
    assert found and list(found.configs) == ["tag", "topic"]
    assert Labels.from_facts(found.to_facts()) == found
    assert Labels.of(both, ("item", "category")) is None
    # Terms hang on texts alone, topics on the encoder too, and neither on the other.
    encoder = {"kind": "tfidf", "dimension": 8}
    other = Labels.of(config(tagger=TERMS, topics={"count": 9}), both.facets)
    encoded = Labels.of(config(tagger=TERMS, topics={}, encoder=encoder), both.facets)
    assert other and encoded
    assert other.configs["tag"] == encoded.configs["tag"] == found.configs["tag"]
    assert len({one.configs["topic"] for one in (found, other, encoded)}) == 3
    plain, with_topics = config(), config(topics={})
    assert plain.fingerprint("language.encoder") == with_topics.fingerprint("language.encoder")


def test_another_tagger_makes_no_stored_sum_anew() -> None:
    def setup(one: Config) -> Setup:
        labels = Labels.of(one, one.facets)
        return Setup(one.interests, one.facets, one.events, 0, labels)

    tagged, plain = setup(config(tagger=TERMS)), setup(config())
    assert tagged.stores_as(plain) and tagged.facets == ("item", "tag")
    assert Setup.from_facts(tagged.to_facts()) == tagged
    before = {name: value for name, value in plain.to_facts().items() if name != "labels"}
    assert Setup.from_facts(before) == plain


def test_an_attribute_topic_beside_topics_is_refused() -> None:
    columns = {"attributes": {"topic": "theme"}}
    items = {"path": "i", "format": "csv", "columns": columns}
    with pytest.raises(ValueError, match="attributes has topic, and"):
        Config.model_validate({**config(topics={}).model_dump(mode="json"), "items": items})
