"""Visits and the likelihood of returns, by hand and against the book."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebb.forgetting.cells import SHARES, Cells, Grid, Rates, cells_of
from ebb.forgetting.intensity import after_visits, returns_in
from ebb.forgetting.visits import Visits, latest, visits_of
from forgetting import forgetting_oracle as oracle

GAP = 0.1
GRID = Grid(np.array([0.3, 2.0, 15.0, 1e9]), 30.0)


def visits(users: list[oracle.Past], gap: float = GAP) -> Visits:
    rows = [
        (place, f"{place}/{key}", ts)
        for place, past in enumerate(users)
        for key, events in sorted(past.items())
        for ts in sorted(events)
    ]
    names = sorted({key for _, key, _ in rows}, key=[key for _, key, _ in rows].index)
    user, key, ts = (
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([names.index(row[1]) for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows]),
    )
    return visits_of(len(users), user, key, ts, gap)


def test_events_within_the_gap_of_the_one_before_are_one_visit() -> None:
    seen = visits([{"a": [-5.0, -4.95, -4.86, -4.0], "b": [-4.95]}, {}, {"a": [-4.9]}])
    assert seen.user.tolist() == [0, 0, 0, 2]
    assert seen.start.tolist() == [-5.0, -4.0, -4.95, -4.9]
    assert seen.end.tolist() == [-4.86, -4.0, -4.95, -4.9]
    assert seen.next_start.tolist() == [-4.0, math.inf, math.inf, math.inf]


def test_returns_by_hand() -> None:
    # Back after one half-life of a day, then nothing until as_of, a day later.
    found = returns_in(visits([{"a": [-2.0, -1.0]}], gap=0.0), np.array([1.0]), 0.0, -np.inf, 0.0)
    assert found.count.tolist() == [1] and found.days.tolist() == [2.0]
    assert found.excited.tolist() == [[0.5]]
    # From 1 to ½, then from 1.5 to 0.75: differences times 1 / ln 2.
    assert found.exposure[0, 0] == pytest.approx((0.5 + 0.75) / math.log(2.0))


def test_nobody_can_come_back_within_the_gap_so_that_time_is_not_observed() -> None:
    found = returns_in(visits([{"a": [-1.0, -0.95]}]), np.array([1.0]), GAP, -np.inf, 0.0)
    assert found.count.tolist() == [0]
    assert found.days[0] == pytest.approx(0.95 - GAP)


instants = st.floats(-29.0, -0.01).map(lambda t: round(t, 3))
pasts = st.dictionaries(st.sampled_from("abc"), st.lists(instants, min_size=1, max_size=6))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(pasts, min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 5),
    st.sampled_from([(-math.inf, 0.0), (-10.0, -2.0)]),
)  # fmt: skip
def test_the_likelihood_is_the_book_s(
    users: list[oracle.Past], column: int, share: int, stretch: tuple[float, float]
) -> None:
    since, until = stretch
    half_life, s, rho = float(GRID.half_lives[column]), float(SHARES[share]), 1.7
    seen = visits(users)
    found = returns_in(seen, np.array([half_life]), GAP, since, until)
    scale = math.log(2.0) / (half_life * (1.0 - 2.0 ** (-GRID.span / half_life)))
    rates = rho * (s * scale * found.excited[:, 0] + (1.0 - s) / GRID.span)
    got = np.bincount(found.user, weights=np.log(rates), minlength=len(users))
    mean = s * scale * found.exposure[:, 0] + (1.0 - s) / GRID.span * found.days
    expected = [
        oracle.log_likelihood(past, half_life, rho, s, GRID.span, GAP, since, until, 2_000)
        for past in users
    ]
    assert (got - rho * mean).tolist() == pytest.approx(expected, abs=2e-4, rel=2e-4)
    assert found.count.sum() == sum(len(oracle.returns(p, GAP, since, until)) for p in users)


def test_the_evidence_integrates_over_rates() -> None:
    past: oracle.Past = {"a": [-9.0, -8.0, -3.0], "b": [-20.0, -19.5]}
    rates = Rates(1.5, 2.0, np.full(len(SHARES), 1.0 / len(SHARES)))
    got = rates.evidence(cells_of(visits([past]), GRID, GAP, 0.0))[0, 1, 3]
    width, total = 0.002, 0.0
    one = oracle.log_likelihood(past, 2.0, 1.0, float(SHARES[3]), GRID.span, GAP, -math.inf, 0.0)
    two = oracle.log_likelihood(past, 2.0, 2.0, float(SHARES[3]), GRID.span, GAP, -math.inf, 0.0)
    n = len(oracle.returns(past, GAP, -math.inf, 0.0))
    mean = n * math.log(2.0) - (two - one)  # doubling rho adds n log 2 and takes its mean
    for rho in np.arange(width / 2, 20.0, width):
        prior = 2.0**1.5 / math.gamma(1.5) * rho**0.5 * math.exp(-2.0 * rho)
        total += width * prior * rho**n * math.exp(one + mean - rho * mean)
    assert got == pytest.approx(math.log(total / len(SHARES)), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.lists(pasts, min_size=2, max_size=4))
def test_a_user_s_cells_hang_on_nobody_else(users: list[oracle.Past]) -> None:
    together = cells_of(visits(users), GRID, GAP, 0.0)
    for place, past in enumerate(users):
        alone = cells_of(visits([past]), GRID, GAP, 0.0)
        kept = together.where(np.array([place]))
        for name in Cells.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(alone, name), getattr(kept, name))


def test_sums_after_long_histories_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    ts = np.sort(rng.uniform(-100.0, 0.0, 700)).tolist()
    seen = visits([{"a": ts, "b": [-3.0]}], gap=0.0)
    got = after_visits(seen, np.array([[1.0, 40.0]]))
    for column, half_life in enumerate((1.0, 40.0)):
        total, last = 0.0, seen.end[0]
        for place in range(int((seen.key == 0).sum())):
            total = total * 2.0 ** (-(seen.end[place] - last) / half_life) + 1.0
            last = seen.end[place]
            assert got[place, column] == pytest.approx(total, rel=1e-12)
    assert got[-1].tolist() == [1.0, 1.0]


def test_of_a_robot_only_the_latest_events_are_looked_at() -> None:
    user = np.array([0, 0, 0, 1, 1])
    kept = latest(user, np.array([-3.0, -1.0, -2.0, -9.0, -8.0]), 2)
    assert kept.tolist() == [False, True, True, True, True]
