"""Arms of an experiment: against scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ebb.evaluate.experiments import Group, sample_ratio_p, welch


def test_the_interval_of_a_difference_is_welchs() -> None:
    draw = np.random.default_rng(2)
    one, other = draw.normal(1.0, 2.0, 40), draw.normal(0.5, 0.5, 25)
    groups = [Group(len(x), float(x.mean()), float(x.var(ddof=1))) for x in (one, other)]
    found = welch(*groups)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert found is not None and found.users == 65
    assert found.value == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_a_lone_user_says_nothing_of_a_difference_and_equal_figures_leave_no_doubt() -> None:
    assert welch(Group(1, 1.0, 0.0), Group(9, 0.0, 1.0)) is None
    same = welch(Group(3, 1.0, 0.0), Group(3, 0.5, 0.0))
    assert same is not None and (same.low, same.high) == (0.5, 0.5)


def test_sizes_are_held_against_the_shares_that_were_meant() -> None:
    # (60 - 50)²/50 twice is 4, whose tail at one degree of freedom is .0455.
    assert sample_ratio_p({"a": 60, "b": 40}, {"a": 1, "b": 1}) == pytest.approx(0.0455, abs=1e-4)
    assert sample_ratio_p({"a": 90, "b": 10}, {"a": 0.9, "b": 0.1}) == 1.0
    assert sample_ratio_p({"a": 5_000}, {"a": 0.5, "b": 0.5}) < 1e-9
    assert sample_ratio_p({}, {"a": 0.5, "b": 0.5}) == 1.0
