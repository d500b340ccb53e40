"""Pasts by Spark against sums in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log1p
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ebb.config import Events
from ebb.evaluate.splits import Split
from ebb.foretell.pasts import HALF_LIVES, Pasts
from ebb.foretell.rows import gathered, least, met_around, pasts_to_learn
from ebb.foretell.settings import Foretell
from ebb.schema import EVENTS
from ebb.tables import Tables
from small import TYPES, Arriving, arrive

DAY = timedelta(days=1)
NOW = datetime(2026, 1, 20, tzinfo=UTC)
WINDOWS = [Split(NOW - 2 * DAY, NOW), Split(NOW - 4 * DAY, NOW - 2 * DAY)]
FLAT = len(HALF_LIVES) - 1


def ago(days: float) -> datetime:
    return NOW - days * DAY


ARRIVING: list[Arriving] = [
    ("a", "x", "view", ago(9), None),
    ("a", "x", "view", ago(3), None),
    ("a", "y", "view", ago(4), None),  # in the earlier window, at its very beginning
    ("a", "z", "view", ago(2), None),  # in the later window, likewise
    ("a", "y", "view", ago(0), None),  # not before as_of: nobody knows of it
    ("b", "x", "buy", ago(6), 1.0),
    ("b", "x", "return", ago(3.5), 1.0),  # taken back within the earlier window
    ("b", "y", "view", ago(7), None),
]
SETTINGS = Foretell(kind="gru", steps=3)


def pasts_in(
    tables: Tables, settings: Foretell = SETTINGS, *, types: Any = TYPES, parts: int = 1
) -> list[Pasts]:
    events = tables.read(EVENTS).repartition(parts)
    source = {"path": "p", "format": "jsonl"}
    of = Events.model_validate({"sources": [source], "types": types})
    met = met_around(events, events.limit(0), "item", WINDOWS, of)
    return gathered(met, settings, len(WINDOWS))


def test_each_instant_knows_what_was_counted_then_and_its_labels_are_what_followed(
    tables: Tables,
) -> None:
    arrive(tables, ARRIVING)
    later, earlier = pasts_in(tables)
    # By user and key: of a x and y, of b y alone, since x was taken back by then.
    assert later.group.tolist() == [0, 0, 1]
    assert np.expm1(later.features[:, FLAT]) == pytest.approx([2, 1, 1])
    assert later.label.tolist() == [0, 0, 0]
    # Two days before that y was new to a, and b still had x, worth 2 · log(1 + 1).
    assert earlier.group.tolist() == [0, 1, 1]
    assert np.expm1(earlier.features[:, FLAT]) == pytest.approx([1, 2 * log1p(1), 1], rel=1e-6)
    assert earlier.label.tolist() == [1, 0, 0]
    assert earlier.steps[0, :, 0] == pytest.approx([log1p(1), 0, 0])


def test_partitions_change_no_bit_and_of_many_keys_the_same_few_are_kept(tables: Tables) -> None:
    many = [
        (f"u{user}", f"i{(user * n) % 7}", "view", ago(4 + n / 3), None)
        for user in range(1, 7)
        for n in range(20)
    ]
    arrive(tables, many)
    views = {"view": TYPES["view"]}
    one, other = pasts_in(tables, types=views), pasts_in(tables, types=views, parts=5)
    few = pasts_in(tables, SETTINGS.model_copy(update={"keys": 2}), types=views)
    for mine, same, chosen in zip(one, other, few, strict=True):
        assert mine.features.tobytes() == same.features.tobytes()
        assert mine.steps.tobytes() == same.steps.tobytes()
        assert np.diff(chosen.starts).max() == 2 < np.diff(mine.starts).max()
        assert {row.tobytes() for row in chosen.features} <= {r.tobytes() for r in mine.features}


def test_a_block_of_people_without_a_past_has_no_rows() -> None:
    columns = {"user_id": ["a"], "instant": [0], "key": ["x"], "age": [-0.5], "weight": [1.0]}
    batch = pa.RecordBatch.from_pydict({**columns, "dice": [7]})
    for steps in (0, 3):
        (found,) = pasts_to_learn(steps, 2)(iter([batch]))
        assert found.num_rows == 0


def test_those_of_least_dice_are_kept_in_each_group() -> None:
    group, dice = np.array([0, 0, 0, 1, 2, 2]), np.array([5, -3, 4, 9, 2, 1])
    assert least(group, dice, 1).tolist() == [False, True, False, True, False, True]
    assert least(group, dice, 2).tolist() == [False, True, True, True, True, True]
