import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebb.models.foldin import contributions, fold_in, fold_in_many, gram_matrix

ALPHA, REGULARIZATION = 10.0, 0.1


def loss(x: np.ndarray, factors: np.ndarray, rated: dict[int, float]) -> float:
    """The objective written out item by item, unrated ones included: slow and obvious."""
    total = REGULARIZATION * len(rated) * float(x @ x)
    for item, factor in enumerate(factors):
        rating = rated.get(item, 0.0)
        preference = 1.0 if rating > 0 else 0.0
        total += (1.0 + ALPHA * rating) * (preference - float(factor @ x)) ** 2
    return total


def world(seed: int, n_items: int = 12, rank: int = 4, n_rated: int = 5):
    draw = np.random.default_rng(seed)
    factors = draw.normal(size=(n_items, rank)).astype(np.float32)
    indices = draw.permutation(n_items)[:n_rated]
    return factors, indices, draw.uniform(0.01, 3.0, size=n_rated)


def solve(factors, indices, ratings):
    return fold_in(factors, indices, ratings, gram_matrix(factors), ALPHA, REGULARIZATION)


def test_one_item_and_rank_one_by_hand() -> None:
    # (2*2 + 3*2*2 + 0.5*1*1) x = (1 + 3) * 2 with alpha * r = 3: x = 8 / 16.5
    x = fold_in(np.array([[2.0]]), np.array([0]), np.array([1.0]), np.array([[4.0]]), 3.0, 0.5)
    assert x == pytest.approx([8 / 16.5])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_solution_is_the_lowest_point_of_the_written_out_objective(seed: int) -> None:
    factors, indices, ratings = world(seed)
    rated = dict(zip(indices.tolist(), ratings.tolist(), strict=True))
    x = solve(factors, indices, ratings)
    lowest = loss(x, factors.astype(float), rated)
    for step in np.random.default_rng(seed).normal(scale=1e-3, size=(8, len(x))):
        assert loss(x + step, factors.astype(float), rated) > lowest


def test_regularization_grows_with_the_number_of_rated_items() -> None:
    factors, indices, ratings = world(1)
    doubles = factors.astype(float)
    matrix = doubles.T @ doubles
    for item, rating in zip(indices, ratings, strict=True):
        matrix = matrix + ALPHA * rating * np.outer(doubles[item], doubles[item])
    matrix = matrix + REGULARIZATION * 5 * np.eye(4)
    right = ((1 + ALPHA * ratings)[:, None] * doubles[indices]).sum(axis=0)
    assert matrix @ solve(factors, indices, ratings) == pytest.approx(right)


def test_the_order_of_the_history_does_not_move_a_bit() -> None:
    factors, indices, ratings = world(2)
    turned = solve(factors, indices[::-1].copy(), ratings[::-1].copy())
    assert (solve(factors, indices, ratings) == turned).all()


def test_a_user_without_ratings_gets_zeros() -> None:
    factors, _, _ = world(3)
    empty = np.array([], dtype=np.int64)
    assert (solve(factors, empty, empty.astype(float)) == 0).all()


def test_a_batch_gives_each_user_what_it_gets_alone() -> None:
    factors, indices, ratings = world(4)
    starts = np.array([0, 2, 2, 5])
    many = fold_in_many(
        factors, starts, indices, ratings, gram_matrix(factors), ALPHA, REGULARIZATION
    )
    assert (many[0] == solve(factors, indices[:2], ratings[:2])).all()
    assert (many[1] == 0).all()
    assert (many[2] == solve(factors, indices[2:], ratings[2:])).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_contributions_add_up_to_the_scores(seed: int) -> None:
    factors, indices, ratings = world(seed)
    items = np.array([0, 3, 11])
    parts = contributions(
        factors, indices, ratings, gram_matrix(factors), ALPHA, REGULARIZATION, items
    )
    assert parts.shape == (3, 5)
    assert parts.sum(axis=1) == pytest.approx(factors[items] @ solve(factors, indices, ratings))


def test_a_contribution_is_of_the_item_in_its_column() -> None:
    # Two items at right angles: the score of either comes from itself alone.
    factors = np.eye(2, dtype=np.float32)
    ratings, indices = np.array([1.0, 2.0]), np.array([1, 0])
    parts = contributions(factors, indices, ratings, np.eye(2), 1.0, 0.5, np.array([0, 1]))
    # Item 0, r = 2: 3 / (1 + 2 + .5 * 2). Item 1, r = 1: 2 / (1 + 1 + .5 * 2).
    assert parts == pytest.approx(np.array([[0.0, 3 / 4], [2 / 3, 0.0]]))


def test_nobody_explains_the_score_of_an_empty_history() -> None:
    factors, _, _ = world(5)
    empty = np.array([], dtype=np.int64)
    parts = contributions(
        factors, empty, empty.astype(float), gram_matrix(factors), 1.0, 1.0, np.array([1, 2])
    )
    assert parts.shape == (2, 0)


@pytest.mark.parametrize("rating", [0.0, -1.0])
def test_a_rating_that_the_fit_would_have_dropped_is_refused(rating: float) -> None:
    factors, _, _ = world(6)
    with pytest.raises(ValueError, match="drop the pair"):
        solve(factors, np.array([1]), np.array([rating]))


def test_as_many_indices_as_ratings_are_needed() -> None:
    factors, indices, ratings = world(7)
    with pytest.raises(ValueError, match="5 indices and 4 ratings"):
        solve(factors, indices, ratings[:4])
