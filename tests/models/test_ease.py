from datetime import timedelta

import numpy as np
import pytest

from ebb.models.co_taken import co_taken
from ebb.models.ease import ease_matrix, fit_ease
from ebb.models.pairs import pair_weights, taken
from ebb.recommend.settings import Ease
from models.lines import AS_OF, frame, random_lines

HALF_LIFE = timedelta(days=30)


def test_the_closed_form_is_where_no_change_of_a_weight_makes_the_error_smaller() -> None:
    draw = np.random.default_rng(1)
    x = (draw.random((40, 6)) < 0.4).astype(float)
    penalty = 2.0

    def error(b: np.ndarray) -> float:
        return float(((x - x @ b) ** 2).sum() + penalty * (b**2).sum())

    b = ease_matrix(x.T @ x, penalty)
    assert (np.diag(b) == 0).all()
    for i in range(6):
        for j in range(6):
            if i != j:
                for change in (-1e-3, 1e-3):
                    moved = b.copy()
                    moved[i, j] += change
                    assert error(moved) > error(b)


def fitted(spark, settings: Ease):
    events = frame(spark, random_lines(seed=6, users=30, items=12, count=300))
    pairs = taken(pair_weights(events, AS_OF, {"weight": HALF_LIFE}))
    with co_taken(pairs, AS_OF, HALF_LIFE, 100) as together:
        ease = fit_ease(together, settings)
        rows = [(r.model, r.item_id, r.neighbour_id, r.rank, r.weight) for r in ease.rows.collect()]
    return rows, ease, pairs.collect()


def test_weights_are_those_of_the_dense_matrix_flat_and_decayed(spark) -> None:
    settings = Ease(regularization=5.0, weights=4)
    rows, ease, pairs = fitted(spark, settings)
    items = sorted({p.item_id for p in pairs})
    users = sorted({p.user_id for p in pairs})
    assert (ease.items, ease.left_out) == (len(items), 0)
    for model in ("ease_flat", "ease"):
        x = np.zeros((len(users), len(items)))
        for p in pairs:
            age = (AS_OF.timestamp() - p.last_ts.timestamp()) / 86_400
            value = 1.0 if model == "ease_flat" else 2 ** (-age / 30)
            x[users.index(p.user_id), items.index(p.item_id)] = value
        mean_square = (x**2).sum() / len(pairs)
        b = ease_matrix(x.T @ x, 5.0 * mean_square)
        own = {(i, j): (rank, w) for m, i, j, rank, w in rows if m == model}
        for i, item in enumerate(items):
            largest = sorted(range(len(items)), key=lambda j: -abs(b[i, j]))[:4]
            for rank, j in enumerate(largest, start=1):
                assert own[item, items[j]] == (rank, pytest.approx(b[i, j], rel=1e-5))
        assert len(own) == 4 * len(items)


def test_items_that_have_no_room_are_left_out_and_said(spark) -> None:
    lines = [("u", f"i{k:03}", 1.0, 1.0) for k in range(300)] + [("v", "i299", 1.0, 1.0)]
    pairs = taken(pair_weights(frame(spark, lines), AS_OF, {"weight": HALF_LIFE}))
    with co_taken(pairs, AS_OF, HALF_LIFE, 300) as together:
        ease = fit_ease(together, Ease(memory_mb=1, weights=1))
        items = {row.item_id for row in ease.rows.collect()}
    # Four matrices of 181 x 181 doubles fill a megabyte; the most taken items take part.
    assert (ease.items, ease.left_out) == (181, 119)
    assert items == {"i299", *(f"i{k:03}" for k in range(180))}


def test_with_one_item_there_is_nothing_to_fit(spark) -> None:
    pairs = taken(pair_weights(frame(spark, [("u", "a", 1.0, 1.0)]), AS_OF, {"weight": HALF_LIFE}))
    with co_taken(pairs, AS_OF, HALF_LIFE, 10) as together:
        assert fit_ease(together, Ease()).rows.collect() == []
