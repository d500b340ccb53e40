from __future__ import annotations

import numpy as np
import pytest

from ebb.recommend.rerank import Pool, divergence, reranked, similarity
from ebb.recommend.settings import Rerank


def pool(scores, keys, shares=()):
    """keys: the key numbers of each item."""
    count = 1 + max((k for own in keys for k in own), default=-1)
    mass = np.zeros((len(scores), count))
    for row, own in enumerate(keys):
        for key in own:
            mass[row, key] = 1 / len(own)
    return Pool(np.array(scores), mass, np.array(shares or [0.0] * count))


def picked(pool, n, **settings):
    return reranked(pool, n, Rerank(**settings)).tolist()


def test_without_a_method_the_best_scored_come_in_their_order() -> None:
    one = pool([4.0, 3.0, 2.0], [[0], [0], [1]])
    assert picked(one, 2) == [0, 1]
    assert picked(one, 9) == [0, 1, 2]
    assert picked(one, 2, method="mmr", strength=0.0) == [0, 1]


def test_mmr_by_hand_takes_off_what_an_item_shares_with_those_above() -> None:
    # Relevance 1, .9, .5, 0. After the first: .9/2 - 1/2 < .5/2 - .5/2 (half in common) < 0 - 0.
    one = pool([10.0, 9.0, 5.0, 0.0], [[0], [0], [0, 1], [2]])
    assert picked(one, 4, method="mmr", strength=0.5) == [0, 2, 3, 1]
    assert picked(one, 2, method="mmr", strength=0.1) == [0, 1]
    assert similarity(one.keys > 0)[0].tolist() == [1.0, 1.0, 0.5, 0.0]


def test_items_without_a_key_are_like_none() -> None:
    one = pool([3.0, 2.0, 1.0], [[], [], [0]])
    assert picked(one, 3, method="mmr", strength=0.9) == [0, 1, 2]


def test_calibration_brings_the_slate_near_the_users_shares() -> None:
    # Half of the user's interest is in key 1, of which only weak items are.
    scores = [9.0, 8.9, 8.8, 8.7, 1.0, 0.9, 0.0]
    one = pool(scores, [[0], [0], [0], [0], [1], [1], [1]], shares=[0.5, 0.5])
    assert picked(one, 4) == [0, 1, 2, 3]
    slate = picked(one, 4, method="calibrated", strength=0.9)
    assert sum(row >= 4 for row in slate) == 2


def test_divergence_is_zero_for_equal_shares_and_by_hand_elsewhere() -> None:
    shares = np.array([0.75, 0.25])
    assert divergence(shares, shares[None])[0] == pytest.approx(0.0)
    q = 0.99 * np.array([1.0, 0.0]) + 0.01 * shares
    expected = 0.75 * np.log(0.75 / q[0]) + 0.25 * np.log(0.25 / q[1])
    assert divergence(shares, np.array([[1.0, 0.0]]))[0] == pytest.approx(expected)


def test_no_key_has_more_places_than_allowed_unless_the_slate_would_be_short() -> None:
    one = pool([5.0, 4.0, 3.0, 2.0, 1.0], [[0], [0], [0, 1], [1], [2]])
    assert picked(one, 3, most_a_key=1) == [0, 3, 4]
    assert picked(one, 4, most_a_key=1) == [0, 3, 4, 1]


def test_more_strength_never_leaves_less_diversity_on_random_pools() -> None:
    draw = np.random.default_rng(3)
    for _ in range(20):
        keys = [list(draw.choice(6, draw.integers(1, 4), False)) for _ in range(30)]
        one = pool(list(np.sort(draw.normal(size=30))[::-1]), keys)
        alike = similarity(one.keys > 0)

        def common(strength: float, one: Pool = one, alike: np.ndarray = alike) -> float:
            rows = picked(one, 8, method="mmr", strength=strength)
            return float(alike[np.ix_(rows, rows)].sum())

        assert common(0.8) <= common(0.0)
