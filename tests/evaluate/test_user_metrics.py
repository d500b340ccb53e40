import functools
import math

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ebb.evaluate.catalogue import catalogue_metrics
from ebb.evaluate.facts import Facts, audience_overlaps
from ebb.evaluate.slates import summarise, user_metrics
from evaluate.worlds import (
    PAIRS,
    SLATES,
    World,
    expected,
    facts_in,
    pairs_in,
    random_world,
    slates_in,
)

KS = (1, 3, 6)
approx = functools.partial(pytest.approx, rel=1e-9, abs=1e-12, nan_ok=True)
SUMMARY = "model string, user_id string, `ndcg@2` double, `novelty@2` double"


def figures(frame) -> dict[tuple[str, str], dict[str, float]]:
    """By model and user; a figure that isn't there is NaN."""
    rows = (row.asDict() for row in frame.collect())
    return {(row.pop("model"), row.pop("user_id")): numbers(row) for row in rows}


def numbers(row: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in row.items()}


@settings(
    max_examples=3,
    # An example takes seconds in Spark: no shrinking.
    phases=[Phase.generate],
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10**6))
def test_random_slates_have_the_metrics_of_the_pure_functions(spark, seed: int) -> None:
    world = random_world(seed)
    labels = pairs_in(spark, world.labels)
    judged = user_metrics(
        slates_in(spark, world), labels, KS, facts_in(spark, world), models=list(world.slates)
    )
    found = figures(judged)
    assert set(found) == {(model, user) for model in world.slates for user in world.labels}
    for (model, user), row in found.items():
        wanted = {n: v for k in KS for n, v in expected(world, model, user, k).items()}
        assert row == approx(numbers(wanted)), (model, user)


def test_one_user_by_hand_and_another_without_a_slate(spark) -> None:
    world = World(
        slates={"m": {"u1": ["a", "b", "c"]}},
        labels={"u1": {"b", "c", "z"}, "u2": {"a"}},
        categories={"a": ["x"], "b": ["x", "y"], "c": ["y"]},
        had={"u1": {"a"}, "u2": {"a", "b"}, "u3": {"a"}, "u4": {"b"}},
        shares={"u1": {"x": 0.5, "y": 0.5}},
        popular={"u1": ["b", "q", "c"]},
    )
    facts = facts_in(spark, world)
    found = figures(
        user_metrics(slates_in(spark, world), pairs_in(spark, world.labels), [2], facts)
    )
    assert found["m", "u1"] == pytest.approx(
        {
            "recall@2": 1 / 3,
            "precision@2": 1 / 2,
            "ndcg@2": 0.6309297535714575 / 1.6309297535714575,
            "map@2": 1 / 2 / 2,
            "hit_rate@2": 1.0,
            "mrr@2": 1 / 2,
            # b is in the first two of the popular slate.
            "serendipity@2": 0.0,
            # 3 of 4 users had a, 2 of 4 b.
            "novelty@2": (0.4150374992788438 + 1.0) / 2,
            "category_diversity@2": 1 / 2,
            # One of three users had both.
            "audience_diversity@2": 1 - 1 / 4,
            # q is 3/4 x and 1/4 y: 0.5 ln(0.5 / 0.7475) + 0.5 ln(0.5 / 0.2525)
            "calibration@2": 0.14053532143,
        },
        rel=1e-8,
    )
    nothing = ["novelty", "category_diversity", "audience_diversity", "calibration"]
    wanted = {name: math.nan if name[:-2] in nothing else 0.0 for name in found["m", "u1"]}
    assert found["m", "u2"] == approx(wanted)


def test_without_facts_there_is_accuracy_alone(spark) -> None:
    slates = spark.createDataFrame([("m", "u", 1, "a")], SLATES)
    judged = user_metrics(slates, spark.createDataFrame([("u", "a")], PAIRS), [1, 2, 2])
    names = ("recall", "precision", "ndcg", "map", "hit_rate", "mrr")
    assert judged.columns == [
        "model",
        "user_id",
        *(f"{name}@{k}" for k in (1, 2) for name in names),
    ]
    assert judged.first()[2:] == (1, 1, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1)


def test_a_model_without_any_slate_is_judged_where_it_is_named(spark) -> None:
    slates = spark.createDataFrame([("m", "u", 1, "a")], SLATES)
    labels = spark.createDataFrame([("u", "a")], PAIRS)
    judged = user_metrics(slates, labels, [1], models=["m", "mute"])
    assert {row.model: row["ndcg@1"] for row in judged.collect()} == {"m": 1.0, "mute": 0.0}


def test_cut_offs_and_facts_that_cannot_be_used_are_refused(spark) -> None:
    slates, labels = spark.createDataFrame([], SLATES), spark.createDataFrame([], PAIRS)
    for ks in ([], [0, 5]):
        with pytest.raises(ValueError, match="cut-offs of at least 1"):
            user_metrics(slates, labels, ks)
    with pytest.raises(ValueError, match="known_users None: popularity needs"):
        Facts(popularity=labels)
    with pytest.raises(ValueError, match="overlaps need popularity"):
        Facts(overlaps=labels)


def test_overlaps_are_of_items_in_slates_and_of_the_chosen_users(spark) -> None:
    had = {"u1": {"a", "b", "d"}, "u2": {"a", "b"}, "u3": {"a", "c"}}
    slates = spark.createDataFrame([("m", "u", r, i) for r, i in enumerate("cab", 1)], SLATES)
    overlaps = audience_overlaps(pairs_in(spark, had), slates)
    rows = {(row.item_id, row.other_id): row.jaccard for row in overlaps.collect()}
    assert rows == pytest.approx({("a", "b"): 2 / 3, ("a", "c"): 1 / 3})
    of_one = audience_overlaps(pairs_in(spark, had), slates, users=1).collect()
    assert [row.jaccard for row in of_one] == [1.0]


def test_means_are_of_everybody_and_of_each_slice_with_those_who_have_a_figure(spark) -> None:
    rows = [("m", "u1", 1.0, 3.0), ("m", "u2", 0.0, None), ("m", "u3", 0.5, 1.0)]
    judged = spark.createDataFrame(rows, SUMMARY)
    tagged = [("u1", "warm"), ("u2", "cold"), ("u1", "category: jazz"), ("stranger", "cold")]
    slices = spark.createDataFrame(tagged, "user_id string, slice string")
    found = {(r.slice, r.metric): (r.value, r.users) for r in summarise(judged, slices).collect()}
    assert found == {
        ("all", "ndcg@2"): (0.5, 3),
        ("all", "novelty@2"): (2.0, 2),
        ("warm", "ndcg@2"): (1.0, 1),
        ("warm", "novelty@2"): (3.0, 1),
        ("cold", "ndcg@2"): (0.0, 1),
        ("category: jazz", "ndcg@2"): (1.0, 1),
        ("category: jazz", "novelty@2"): (3.0, 1),
    }
    columns = summarise(judged).columns
    assert columns == ["model", "metric", "slice", "value", "users"]


def test_coverage_and_gini_by_hand(spark) -> None:
    world = World(slates={"m": {"u1": ["a", "b"], "u2": ["a", "c"]}, "n": {"u1": ["a"]}}, labels={})
    slates = slates_in(spark, world)
    rows = catalogue_metrics(slates, 4, [1, 2], models=["m", "mute"]).collect()
    found = {(row.model, row.metric): (row.value, row.users) for row in rows}
    assert found == {
        ("m", "coverage@1"): (1 / 4, 2),
        ("m", "gini@1"): (3 / 4, 2),
        ("m", "coverage@2"): (3 / 4, 2),
        # Of 0, 1, 1 and 2 times: (-3 * 0 - 1 + 1 + 3 * 2) / (4 * 4)
        ("m", "gini@2"): (6 / 16, 2),
        ("mute", "coverage@1"): (0.0, 0),
        ("mute", "coverage@2"): (0.0, 0),
    }
    assert catalogue_metrics(slates, 0, [1]).collect() == []
