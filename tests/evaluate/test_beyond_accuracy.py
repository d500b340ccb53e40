import math

import numpy as np
import pytest
from scipy.stats import entropy

from ebb.evaluate.beyond_accuracy import (
    calibration,
    coverage,
    diversity,
    gini,
    novelty,
    serendipity,
)
from ebb.evaluate.catalogue import catalogue_metrics
from evaluate.worlds import random_world, slates_in

SLATE = ["a", "b", "c"]


def test_a_hit_that_popularity_would_have_shown_is_no_serendipity() -> None:
    labels = {"a", "c", "z"}
    assert serendipity(SLATE, labels, ["a", "z"], 3) == pytest.approx(1 / 3)
    # c is third in the popular slate, below a cut of 2.
    assert serendipity(["c", "a"], labels, ["a", "z", "c"], 2) == 1 / 2
    assert serendipity(SLATE, labels, [], 3) == pytest.approx(2 / 3)
    assert serendipity([], labels, ["a"], 3) == 0


def test_novelty_is_the_mean_of_bits_and_nobody_counts_as_one_user() -> None:
    users = {"a": 8, "b": 2, "c": 0}
    assert novelty(SLATE, users, 8, 1) == 0
    assert novelty(SLATE, users, 8, 2) == (0 + 2) / 2
    assert novelty(SLATE, users, 8, 3) == (0 + 2 + 3) / 3
    assert novelty(["unheard of"], users, 8, 3) == 3
    assert novelty([], users, 8, 3) is None


def test_diversity_is_the_mean_distance_of_pairs_by_hand() -> None:
    sets = {"a": ["x", "y"], "b": ["x"], "c": ["z"], "bare": []}
    # 1 - 1/2, 1 - 0 and 1 - 0
    assert diversity(SLATE, sets, 3) == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert diversity(SLATE, sets, 2) == 1 / 2
    assert diversity(["a", "bare", "b", "unknown"], sets, 4) == 1 / 2
    assert diversity(["a", "bare"], sets, 2) is None


def test_a_slate_in_the_users_own_shares_is_calibrated() -> None:
    categories = {"a": ["x"], "b": ["x", "y"], "c": ["y"]}
    assert calibration(SLATE, categories, {"x": 3.0, "y": 3.0}, 3) == pytest.approx(0, abs=1e-12)


def test_calibration_by_hand_and_where_nothing_fits() -> None:
    categories = {"a": ["x"], "b": ["x", "y"], "c": ["y"]}
    wanted = {"x": 0.5, "y": 0.5, "never": -1.0}
    by_hand = 0.5 * math.log(0.5 / 0.7475) + 0.5 * math.log(0.5 / 0.2525)
    assert calibration(["a", "b", "bare"], categories, wanted, 3) == pytest.approx(by_hand)
    assert calibration(["a"], categories, {"z": 1.0}, 3) == pytest.approx(math.log(100))
    assert calibration(["a"], categories, {}, 3) is None
    assert calibration(["bare"], categories, wanted, 3) is None


def test_coverage_counts_items_within_the_cut() -> None:
    assert coverage([["a", "b"], ["a", "c"]], 4, 1) == 1 / 4
    assert coverage([["a", "b"], ["a", "c"]], 4, 2) == 3 / 4


def test_gini_is_0_for_equal_items_and_1_less_1_over_all_for_a_single_one() -> None:
    assert gini([["a", "b"], ["b", "a"]], 2, 2) == 0
    assert gini([["a"], ["a"]], 4, 1) == 3 / 4
    assert gini([["a", "b"], ["a", "c"]], 4, 2) == 6 / 16
    assert gini([[]], 4, 1) is None


@pytest.mark.parametrize("seed", range(5))
def test_calibration_is_the_relative_entropy_that_scipy_gives(seed: int) -> None:
    draw = np.random.default_rng(seed)
    names = list("vwxyz")
    categories = {item: draw.permutation(names)[: draw.integers(1, 4)].tolist() for item in SLATE}
    p = draw.dirichlet(np.ones(5))
    q = [sum(name in own and 1 / len(own) for own in categories.values()) / 3 for name in names]
    found = calibration(SLATE, categories, dict(zip(names, 7 * p, strict=True)), 3)
    assert found == pytest.approx(entropy(p, 0.99 * np.array(q) + 0.01 * p))


@pytest.mark.parametrize("seed", range(2))
def test_gini_in_spark_is_the_mean_difference_of_any_two_items(spark, seed: int) -> None:
    world, eligible = random_world(seed), 20
    rows = catalogue_metrics(slates_in(spark, world), eligible, [4]).collect()
    found = {row.model: row.value for row in rows if row.metric == "gini@4"}
    for model, lists in world.slates.items():
        shown = [item for slate in lists.values() for item in slate[:4]]
        counts = np.zeros(eligible)
        for place, item in enumerate(sorted(set(shown))):
            counts[place] = shown.count(item)
        differences = np.abs(counts[:, None] - counts[None, :]).mean()
        assert gini(list(lists.values()), eligible, 4) == pytest.approx(found[model])
        assert found[model] == pytest.approx(differences / (2 * counts.mean()))
