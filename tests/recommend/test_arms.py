"""Who is in which arm: the same for ever, as many as were meant, nothing to do with other ones."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ebb.evaluate.experiments import sample_ratio_p
from ebb.recommend.arms import arm_of
from ebb.recommend.settings import Experiment

PINNED = [
    "treatment",
    "control",
    "control",
    "treatment",
    "treatment",
    "control",
    "control",
    "treatment",
]
HALVES = {"control": 0.5, "treatment": 0.5}
THIRDS = {"a": 0.2, "b": 0.3, "c": 0.5}


def test_arms_are_stable_balanced_and_independent_of_other_experiments(
    spark: SparkSession,
) -> None:
    users = spark.range(6_000).select(F.concat(F.lit("u"), F.col("id")).alias("user_id"))
    dealt = users.select(
        "user_id",
        arm_of("one", HALVES).alias("one"),
        arm_of("other", HALVES).alias("other"),
        arm_of("one", THIRDS).alias("thirds"),
    )
    rows = dealt.collect()
    # Pinned: who is in an arm must not change with the code.
    assert [row["one"] for row in rows[:8]] == PINNED
    assert sample_ratio_p(Counter(row["one"] for row in rows), HALVES) > 0.001
    assert sample_ratio_p(Counter(row["thirds"] for row in rows), THIRDS) > 0.001
    both = Counter((row["one"], row["other"]) for row in rows)
    crossed = {pair: 0.25 for pair in product(HALVES, HALVES)}
    assert sample_ratio_p(both, crossed) > 0.001  # type: ignore[arg-type]
    again = dealt.repartition(5).collect()
    assert sorted(map(tuple, again)) == sorted(map(tuple, rows))


def test_shares_are_of_the_arms_and_add_up_to_one() -> None:
    arms = {"control": {}, "treatment": {"strategy": "popularity"}}
    assert Experiment(name="x", arms=arms).shares == HALVES
    shares = Experiment(name="x", arms=arms, share={"treatment": 0.1, "control": 0.9}).shares
    assert list(shares.items()) == [("control", 0.9), ("treatment", 0.1)]
    with pytest.raises(ValidationError, match=r"share adds up to 0\.8; expected 1"):
        Experiment(name="x", arms=arms, share={"treatment": 0.4, "control": 0.4})
    with pytest.raises(ValidationError, match="share names control; expected each of control, tre"):
        Experiment(name="x", arms=arms, share={"control": 1.0})
