"""Losses by hand, and networks that learn what there is to learn."""

from __future__ import annotations

from math import exp, log, log1p

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra deep isn't installed")

from ebb.foretell.contest import verdict
from ebb.foretell.learn import judge, learn
from ebb.foretell.losses import foretold, losses
from ebb.foretell.model import Foreteller
from ebb.foretell.pasts import FEATURES, HALF_LIVES, Events, Pasts, pasts_of
from ebb.foretell.settings import Foretell
from ebb.foretell.training import fit_baseline

GROUP = torch.tensor([0, 0, 1])
SCORES = torch.tensor([0.0, log(3), 1.0], dtype=torch.float64)
LABEL = torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64)
QUICK = Foretell(judged=2, epochs=20, batch=64, rate=0.02, dropout=0, dimension=8, users=50)


def test_the_log_loss_is_of_each_key_met_or_not() -> None:
    sums, units = losses("bce", SCORES, LABEL, GROUP, 2)
    assert sums.tolist() == pytest.approx([log(2) + log(4 / 3), log1p(exp(1))])
    assert units.tolist() == [2, 1]


def test_the_cross_entropy_is_of_shares_where_anything_was_met() -> None:
    sums, units = losses("softmax", SCORES, LABEL, GROUP, 2)
    assert sums.tolist() == pytest.approx([-(0.25 * log(0.25) + 0.75 * log(0.75)), 0])
    assert units.tolist() == [1, 0]


def test_the_squared_loss_is_of_the_logarithm_of_the_weight() -> None:
    sums, _ = losses("mse", SCORES, LABEL, GROUP, 2)
    assert sums.tolist() == pytest.approx([log1p(1) ** 2 + (log(3) - log1p(3)) ** 2, 1])


def test_scores_become_probabilities_shares_or_sizes() -> None:
    assert foretold("bce", SCORES, GROUP, 2).tolist() == pytest.approx([0.5, 0.75, 0.731059])
    assert foretold("softmax", SCORES, GROUP, 2).tolist() == pytest.approx([0.25, 0.75, 1])
    assert foretold("mse", -SCORES, GROUP, 2).tolist() == [0, 0, 0]


def every_other(periods: int) -> list[Pasts]:
    """People who meet two keys in turns and have given up a third: who comes next is neither what
    was met last nor what was met longest ago."""
    dice, parts = np.random.default_rng(0), []
    for _ in range(periods):
        rows = []
        for user in range(40):
            for key, ages in enumerate(([-1, 1, 3, 5, 7], [0, 2, 4, 6], [4, 5, 6, 7])):
                later = dice.random() * 0.9 + 0.05
                rows += [(user, 3 * user + key, age + later, 1.0) for age in ages]
        group, key_of, age, weight = (np.array(column) for column in zip(*rows, strict=True))
        parts.append(pasts_of(Events(40, group, key_of, age, weight), 6))
    return parts


@pytest.mark.parametrize(("kind", "loss"), [("dense", "bce"), ("gru", "softmax"), ("lstm", "mse")])
def test_a_network_learns_a_habit_that_no_decay_foretells(kind: str, loss: str) -> None:
    settings = QUICK.model_copy(update={"kind": kind, "loss": loss})
    found = verdict(judge(every_other(4), settings))
    assert found is not None and found.serves
    assert found.network < 0.3 * found.decayed


def by_decay(periods: int) -> list[Pasts]:
    """People whose meeting a key has just the odds that x_4 has, whatever else."""
    dice, parts = np.random.default_rng(1), []
    for _ in range(periods):
        features = dice.normal(size=(400, FEATURES)).astype(np.float32)
        odds = 2.0 * features[:, HALF_LIVES.index(4.0)] - 1.0
        label = (dice.random(400) < 1 / (1 + np.exp(-odds))).astype(float)
        group = np.repeat(np.arange(100), 4)
        parts.append(Pasts(group, np.arange(400), features, np.zeros((400, 0, 3), "f"), label))
    return parts


def test_the_baseline_finds_the_half_life_and_its_line() -> None:
    baseline = fit_baseline(Pasts.joined(by_decay(10)), "bce")
    assert HALF_LIVES[baseline.column] == 4.0
    assert (baseline.intercept, baseline.slope) == pytest.approx((-1, 2), abs=0.25)


def test_where_the_decayed_past_says_all_the_network_does_not_serve() -> None:
    found = verdict(judge(by_decay(6), QUICK))
    assert found is not None and not found.serves
    assert "no more than noise" in found.sentence


def test_the_same_rows_give_the_same_bytes_and_those_the_same_figures() -> None:
    pasts = by_decay(4)
    one, other = learn(pasts, QUICK), learn(pasts, QUICK)
    assert one is not None and other is not None and one.raw == other.raw
    assert one.rows == 1600 and one.half_life == 4.0
    read = Foreteller.of(one.raw)
    whole = read.foretold(pasts[0])
    part = read.foretold(pasts[0].where(pasts[0].group >= 40))
    for name in ("network", "decayed"):
        assert whole[name][160:].tolist() == part[name].tolist()
        assert 0 < whole[name].min() < whole[name].max() < 1


def test_without_a_period_before_those_held_out_nothing_is_learned() -> None:
    assert learn(by_decay(2), QUICK) is None and learn([], QUICK) is None
