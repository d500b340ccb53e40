from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ebb.recommend.catalogue import Contexts, Sparse
from ebb.recommend.contexts import items_by_context, latest_contexts

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = ("device", "place")
EVENTS = (
    "event_id string, user_id string, item_id string, event_ts timestamp, weight double, "
    "context map<string,string>"
)


def _event(number: int, user: str, item: str | None, age: float, weight: float, **context: str):
    return (f"e{number}", user, item, AS_OF - age * DAY, weight, context or None)


def test_takes_are_counted_by_value_and_fade(spark) -> None:
    events = [
        _event(1, "u", "a", 0, 1.0, device="phone"),
        _event(2, "u", "a", 7, 1.0, device="phone"),  # one half-life ago
        _event(3, "v", "a", 14, 2.0, device="desk", place="Ürün"),
        _event(4, "v", "b", 0, -1.0, device="desk"),  # not liked, not a take
        _event(5, "v", None, 0, 1.0, device="desk"),  # of no item
        _event(6, "w", "b", 0, 1.0, session="s"),  # of no key that is looked at
        _event(7, "w", "b", 0, 1.0),
    ]
    found = items_by_context(spark.createDataFrame(events, EVENTS), KEYS, AS_OF, 7 * DAY)
    assert {tuple(row) for row in found.collect()} == {
        ("device", "phone", "a", 1.5),
        ("device", "desk", "a", 0.5),
        ("place", "Ürün", "a", 0.5),
    }


def test_of_a_key_with_too_many_values_those_taken_most_are_kept(spark, monkeypatch) -> None:
    monkeypatch.setattr("ebb.recommend.contexts._MOST_VALUES", 2)
    values = ["often", "often", "often", "b", "c", "c", "a"]
    events = [_event(n, "u", f"i{n}", 0, 1.0, device=value) for n, value in enumerate(values)]
    found = items_by_context(spark.createDataFrame(events, EVENTS), KEYS, AS_OF, DAY)
    assert {row["value"] for row in found.collect()} == {"often", "c"}


def test_the_latest_value_of_each_key_is_the_users(spark) -> None:
    draw = random.Random(5)
    events = [
        _event(
            number, f"u{draw.randrange(6)}", draw.choice(["a", None]), draw.randrange(4), 1.0,
            **{key: draw.choice("xyz") for key in (*KEYS, "session") if draw.random() < 0.4},
        )
        for number in range(60)
    ]  # fmt: skip
    events.append(_event(99, "silent", "a", 0, 1.0))
    truth = {event[1]: [None, None] for event in events}
    for event in sorted(events, key=lambda e: (e[3], e[0])):
        for place, key in enumerate(KEYS):
            truth[event[1]][place] = (event[5] or {}).get(key, truth[event[1]][place])
    frame = spark.createDataFrame(events, EVENTS)
    for one in (frame, frame.repartition(5)):
        found = latest_contexts(one, KEYS)
        assert {row["user_id"]: row["context"] for row in found.collect()} == truth
    assert truth["silent"] == [None, None]


def test_a_lift_is_the_log_of_how_much_more_an_item_is_taken_in_a_value() -> None:
    # Items 0, 1 and 2, the last taken by nobody; of ten takes six in value "desk".
    taken = Sparse(np.array([0, 2, 3, 3]), np.array([0, 1, 0], np.int32), np.array([5.0, 4.0, 1.0]))
    contexts = Contexts(["desk", "phone"], taken)
    items = np.array([2, 0, 1])
    desk = [0.0, math.log((5 + 2 * 0.6) / (9 + 2) / 0.6), math.log((1 + 2 * 0.6) / (1 + 2) / 0.6)]
    assert contexts.lifts("desk", items, 2.0) == pytest.approx(desk)
    phone = [0.0, math.log((4 + 2 * 0.4) / (9 + 2) / 0.4), math.log(2 * 0.4 / (1 + 2) / 0.4)]
    assert contexts.lifts("phone", items, 2.0) == pytest.approx(phone)
    for unknown in ("watch", None):
        assert np.isnan(contexts.lifts(unknown, items, 2.0)).all()
    nothing = Contexts([], Sparse(np.zeros(4, int), np.zeros(0, np.int32), np.zeros(0)))
    assert np.isnan(nothing.lifts("desk", items, 2.0)).all()
