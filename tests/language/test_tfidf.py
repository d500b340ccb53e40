from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pyspark.sql import SparkSession

from ebb.language import tfidf_fit
from ebb.language.encoders import encoder_of
from ebb.language.settings import Tfidf
from ebb.language.tfidf import TfidfModel, Vocabulary
from ebb.language.tfidf_fit import fit_tfidf
from ebb.language.tokens import tokens

TITLES = [
    "red mug", "blue mug", "red tea mug", "green tea", "tea pot", "green pot red lid", "lid",
    "blue lid for pot", "jazz night", "late jazz", "jazz night live", "late night", "red red jazz",
    "unheard", "",
]  # fmt: skip
TEXTS = [(f"i{n:02}", f"h{n:02}", title) for n, title in enumerate(TITLES)]
FOUR = Tfidf(kind="tfidf", dimension=4, passes=1)
SCHEMA = "item_id string, text_hash string, text string"


def dense(titles: list[str]) -> tuple[list[str], np.ndarray]:
    """The matrix of texts by terms the slow and obvious way; rows of length 1."""
    having = Counter(term for title in titles for term in set(tokens(title)))
    terms = sorted(term for term, texts in having.items() if texts >= 2)
    rows = []
    for title in titles:
        counts = Counter(tokens(title))
        row = [
            (1 + math.log(counts[t])) * (1 + math.log((1 + len(titles)) / (1 + having[t])))
            if counts[t]
            else 0.0
            for t in terms
        ]
        length = math.sqrt(sum(x * x for x in row))
        rows.append([x / (length or 1.0) for x in row])
    return terms, np.array(rows)


def oracle(titles: list[str], dimension: int) -> np.ndarray:
    """Cosines of all texts with each other, by numpy's own SVD."""
    _, matrix = dense(titles)
    _, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    vectors = matrix @ right[:dimension].T / sizes[:dimension]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(lengths > 0, lengths, 1.0)
    return vectors @ vectors.T


@pytest.fixture(scope="module")
def model(spark: SparkSession) -> TfidfModel:
    return fit_tfidf(spark.createDataFrame(TEXTS, SCHEMA), FOUR)


def test_cosines_are_those_of_numpys_own_svd(model: TfidfModel) -> None:
    vectors = model.encode(TITLES).astype(float)
    assert model.vocabulary.terms == tuple(dense(TITLES)[0])
    assert vectors.shape == (len(TITLES), 4)
    assert vectors @ vectors.T == pytest.approx(oracle(TITLES, 4), abs=1e-4)


def test_what_has_no_known_term_has_a_vector_of_zeros_and_new_texts_one_like_their_kind(
    model: TfidfModel,
) -> None:
    nothing, new, like = model.encode(["never heard", "a jazz night", "jazz night"]).astype(float)
    assert not nothing.any()
    assert new == pytest.approx(like)


def test_the_model_is_the_same_to_the_last_bit_however_the_texts_lie(
    spark: SparkSession, model: TfidfModel
) -> None:
    spread = spark.createDataFrame(TEXTS[::-1], SCHEMA).repartition(5)
    assert fit_tfidf(spread, FOUR).to_bytes() == model.to_bytes()
    again = TfidfModel.from_bytes(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    alone = np.concatenate([again.encode([title]) for title in TITLES])
    assert np.array_equal(alone, model.encode(TITLES))


def test_a_vocabulary_keeps_the_terms_that_most_texts_have_and_few_texts_fill_up_with_zeros(
    spark: SparkSession,
) -> None:
    few = spark.createDataFrame([("a", "h", "x y z"), ("b", "h", "y x")], SCHEMA)
    found = fit_tfidf(few, Tfidf(kind="tfidf", dimension=6, terms=1, passes=1))
    assert found.vocabulary.terms == ("x",)
    assert found.encode(["x"]).tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    none = fit_tfidf(few.limit(1), Tfidf(kind="tfidf", dimension=2, passes=1))
    assert none.vocabulary.terms == () and none.encode(["x", "y"]).tolist() == [[0.0, 0.0]] * 2


def test_an_encoder_makes_the_models_vectors_on_executors(spark: SparkSession) -> None:
    encoder, texts = (
        encoder_of(FOUR),
        spark.createDataFrame(TEXTS, SCHEMA),
    )
    fitted = encoder.fit(texts)
    rows = {row["item_id"]: row for row in encoder.encode(texts, fitted).collect()}
    vectors = TfidfModel.from_bytes(fitted.model).encode(TITLES)
    for (item, text_hash, _), vector in zip(TEXTS, vectors, strict=True):
        assert rows[item]["text_hash"] == text_hash
        assert rows[item]["vector"] == vector.tolist()


def test_passes_find_the_first_singular_vectors_among_many_terms(monkeypatch) -> None:
    draw = np.random.default_rng(3)
    matrix = draw.normal(size=(300, 60)) * 0.8 ** np.arange(60)
    monkeypatch.setattr(tfidf_fit, "_through", lambda rows, basis: matrix.T @ (matrix @ basis))
    settings = Tfidf(kind="tfidf", dimension=4)
    found = tfidf_fit._projection(None, 60, settings).astype(float)  # type: ignore[arg-type]
    _, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    expected = right[:4].T / sizes[:4]
    expected *= np.sign(expected[np.abs(expected).argmax(axis=0), np.arange(4)])
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_terms_weight_grows_with_the_logarithm_of_its_count() -> None:
    read = Vocabulary(("a", "b"), np.array([2.0, 3.0])).read(["b a b c", "c", "a"])
    assert read.starts.tolist() == [0, 2, 2, 3] and read.terms.tolist() == [0, 1, 0]
    assert read.weights == pytest.approx([2.0, 3 * (1 + math.log(2)), 2.0])
    assert read.scaled().weights[2] == 1.0
