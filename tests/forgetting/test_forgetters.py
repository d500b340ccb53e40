"""Half-lives from simulated pasts: recovered, shrunk, and one for all where all are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ebb.forgetting.cells import SHARES, Grid, Rates, cells_of
from ebb.forgetting.described import FEATURES, describe, segments
from ebb.forgetting.forgetters import (
    MODELS,
    choose_prior,
    fit_models,
    foresee,
    half_lives_of,
    waiting_columns,
)
from ebb.forgetting.pasts import Cuts, Observed
from ebb.forgetting.priors import Prior, digamma, fit_prior
from ebb.forgetting.visits import Doubles, Visits, visits_of
from forgetting.test_intensity import visits

SPAN = 60.0
GRID = Grid.over(SPAN)


def simulated(half_lives: Doubles, seed: int, until: float = 0.0) -> Visits:
    """Pasts of four keys each, thinned from the intensity with branching 0.7 and a floor."""
    rng = np.random.default_rng(seed)
    user, key, ts = [], [], []
    for who, half_life in enumerate(half_lives):
        for which in range(4):
            t, total = -SPAN, 1.0
            seen = [t]
            while True:
                bound = 0.05 + 0.7 * math.log(2.0) / half_life * total
                wait = rng.exponential(1.0 / bound)
                t, total = t + wait, total * 2.0 ** (-wait / half_life)
                if t >= until:
                    break
                rate = 0.05 + 0.7 * math.log(2.0) / half_life * total
                if rng.uniform() * bound < rate:
                    seen.append(t)
                    total += 1.0
            user += [who] * len(seen)
            key += [who * 4 + which] * len(seen)
            ts += seen
    return visits_of(len(half_lives), np.array(user), np.array(key), np.array(ts), 0.0)


def cut(found: Visits, until: float) -> Visits:
    known = found.start < until
    return visits_of(found.users, found.user[known], found.key[known], found.start[known], 0.0)


def observed(found: Visits, until: float = 0.0) -> Observed:
    return Observed.of(cut(found, until), Cuts(None, (), 0.0, GRID), until)  # type: ignore[arg-type]


def test_half_lives_are_recovered_and_foresee_better_than_one_for_all() -> None:
    true = np.exp(np.random.default_rng(1).normal(math.log(3.0), 0.9, 110))
    pasts = simulated(true, 2)
    earlier, before, now = (observed(pasts, until) for until in (-20.0, -10.0, 0.0))
    prior = choose_prior(earlier.cells, before.cells, GRID, earlier.described, before.described)
    assert prior.kind != "global"
    found = half_lives_of(now.cells, GRID, prior, now.described)
    order = np.corrcoef(np.argsort(np.argsort(found.days)), np.argsort(np.argsort(true)))[0, 1]
    assert order > 0.75
    inside = np.abs(np.log(found.days / true)) < 2.0 * found.deviation
    assert inside.mean() > 0.85
    models = fit_models(prior, before.cells, GRID, before.described, before.waited)
    seen = foresee(before.cells, now.cells, GRID, models, before.described, before.waited)
    totals = dict(zip(MODELS, seen.loglik.sum(axis=0), strict=True))
    assert totals["adaptive"] > totals["point"] > totals["global"] > totals["constant"]
    assert seen.expected[:, 0].sum() == pytest.approx(seen.returns.sum(), rel=0.2)


def test_people_who_are_all_alike_get_one_half_life() -> None:
    pasts = simulated(np.full(120, 3.0), 5)
    earlier, now = observed(pasts, -10.0), observed(pasts)
    prior = fit_prior("segment", now.cells, GRID, now.described)
    assert prior.deviation < 0.35
    single = fit_prior("global", now.cells, GRID, now.described)
    assert GRID.half_lives[single.column or 0] == pytest.approx(3.0, rel=0.4)
    chosen = choose_prior(earlier.cells, now.cells, GRID, earlier.described, now.described)
    found = half_lives_of(now.cells, GRID, chosen, now.described)
    assert np.quantile(found.days, 0.9) < 2.0 * np.quantile(found.days, 0.1)


def test_somebody_who_never_came_back_has_the_prior_s_half_life() -> None:
    alone = visits([{"a": [-0.5]}, {"a": [-30.0, -29.9, -29.0, -28.0], "b": [-9.0]}], 0.0)
    described = describe(alone, 0.0)
    prior = Prior(Rates(1.0, 1.0, np.full(len(SHARES), 1.0 / len(SHARES))), column=7)
    found = half_lives_of(cells_of(alone, GRID, 0.0, 0.0), GRID, prior, described)
    assert found.days.tolist() == pytest.approx([GRID.half_lives[7]] * 2)
    assert found.deviation.tolist() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_a_past_is_described_by_hand() -> None:
    got = describe(visits([{"a": [-3.5, -2.5, -1.0], "b": [-2.0]}, {}], 0.0), 0.0)
    by_name = dict(zip(FEATURES, got[0].tolist(), strict=True))
    assert by_name["log_returns"] == pytest.approx(math.log(3.0))
    assert by_name["log_visits"] == pytest.approx(math.log(4.0))
    assert by_name["log_active_days"] == pytest.approx(math.log(4.0))
    assert by_name["log_tenure"] == pytest.approx(math.log(3.5 + 1.0 / 24.0))
    assert by_name["log_median_gap"] == pytest.approx(math.log(1.0 + 1.0 / 24.0))
    assert by_name["repeat_share"] == 0.5
    assert by_name["entropy"] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert got[1].tolist() == [0.0] * len(FEATURES)
    assert segments(got).argmax(axis=1).tolist() == [0, 0]


def test_waiting_times_are_shrunk_to_the_average_user_s() -> None:
    cells = cells_of(visits([{"a": [-40.0, -20.0]}, {"a": [-5.0]}], 0.0), GRID, 0.0, 0.0)
    got = GRID.half_lives[waiting_columns(cells, GRID, np.array([20.0, 0.0]), 4.0)]
    # (20 + 3 · 4) / (1 + 3) = 8 d, and 4 d; times ln 2, brought to the grid.
    assert got.tolist() == pytest.approx([8.0 * math.log(2.0), 4.0 * math.log(2.0)], rel=0.2)


def test_digamma_is_the_slope_of_the_log_of_gamma() -> None:
    x = np.array([0.1, 0.5, 1.0, 3.7, 250.0])
    slope = [(math.lgamma(v + 1e-5) - math.lgamma(v - 1e-5)) / 2e-5 for v in x]
    assert digamma(x).tolist() == pytest.approx(slope, rel=1e-6, abs=1e-6)
