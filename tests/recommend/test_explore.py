"""Places that try things out: what is drawn, how often, and with which probability logged."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.evaluate.off_policy import value_of
from ebb.recommend.explore import draw, probabilities_of, uniform
from ebb.recommend.reasons import PICKED_AS_NEW, PICKED_AS_RISING
from ebb.recommend.settings import Explore
from ebb.recommend.slates import Ranking
from recommend.slate_oracle import DAY, Item, SmallWorld, random_world

CHANCES = np.array([0.4, 0.2, 0.1, 0.05])
POPULAR = {"popularity_flat": 1.0}


def test_probabilities_by_hand() -> None:
    greedy = Explore(epsilon=0.2)
    assert probabilities_of(CHANCES, greedy) == pytest.approx([0.85, 0.05, 0.05, 0.05])
    assert probabilities_of(CHANCES, Explore(epsilon=0.0)) == pytest.approx([1, 0, 0, 0])
    softmax = probabilities_of(CHANCES, Explore(method="softmax"))
    assert softmax == pytest.approx(CHANCES / 0.75)


@pytest.mark.parametrize("settings", [Explore(epsilon=0.4), Explore(method="softmax")])
def test_items_are_drawn_as_often_as_their_propensity_says(settings: Explore) -> None:
    drawn = [draw(CHANCES, f"u{user}", 7, settings)[0] for user in range(4_000)]
    expected = probabilities_of(CHANCES, settings)
    counts = Counter(one.row for one in drawn)
    for row, probability in enumerate(expected):
        noise = 4 * (probability * (1 - probability) / 4_000) ** 0.5
        assert counts[row] / 4_000 == pytest.approx(probability, abs=noise)
    assert all(one.propensity == expected[one.row] for one in drawn)


@given(st.integers(1, 6), st.integers(1, 6), st.text(max_size=8))
def test_places_show_different_items_and_a_rerun_the_same(
    places: int, pool: int, user: str
) -> None:
    settings = Explore(places=places, pool=pool, epsilon=1.0)
    first = draw(CHANCES, user, 7, settings)
    assert first == draw(CHANCES, user, 7, settings)
    assert len({one.row for one in first}) == len(first) == min(places, pool, 4)
    # All alike among those that are left.
    left = min(pool, 4)
    assert [one.propensity for one in first] == pytest.approx(
        [1 / (left - place) for place in range(len(first))]
    )


def test_seed_night_user_and_place_each_draw_anew() -> None:
    base = (1, 7, "u", 0)
    others = [(2, 7, "u", 0), (1, 8, "u", 0), (1, 7, "v", 0), (1, 7, "u", 1)]
    assert len({uniform(*one) for one in (base, *others)}) == 5
    numbers = np.sort([uniform(1, 7, f"u{k}", 0) for k in range(2_000)])
    # Kolmogorov-Smirnov, at one in a thousand.
    assert np.abs(numbers - np.arange(2_000) / 2_000).max() < 1.95 / 2_000**0.5


def test_another_policy_can_be_judged_by_what_was_drawn() -> None:
    """Whoever is shown item 2 takes it in every third case, others never take anything."""
    softmax = probabilities_of(CHANCES, Explore(method="softmax"))
    truth, inside = softmax[2] / 3, 0
    for seed in range(20):
        settings = Explore(epsilon=0.5, seed=seed)
        drawn = [draw(CHANCES, f"u{user}", 7, settings)[0] for user in range(1_500)]
        rewards = [float(one.row == 2 and user % 3 == 0) for user, one in enumerate(drawn)]
        logged = [one.propensity for one in drawn]
        target = [softmax[one.row] for one in drawn]
        found = value_of(rewards, logged, target, np.arange(1_500), draws=200)
        inside += found.snips.low < truth < found.snips.high
    assert inside >= 17


def test_a_slates_last_places_are_for_what_is_new_or_rising_and_say_so(spark) -> None:
    shelf = {item: Item(f"Title {item}") for item in "abcfg"} | {
        "born": Item("Born", published=1.0)
    }
    world = SmallWorld(
        ["ann"],
        shelf,
        [("x", item, 50.0, 60.0) for item in "abc"]
        + [("x", "f", 1.0, 1.0), ("x", "g", 50.0, 1.0)]
        + [("x", "g", 1.0, 1.0)] * 3,
    )
    settings = Explore(places=2, epsilon=0.0, within=4 * DAY, pool=2)
    rows = world.slates(spark, Ranking(POPULAR, explore=settings), repeat=True, n=4)["ann"]
    # g is taken more than it was; f is new, as is what nobody touched, and scores more than that.
    assert [row["item_id"] for row in rows] == ["a", "b", "g", "f"]
    assert [row["propensity"] for row in rows] == [1.0] * 4
    said = [(row["source"], row["reasons"][0]["sentence"]) for row in rows[2:]]
    assert said == [("rising", PICKED_AS_RISING), ("new", PICKED_AS_NEW)]


def test_slates_with_trials_keep_their_length_and_log_what_hangs_on_the_user_alone(spark) -> None:
    world = random_world(9, users=12)
    ranking = Ranking(POPULAR, explore=Explore(places=2, epsilon=1.0, within=60 * DAY))
    trying = world.slates(spark, ranking, repeat=True, n=6)
    shuffled = world.event_frame(spark).repartition(3)
    assert trying == world.slates(spark, ranking, True, shuffled, n=6)
    for rows in trying.values():
        assert len({row["item_id"] for row in rows}) == len(rows) == 6
        assert all(row["propensity"] == 1.0 for row in rows[:4])
        drawn = [row["propensity"] for row in rows if row["propensity"] < 1.0]
        if len(drawn) == 2:  # of as many items as were left, all alike
            assert 1 / drawn[1] == pytest.approx(1 / drawn[0] - 1)
    assert any(row["propensity"] < 1.0 for rows in trying.values() for row in rows)
