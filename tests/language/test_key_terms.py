"""Key terms of texts: the weights by hand, ties by term, and nothing of nobody's terms."""

from __future__ import annotations

import math

import numpy as np
from pyspark.sql import SparkSession

from ebb.language.key_terms import TermTagger, is_readable, key_terms
from ebb.language.settings import KeyTerms
from ebb.language.tfidf import Vocabulary

TEXTS = {
    "a": "jazz at night: jazz, jazz",
    "b": "jazz at the lake",
    "c": "the lake at night",
    "d": "at sea",
    "e": "12 12 x x at",
}


def test_the_terms_of_most_weight_come_first_and_ties_go_by_term(spark: SparkSession) -> None:
    texts = spark.createDataFrame(
        [(i, i, text) for i, text in TEXTS.items()], "item_id string, text_hash string, text string"
    ).repartition(3)
    tagger = TermTagger(KeyTerms(kind="terms", most=2, common=0.5))
    fitted = tagger.fit(texts)
    known = Vocabulary.from_bytes(fitted.model)
    # In two of five texts each; "at" is in all, more than half, and "sea" in one.
    assert known.terms == ("jazz", "lake", "night", "the")
    idf = 1 + math.log((1 + 5) / (1 + 2))
    assert known.weights.round(9).tolist() == [round(idf, 9)] * 4
    found = {r["item_id"]: r["tags"] for r in tagger.label(texts, fitted).collect()}
    # Three times jazz weighs (1 + log 3) · idf.
    assert found == {
        "a": ["jazz", "night"],
        "b": ["jazz", "lake"],
        "c": ["lake", "night"],
        "d": [],
        "e": [],
    }
    assert tagger.fit(texts.coalesce(1)) == fitted
    assert TermTagger(KeyTerms(kind="terms", most=3, common=0.5)).fit(texts) != fitted


def test_what_people_can_make_nothing_of_is_no_tag() -> None:
    assert [is_readable(term) for term in ("jazz", "4x4", "1995", "x", "夜", "夜の")] == [
        True, True, False, False, False, True,
    ]  # fmt: skip
    vocabulary = Vocabulary(("1995", "jazz"), np.array([9.0, 1.0]))
    assert key_terms(vocabulary, ["jazz 1995", ""], 5) == [["jazz"], []]
