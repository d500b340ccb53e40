import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.evaluate.metrics import (
    average_precision,
    hit_rate,
    ideal_gain,
    mrr,
    ndcg,
    precision,
    recall,
)

SLATE = ["a", "b", "c", "d", "e"]
METRICS = (recall, precision, ndcg, average_precision, hit_rate, mrr)


def test_hits_at_ranks_2_and_4_of_three_labels_by_hand() -> None:
    labels = {"b", "d", "z"}
    assert recall(SLATE, labels, 5) == pytest.approx(2 / 3)
    assert precision(SLATE, labels, 5) == 2 / 5
    assert average_precision(SLATE, labels, 5) == pytest.approx((1 / 2 + 2 / 4) / 3)
    # 1/log2(3) + 1/log2(5) over 1/log2(2) + 1/log2(3) + 1/log2(4)
    assert ndcg(SLATE, labels, 5) == pytest.approx(
        (0.6309297535714575 + 0.43067655807339306) / (1 + 0.6309297535714575 + 0.5)
    )
    assert hit_rate(SLATE, labels, 5) == 1.0
    assert mrr(SLATE, labels, 5) == 0.5


def test_ranks_below_the_cut_do_not_count() -> None:
    labels = {"d"}
    assert [metric(SLATE, labels, 3) for metric in METRICS] == [0] * len(METRICS)


def test_the_ideal_slate_has_no_more_hits_than_places() -> None:
    assert ndcg(["a", "b"], {"a", "b", "c", "d"}, 2) == pytest.approx(1.0)
    assert average_precision(["a", "b"], {"a", "b", "c", "d"}, 2) == 1.0
    assert recall(["a", "b"], {"a", "b", "c", "d"}, 2) == 0.5


def test_a_short_slate_is_judged_by_the_places_that_it_could_have_filled() -> None:
    assert ndcg(["a"], {"a", "b"}, 10) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert average_precision(["a"], {"a", "b"}, 10) == 1 / 2
    assert precision(["a"], {"a", "b"}, 10) == 1 / 10


def test_no_slate_scores_zero() -> None:
    assert [metric([], {"a"}, 10) for metric in METRICS] == [0] * len(METRICS)


def test_a_label_given_twice_counts_once() -> None:
    assert recall(SLATE, ["a", "a", "z"], 5) == 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_what_cannot_be_judged_is_refused(metric) -> None:
    with pytest.raises(ValueError, match="no labels"):
        metric(SLATE, set(), 5)
    with pytest.raises(ValueError, match="at least 1"):
        metric(SLATE, {"a"}, 0)
    with pytest.raises(ValueError, match="repeats an item"):
        metric(["a", "a"], {"a"}, 5)


def test_the_ideal_gain_of_three_hits_by_hand() -> None:
    assert ideal_gain(3) == pytest.approx(1 + 0.6309297535714575 + 0.5)
    assert ideal_gain(0) == 0


@given(
    st.lists(st.sampled_from("abcdefghij"), unique=True),
    st.sets(st.sampled_from("abcdefghijkl"), min_size=1),
    st.integers(1, 12),
)
def test_metrics_lie_between_0_and_1_and_agree_on_whether_there_was_a_hit(
    slate: list[str], labels: set[str], n: int
) -> None:
    values = [metric(slate, labels, n) for metric in METRICS]
    assert all(0 <= value <= 1 + 1e-12 for value in values)
    assert len({value > 0 for value in values}) == 1
    best = sorted(labels)[:n]
    assert ndcg(best, labels, n) == pytest.approx(1.0)
