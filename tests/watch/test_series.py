"""A sudden drop of a metric, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.watch.series import course_of
from ebb.watch.settings import Watch

WATCH = Watch()
# Median .20; absolute deviations .02 .01 .01 0 .01 .01 .02, whose median is .01.
WEEK = [0.18, 0.19, 0.19, 0.20, 0.21, 0.21, 0.22]
PLAIN = [0.1] * 7


def test_a_figure_drops_beyond_three_robust_deviations_by_hand() -> None:
    # .20 - 3 * .014826 = .155522
    above, below = (course_of([*WEEK, x], [*PLAIN, 0.1], WATCH) for x in (0.156, 0.155))
    assert above is not None and below is not None
    assert (above.usual, above.deviation) == pytest.approx((0.20, 0.014826))
    assert (above.is_drop, below.is_drop) == (False, True)
    assert below.change == pytest.approx(-0.225) and below.plain_change == 0.0


def test_it_is_no_drop_where_plain_popularity_fell_as_much() -> None:
    found = course_of([*WEEK, 0.10], [*PLAIN, 0.05], WATCH)
    assert found is not None and not found.is_drop
    found = course_of([*WEEK, 0.10], [*PLAIN, 0.06], WATCH)
    assert found is not None and found.is_drop


def test_with_few_nights_before_nothing_is_said() -> None:
    assert course_of(WEEK, PLAIN, WATCH) is None
    assert course_of([], [], WATCH) is None


def test_only_the_last_nights_count_and_one_odd_night_carries_nothing_off() -> None:
    old = [9.0] * 50
    few = Watch(nights=7)
    assert course_of([*old, *WEEK, 0.1], [*old, *PLAIN, 0.1], few) == course_of(
        [*WEEK, 0.1], [*PLAIN, 0.1], few
    )
    odd = course_of([*WEEK, 0.9, 0.1], [*PLAIN, 0.1, 0.1], WATCH)
    assert odd is not None and odd.is_drop


def test_a_series_that_never_moved_drops_by_more_than_a_hair() -> None:
    hair = course_of([0.2] * 7 + [0.199], [*PLAIN, 0.1], WATCH)
    fall = course_of([0.2] * 7 + [0.187], [*PLAIN, 0.1], WATCH)
    assert hair is not None and not hair.is_drop
    assert fall is not None and fall.is_drop


@given(st.permutations(WEEK), st.floats(0, 1))
def test_the_order_of_the_nights_before_does_not_matter(week: list[float], last: float) -> None:
    assert course_of([*week, last], [*PLAIN, 0.1], WATCH) == course_of(
        [*WEEK, last], [*PLAIN, 0.1], WATCH
    )
