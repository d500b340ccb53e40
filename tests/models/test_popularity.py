from datetime import timedelta

import pytest

from ebb.models.popularity import popularity
from models.lines import AS_OF, frame

LINES = [
    ("u1", "a", 7.0, 4.0),
    ("u2", "a", 14.0, 4.0),
    ("u1", "b", 0.5, 1.0),
    ("u2", "b", 0.5, -3.0),
    ("u1", None, 1.0, 100.0),
]


def scores(rows) -> dict[str, tuple[float, int]]:
    return {row.item_id: (row.score, row.n) for row in rows.collect()}


def test_weights_fade_by_half_every_half_life_and_dislikes_take_away(spark) -> None:
    found = scores(popularity(frame(spark, LINES), AS_OF, timedelta(days=7)))
    # b: -2 * 2^(-0.5 / 7) = -1.9033900...
    assert found == {"a": (3.0, 2), "b": (-1.90339, 2)}


def test_without_a_half_life_every_event_counts_in_full(spark) -> None:
    assert scores(popularity(frame(spark, LINES), AS_OF, None)) == {"a": (8.0, 2), "b": (-2.0, 2)}


def test_a_half_life_of_an_hour_leaves_old_items_above_zero_and_apart(spark) -> None:
    lines = [("u", "old", 20.0, 1.0), ("u", "older", 21.0, 1.0)]
    found = scores(popularity(frame(spark, lines), AS_OF, timedelta(hours=1)))
    assert found["old"][0] == pytest.approx(2.0 ** (-20 * 24), rel=1e-5)
    assert found["old"][0] > found["older"][0] > 0


def test_nothing_happened_to_no_item(spark) -> None:
    assert popularity(frame(spark, []), AS_OF, timedelta(days=7)).collect() == []
