"""Tags of a list by likeness of vectors: thresholds and ties by hand."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.language.encoder import Fitted
from ebb.language.settings import ZeroShot
from ebb.language.zero_shot import ZeroShotTagger

TAGS = {"outdoor": (1.0, 0.0), "kitchen": (0.6, 0.8), "cooking": (0.6, 0.8), "jazz": (0.0, -1.0)}
ITEMS = {"tent": (1.0, 0.0), "grill": (0.8, 0.6), "odd": (-1.0, 0.0), "unknown": (0.0, 0.0)}


class Known:
    """An encoder that knows the vectors of the tags."""

    def __init__(self, budget: int = 99) -> None:
        self.budget = budget

    def fit(self, texts: DataFrame) -> Fitted:
        return Fitted("e1", b"")

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        vector = F.lit(None).cast("array<float>")
        for tag, known in TAGS.items():
            entries = F.array(*(F.lit(entry).cast("float") for entry in known))
            vector = F.when(F.col("text") == tag, entries).otherwise(vector)
        return texts.limit(self.budget).select("item_id", "text_hash", vector.alias("vector"))


def tagger(version: str = "e1", **settings: object) -> ZeroShotTagger:
    asked = {"kind": "zero_shot", "tags": list(TAGS), "most": 2, **settings}
    return ZeroShotTagger(ZeroShot.model_validate(asked), Known(), lambda: Fitted(version, b""))


def items(spark: SparkSession) -> DataFrame:
    rows = [(item, item, item, list(vector)) for item, vector in ITEMS.items()]
    schema = "item_id string, text_hash string, text string, vector array<float>"
    return spark.createDataFrame(rows, schema)


@pytest.mark.parametrize(
    ("threshold", "tent", "grill"),
    [
        # grill with kitchen and cooking: 0.48 + 0.48; with outdoor 0.8. Ties by the alphabet.
        (0.5, ["outdoor", "cooking"], ["cooking", "kitchen"]),
        (0.7, ["outdoor"], ["cooking", "kitchen"]),
        (0.99, ["outdoor"], []),
        (-1, ["outdoor", "cooking"], ["cooking", "kitchen"]),
    ],
)
def test_the_most_like_tags_above_the_threshold(spark, threshold, tent, grill) -> None:
    one = tagger(threshold=threshold)
    found = one.label(items(spark), one.fit(items(spark))).collect()
    tags = {row["item_id"]: row["tags"] for row in found}
    assert (tags["tent"], tags["grill"], tags["unknown"]) == (tent, grill, [])
    assert tags["odd"] == ([] if threshold > -1 else ["jazz", "cooking"])


def test_the_version_names_the_encoder_and_what_chooses(spark: SparkSession) -> None:
    texts = items(spark)
    versions = [
        one.fit(texts).version
        for one in (tagger(), tagger("e2"), tagger(most=1), tagger(tags=["jazz"]))
    ]
    assert len(set(versions)) == 4 and tagger().fit(texts).version == versions[0]


def test_an_encoder_that_does_not_answer_is_told(spark: SparkSession) -> None:
    one = tagger()
    waiting = ZeroShotTagger(one.settings, Known(budget=1), one.encoded)
    with pytest.raises(RunError, match="3 of 4 tags of"):
        waiting.fit(items(spark))
