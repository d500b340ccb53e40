import math
from collections import defaultdict
from datetime import timedelta

import pytest

from ebb.config import Neighbours
from ebb.models.neighbours import fit_neighbours
from ebb.rounding import significant_array
from models.lines import AS_OF, Line, frame, random_lines, shuffled

DAYS_100 = timedelta(days=100)


def oracle(lines: list[Line], settings: Neighbours) -> list[tuple[str, str, int, float]]:
    """Every user, every pair, every item: slow and obvious."""
    half_life = settings.half_life / timedelta(days=1)
    weight: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    youngest: dict[tuple[str, str], float] = {}
    for user, item, age, w in lines:
        if item is not None:
            weight[user][item] += w * 2 ** (-age / half_life)
            youngest[user, item] = min(age, youngest.get((user, item), math.inf))
    histories = []
    for user, items in weight.items():
        kept = sorted((youngest[user, i], i) for i, w in items.items() if w > 0)
        histories.append({i: items[i] for _, i in kept[: settings.history]})
    norm: dict[str, float] = defaultdict(float)
    dot: dict[tuple[str, str], float] = defaultdict(float)
    for history in histories:
        for i, w_i in history.items():
            norm[i] += w_i * w_i
            for j, w_j in history.items():
                if i != j:
                    dot[i, j] += w_i * w_j
    rows = []
    for i in norm:
        near = []
        for j in norm:
            if (i, j) in dot:
                size = math.sqrt(norm[i]) * math.sqrt(norm[j]) + settings.shrinkage
                near.append((-significant_array([dot[i, j] / size])[0], j))
        for rank, (minus, j) in enumerate(sorted(near)[: settings.neighbours], start=1):
            rows.append((i, j, rank, -minus))
    return sorted(rows)


def found(rows) -> list[tuple[str, str, int, float]]:
    kept = sorted((r.item_id, r.neighbour_id, r.rank, r.similarity) for r in rows.collect())
    rows.unpersist()
    return kept


def test_two_users_and_three_items_by_hand(spark) -> None:
    lines = [
        ("u1", "a", 100.0, 6.0),
        ("u1", "b", 0.0625, 4.0 * 2 ** (0.0625 / 100)),
        ("u2", "b", 100.0, 6.0),
        ("u2", "c", 200.0, 4.0),
    ]
    settings = Neighbours(half_life=DAYS_100, shrinkage=3.0)
    # w: u1 a 3, b 4; u2 b 3, c 1. Norms: a 3, b 5, c 1. a-b: 12 / (15 + 3); b-c: 3 / (5 + 3).
    assert found(fit_neighbours(frame(spark, lines), AS_OF, settings)) == [
        ("a", "b", 1, 0.666667),
        ("b", "a", 1, 0.666667),
        ("b", "c", 2, 0.375),
        ("c", "b", 1, 0.375),
    ]


def test_random_events_give_what_the_oracle_gives(spark) -> None:
    lines = random_lines(seed=4, users=40, items=25, count=600)
    settings = Neighbours(half_life=timedelta(days=30), history=6, neighbours=4, shrinkage=0.5)
    expected = oracle(lines, settings)
    assert max(rank for _, _, rank, _ in expected) == 4
    assert found(fit_neighbours(frame(spark, lines), AS_OF, settings)) == expected
    other = frame(spark, shuffled(lines)).repartition(5)
    assert found(fit_neighbours(other, AS_OF, settings)) == expected


def test_an_item_that_everyone_has_a_huge_history_and_equal_instants(spark) -> None:
    lines = [("whale", f"i{k:03}", 1.0, 1.0) for k in range(300)]
    lines += [(f"u{k}", "i000", 1.0, 1.0) for k in range(30)]
    lines += [(f"u{k}", f"i{k:03}", 1.0, 1.0) for k in range(1, 30)]
    settings = Neighbours(half_life=DAYS_100, history=20, neighbours=50)
    rows = found(fit_neighbours(frame(spark, lines), AS_OF, settings))
    assert rows == oracle(lines, settings)
    # The whale met everything at one instant: the ties fall to its first 20 items by id.
    assert {other for item, other, *_ in rows if item == "i019"} == {f"i{k:03}" for k in range(19)}
    assert [rank for item, _, rank, _ in rows if item == "i000"] == list(range(1, 30))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [("u1", "a", 1.0, 1.0), ("u2", "b", 1.0, 1.0), ("u2", None, 1.0, 1.0)],
        [("u1", "a", 1.0, 1.0), ("u1", "b", 1.0, -1.0)],
    ],
    ids=["no events", "one item each", "the other item disliked"],
)
def test_nobody_took_two_items_and_nothing_is_near(spark, lines: list[Line]) -> None:
    assert found(fit_neighbours(frame(spark, lines), AS_OF, Neighbours())) == []


def test_a_disliked_item_takes_no_place_in_the_history(spark) -> None:
    lines = [("u", "a", 3.0, 1.0), ("u", "b", 2.0, 1.0), ("u", "disliked", 1.0, -1.0)]
    rows = found(fit_neighbours(frame(spark, lines), AS_OF, Neighbours(history=2)))
    assert [row[:3] for row in rows] == [("a", "b", 1), ("b", "a", 1)]
