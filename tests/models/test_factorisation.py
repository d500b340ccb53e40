from datetime import timedelta

import numpy as np
import pytest

from ebb.models.factorisation import FittedAls, fit_als
from ebb.models.foldin import fold_in, gram_matrix
from ebb.models.pairs import pair_weights
from ebb.recommend.settings import Als
from models.lines import AS_OF, frame, random_lines, shuffled

SETTINGS = Als(rank=4, iterations=2, floor=0.05)
HALF_LIFE = {"weight": timedelta(days=30)}
LINES = random_lines(seed=5, users=30, items=20, count=400)


def vectors(rows, name: str) -> dict[str, list[float]]:
    return {row[name]: row.factors for row in rows.collect()}


def fitted(events) -> tuple[dict[str, list[float]], dict[str, list[float]], FittedAls]:
    fit = fit_als(pair_weights(events, AS_OF, HALF_LIFE), SETTINGS)
    assert fit is not None
    items, users = vectors(fit.item_factors, "item_id"), vectors(fit.user_factors, "user_id")
    fit.release()
    return items, users, fit


@pytest.fixture(scope="module")
def fit(spark):
    return fitted(frame(spark, LINES))


@pytest.fixture(scope="module")
def rated(spark) -> dict[str, dict[str, float]]:
    """The pairs that the fit must have seen: user to item to rating."""
    ratings: dict[str, dict[str, float]] = {}
    for row in pair_weights(frame(spark, LINES), AS_OF, HALF_LIFE).collect():
        if row.weight >= SETTINGS.floor:
            ratings.setdefault(row.user_id, {})[row.item_id] = row.weight
    return ratings


def test_each_user_and_item_with_a_pair_above_the_floor_has_a_vector(fit, rated) -> None:
    items, users, model = fit
    assert set(users) == set(rated)
    assert set(items) == {item for ratings in rated.values() for item in ratings}
    assert {len(vector) for vector in items.values()} == {4}
    pairs = sum(map(len, rated.values()))
    assert model.metrics == {"users": len(users), "items": len(items), "pairs": pairs}


def test_a_training_user_folded_in_gets_the_vector_that_mllib_gave(fit, rated) -> None:
    # MLlib's last half-step solves the users from the item factors that it returns.
    items, users, _ = fit
    names = sorted(items)
    factors = np.array([items[name] for name in names], dtype=np.float32)
    gram = gram_matrix(factors)
    assert len(users) > 20
    for user, vector in users.items():
        indices = np.array([names.index(item) for item in rated[user]])
        ratings = np.array(list(rated[user].values()))
        x = fold_in(factors, indices, ratings, gram, SETTINGS.alpha, SETTINGS.regularization)
        assert x == pytest.approx(np.array(vector), rel=1e-4, abs=1e-5)


def test_the_order_of_the_events_does_not_move_the_factors(spark, fit) -> None:
    items, users, _ = fit
    other_items, other_users, _ = fitted(frame(spark, shuffled(LINES)).repartition(5))
    assert other_items == items
    assert other_users == users


@pytest.mark.parametrize(
    "lines",
    [[], [("u", None, 1.0, 1.0)], [("u", "a", 1.0, -1.0)], [("u", "a", 3000.0, 1.0)]],
    ids=["no events", "itemless", "disliked", "decayed below the floor"],
)
def test_with_no_pair_to_learn_from_there_is_no_model(spark, lines) -> None:
    assert fit_als(pair_weights(frame(spark, lines), AS_OF, HALF_LIFE), SETTINGS) is None
