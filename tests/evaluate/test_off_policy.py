"""Off-policy estimates where the truth is known: by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from ebb.evaluate.off_policy import value_of

# Chance of a take of each of five items; the logged policy mostly shows the first.
TAKEN = np.array([0.1, 0.3, 0.05, 0.2, 0.15])
EPSILON = 0.4


def simulated(rows: int, seed: int):
    """Places drawn by epsilon-greedy, rewards drawn by their items' chances."""
    draw = np.random.default_rng(seed)
    chances = np.full(5, EPSILON / 5) + (1 - EPSILON) * (np.arange(5) == 0)
    shown = draw.choice(5, rows, p=chances)
    rewards = draw.random(rows) < TAKEN[shown]
    return shown, rewards.astype(float), chances[shown], draw.integers(0, rows // 3, rows)


def test_both_estimates_by_hand() -> None:
    # w = 2, 1, 0, 4 of rewards 1, 0, 1, 1: sum 6 over 4 rows, over weights that add up to 7.
    logged, target = [0.25, 0.5, 0.5, 0.25], [0.5, 0.5, 0.0, 1.0]
    found = value_of([1, 0, 1, 1], logged, target, list("abcd"))
    assert found.ips.value == pytest.approx(1.5) and found.snips.value == pytest.approx(6 / 7)
    assert found.effective == pytest.approx(49 / 21) and found.clipped == 0.0
    clipped = value_of([1, 0, 1, 1], logged, target, list("abcd"), clip=2.0)
    assert clipped.ips.value == pytest.approx(1.0) and clipped.snips.value == pytest.approx(0.8)
    assert clipped.clipped == 0.25


def test_what_is_logged_is_worth_what_it_brought() -> None:
    _, rewards, logged, users = simulated(400, 3)
    found = value_of(rewards, logged, logged, users)
    assert found.ips.value == pytest.approx(rewards.mean())
    assert found.snips.value == pytest.approx(rewards.mean())


@pytest.mark.parametrize(("best", "truth"), [(1, 0.3), (None, TAKEN.mean())])
def test_the_intervals_hold_the_true_value_about_as_often_as_they_say(best, truth) -> None:
    """Policies that always show the second item, and that show all alike; 100 logs of each."""
    inside, snips_inside, errors = 0, 0, []
    for seed in range(100):
        shown, rewards, logged, users = simulated(1_000, seed)
        target = np.full(1_000, 0.2) if best is None else (shown == best).astype(float)
        found = value_of(rewards, logged, target, users, draws=200)
        inside += found.ips.low <= truth <= found.ips.high
        snips_inside += found.snips.low <= truth <= found.snips.high
        errors.append((found.ips.value - truth, found.snips.value - truth))
    assert inside >= 87 and snips_inside >= 87
    bias, noise = np.mean(errors, axis=0), np.std(errors, axis=0)
    assert np.abs(bias).max() < 0.01
    assert noise[1] < noise[0]  # what normalising is for


def test_what_could_not_be_shown_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="probability of 0"):
        value_of([1.0], [0.0], [1.0], ["a"])
    with pytest.raises(ValueError, match="nothing of what was shown"):
        value_of([1.0], [0.5], [0.0], ["a"])
