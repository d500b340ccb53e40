"""The log of places that tried things out."""

from __future__ import annotations

from pyspark.sql import SparkSession

from ebb.evaluate.off_policy import value_of
from ebb.evaluate.trials import trial_places


def test_only_drawn_places_are_logged_and_those_that_nobody_took_count_as_nothing(
    spark: SparkSession,
) -> None:
    rows = [
        ("ann", 1, "a", 1.0), ("ann", 2, "x", 0.5), ("bob", 1, "a", 1.0), ("bob", 2, "y", 0.25),
        ("cem", 2, "x", 0.5),
    ]  # fmt: skip
    slates = spark.createDataFrame(
        rows, "user_id string, rank int, item_id string, propensity double"
    )
    labels = [("ann", "x"), ("ann", "a"), ("bob", "x")]
    found = trial_places(slates, spark.createDataFrame(labels, "user_id string, item_id string"))
    log = sorted(map(tuple, found.collect()))
    assert log == [
        ("ann", 2, "x", 0.5, 1.0), ("bob", 2, "y", 0.25, 0.0), ("cem", 2, "x", 0.5, 0.0),
    ]  # fmt: skip
    users, _, items, logged, rewards = zip(*log, strict=True)
    always_x = [float(item == "x") for item in items]
    assert value_of(rewards, logged, always_x, users, draws=20).snips.value == 0.5
