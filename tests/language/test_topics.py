"""Topics: found and named by hand, and the same whatever the partitions."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from ebb.language.cosines import cosines, nearest, whole
from ebb.language.encoder import of_unit_length
from ebb.language.settings import Topics
from ebb.language.topic_names import numbered
from ebb.language.topics import TopicLabeller, topics_of
from ebb.language.topics_fit import first_centres

MUGS = {
    "red mug": (1.0, 0.0),
    "blue mug": (1.0, 0.0),
    "red mug, tea": (0.96, 0.28),
    "mug": (0.96, -0.28),
    "jazz night": (0.0, 1.0),
    "late jazz": (-0.6, 0.8),
    "nothing known": (0.0, 0.0),
}
Row = tuple[str, str, str, list[float]]


def frame(spark: SparkSession, rows: list[Row]) -> DataFrame:
    schema = "item_id string, text_hash string, text string, vector array<float>"
    return spark.createDataFrame(rows, schema)


def test_topics_are_found_and_named_by_what_tells_them_apart(spark: SparkSession) -> None:
    texts = frame(spark, [(text, text, text, list(v)) for text, v in MUGS.items()])
    labeller = TopicLabeller(Topics(count=2, words=2))
    fitted = labeller.fit(texts.repartition(3))
    first, second = topics_of(fitted).to_pylist()
    # mug: in 4 of 4, and 0 + 1 of 2 + 1 others: 1 · log(1 / (1/3)) = 1.10; red: ½ · log(½ / ⅓).
    assert (first["topic"], first["label"], first["items"]) == (0, "mug, red", 4)
    # late and night: ½ · log(½ / ⅕) each.
    assert (second["topic"], second["label"], second["items"]) == (1, "jazz, late", 2)
    assert first["centre"] == [1.0, 0.0]
    length = math.hypot(-0.6, 1.8)
    assert second["centre"] == pytest.approx([-0.6 / length, 1.8 / length], abs=1e-6)
    found = {row["item_id"]: row["tags"] for row in labeller.label(texts, fitted).collect()}
    assert found.pop("nothing known") == []
    assert found == {text: ["mug, red"] if "mug" in text else ["jazz, late"] for text in found}


def test_neither_partitions_nor_their_order_move_a_bit(spark: SparkSession) -> None:
    rng = random.Random(3)
    words = ["red", "blue", "tea", "mug", "jazz", "night", "late", "sea", "lake", "fog"]
    rows: list[Row] = []
    for place in range(120):
        vector = [rng.gauss(0, 1) for _ in range(8)]
        unit = of_unit_length([vector])[0].tolist()
        rows.append((f"i{place}", f"{place:03}", " ".join(rng.sample(words, 3)), unit))
    labeller = TopicLabeller(Topics(count=7, passes=4))
    one = labeller.fit(frame(spark, rows).coalesce(1))
    rng.shuffle(rows)
    assert labeller.fit(frame(spark, rows).repartition(5)) == one
    labels = topics_of(one).column("label").to_pylist()
    assert len(labels) == 7 == len(set(labels))
    assert sum(topics_of(one).column("items").to_pylist()) == 120


def test_without_vectors_there_are_no_topics(spark: SparkSession) -> None:
    texts = frame(spark, [("a", "a", "mug", [0.0, 0.0])])
    labeller = TopicLabeller(Topics())
    fitted = labeller.fit(texts)
    assert topics_of(fitted).num_rows == 0
    assert [row["tags"] for row in labeller.label(texts, fitted).collect()] == [[]]


vectors = st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=1, max_size=30)


@settings(deadline=None)
@given(vectors, vectors, st.integers(1, 30))
def test_cosines_are_exact_in_any_order_and_batch(one, other, at: int) -> None:
    a, b = whole(of_unit_length(one)), whole(of_unit_length(other))
    exact = [[sum(int(x) * int(y) for x, y in zip(p, q, strict=True)) for q in b] for p in a]
    assert cosines(a, b).tolist() == [[number / 2**48 for number in row] for row in exact]
    parts = np.concatenate([nearest(a[:at], b), nearest(a[at:], b)])
    assert parts.tolist() == nearest(a, b).tolist()


@settings(deadline=None)
@given(vectors, st.integers(1, 9))
def test_first_centres_are_different_directions_of_the_vectors(rows, count: int) -> None:
    given_rows = whole(of_unit_length(rows))
    found = first_centres(given_rows, count, seed=7)
    assert len(found) <= count and len(np.unique(found, axis=0)) == len(found)
    assert {tuple(row) for row in found} <= {tuple(row) for row in given_rows if row.any()}
    assert bool(len(found)) == bool(given_rows.any())


def test_topics_of_the_same_words_are_numbered() -> None:
    assert numbered(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
