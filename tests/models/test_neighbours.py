import math
from collections import defaultdict
from datetime import timedelta

import pytest

from ebb.models.co_taken import co_taken
from ebb.models.neighbours import nearest_items
from ebb.models.pairs import pair_weights, taken
from ebb.recommend.settings import Neighbours
from ebb.rounding import significant_array
from models.lines import AS_OF, Line, frame, random_lines, shuffled

HALF_LIFE = timedelta(days=100)
Near = list[tuple[str, str, str, int, float]]


def oracle(lines: list[Line], settings: Neighbours, history: int, days: float) -> Near:
    """Every user, every pair, every item: slow and obvious."""
    net: dict[tuple[str, str], list[float]] = defaultdict(list)
    decayed: dict[tuple[str, str], float] = defaultdict(float)
    youngest: dict[tuple[str, str], float] = {}
    for user, item, age, w in lines:
        if item is not None:
            net[user, item].append(w)
            decayed[user, item] += w * 2 ** (-age / days)
            if w > 0:
                youngest[user, item] = min(age, youngest.get((user, item), math.inf))
    histories: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for (user, item), age in youngest.items():
        if sum(net[user, item]) >= 0 and decayed[user, item] >= 0:
            histories[user].append((age, item))
    rows: Near = []
    for model in ("neighbours_flat", "neighbours"):
        weight = [
            {i: 1.0 if model.endswith("flat") else 2 ** (-age / days)
             for age, i in sorted(own)[:history]}
            for own in histories.values()
        ]  # fmt: skip
        items = sorted({i for own in weight for i in own})
        squares = [w * w for own in weight for w in own.values()]
        doubt = settings.shrinkage * sum(squares) / len(squares) if squares else 0.0
        norm = {i: math.sqrt(sum(own.get(i, 0) ** 2 for own in weight)) for i in items}
        for i in items:
            near = []
            for j in items:
                dot = sum(own.get(i, 0) * own.get(j, 0) for own in weight)
                if i != j and dot > 0:
                    near.append((-significant_array([dot / (norm[i] * norm[j] + doubt)])[0], j))
            for rank, (minus, j) in enumerate(sorted(near)[: settings.neighbours], start=1):
                rows.append((model, i, j, rank, -minus))
    return sorted(rows)


def found(events, settings: Neighbours, history: int = 100, half_life=HALF_LIFE) -> Near:
    pairs = taken(pair_weights(events, AS_OF, {"weight": half_life}))
    with co_taken(pairs, AS_OF, half_life, history) as together:
        rows = nearest_items(together, settings).collect()
    return sorted((r.model, r.item_id, r.neighbour_id, r.rank, r.weight) for r in rows)


def test_two_users_and_three_items_by_hand(spark) -> None:
    lines = [("u1", "a", 100.0, 6.0), ("u1", "b", 0.0625, 4.0), ("u2", "b", 100.0, 6.0)]
    lines.append(("u2", "c", 200.0, 4.0))
    # flat: a-b 1 of |a||b| = sqrt 2, b-c likewise; the mean square is 1, so the doubt is 3.
    flat = {(i, j): w for m, i, j, _, w in found(frame(spark, lines), Neighbours(shrinkage=3.0))
            if m == "neighbours_flat"}  # fmt: skip
    near = significant_array([1 / (2**0.5 + 3)])[0]
    assert flat == {("a", "b"): near, ("b", "a"): near, ("b", "c"): near, ("c", "b"): near}


def test_random_events_give_what_the_oracle_gives(spark) -> None:
    lines = random_lines(seed=4, users=40, items=25, count=600)
    settings = Neighbours(neighbours=4, shrinkage=0.5)
    expected = oracle(lines, settings, 6, 30.0)
    assert max(rank for *_, rank, _ in expected) == 4
    half_life = timedelta(days=30)
    events = frame(spark, lines)
    assert close(found(events, settings, 6, half_life), expected)
    other = frame(spark, shuffled(lines)).repartition(5)
    assert found(other, settings, 6, half_life) == found(events, settings, 6, half_life)


def close(rows: Near, expected: Near) -> bool:
    same = [row[:4] for row in rows] == [row[:4] for row in expected]
    return same and [row[4] for row in rows] == pytest.approx([row[4] for row in expected])


def test_an_item_that_everyone_has_a_huge_history_and_equal_instants(spark) -> None:
    lines = [("whale", f"i{k:03}", 1.0, 1.0) for k in range(300)]
    lines += [(f"u{k}", "i000", 1.0, 1.0) for k in range(30)]
    lines += [(f"u{k}", f"i{k:03}", 1.0, 1.0) for k in range(1, 30)]
    settings = Neighbours(neighbours=50)
    rows = found(frame(spark, lines), settings, 20)
    assert close(rows, oracle(lines, settings, 20, 100.0))
    # The whale met everything at one instant: the ties fall to its first 20 items by id.
    assert {j for _, i, j, *_ in rows if i == "i019"} == {f"i{k:03}" for k in range(19)}
    ranks = [rank for model, i, _, rank, _ in rows if (model, i) == ("neighbours", "i000")]
    assert sorted(ranks) == list(range(1, 30))


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
    assert found(frame(spark, lines), Neighbours()) == []


def test_a_disliked_item_takes_no_place_in_the_history(spark) -> None:
    lines = [("u", "a", 3.0, 1.0), ("u", "b", 2.0, 1.0), ("u", "disliked", 1.0, -1.0)]
    rows = found(frame(spark, lines), Neighbours(), history=2)
    assert {row[1:4] for row in rows} == {("a", "b", 1), ("b", "a", 1)}
