from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ebb.recommend.selection import top_n
from ebb.rounding import significant_array

# Few values, some a hair apart, so that ties and near ties cross the boundary of the top n.
SCORE = st.one_of(
    st.sampled_from([-np.inf, 0.0, 0.5, 0.5000001, 0.50000051, 0.500001, 1.0, 1.0000004]),
    st.floats(0.0, 2.0, allow_subnormal=False),
)


@given(st.lists(SCORE, max_size=40), st.integers(1, 12))
def test_top_n_equals_a_full_sort_by_rounded_score_and_place(scores, n):
    values = np.array(scores, dtype=np.float64)
    rounded = [float(x) for x in significant_array(values)]
    allowed = [place for place in range(len(scores)) if scores[place] > -np.inf]
    expected = sorted(allowed, key=lambda place: (-rounded[place], place))[:n]
    assert top_n(values, n).tolist() == expected


def test_scores_that_round_alike_tie_by_place():
    assert top_n(np.array([0.3, 0.12345649, 0.12345651]), 3).tolist() == [0, 2, 1]
    assert top_n(np.array([0.1234561, 0.1234562, 0.1234563]), 2).tolist() == [0, 1]


def test_zeros_fill_up_in_order_and_what_is_left_out_never_does():
    scores = np.array([0.0, -np.inf, 0.0, 2.0, 0.0])
    assert top_n(scores, 3).tolist() == [3, 0, 2]
    assert top_n(scores, 9).tolist() == [3, 0, 2, 4]
    assert top_n(np.array([-np.inf, -np.inf]), 2).tolist() == []
