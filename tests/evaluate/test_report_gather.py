"""What the report looks up in tables: the drift of interests, and three people's slates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ebb.context import Night
from ebb.evaluate.report.gather import examples, interest_drift, surroundings
from ebb.progress import Progress
from ebb.schema import RECOMMENDATIONS, USER_FEATURES
from ebb.tables import Stamp, Tables
from small import Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def night_of(tables: Tables, folder: Path) -> Night:
    config = Shop(tables, folder).config()
    return Night(tables.spark, tables, config, AS_OF, Progress(terminal=False), "evaluate", "run")


@pytest.fixture
def night(tables: Tables, tmp_path: Path) -> Night:
    return night_of(tables, tmp_path / "landing")


def features(as_of: datetime, user: str, divergence: dict[str, float | None] | None) -> tuple:
    whole = (as_of, user, 1, as_of, as_of, 1.0, 1.0, 1, {}, {}, 1, 1.0)
    return (*whole, None, None, None, None, {}, {}, divergence)


def place(as_of: datetime, user: str, rank: int, item: str) -> tuple:
    reason = ("history", item, None, None, None, None, 1.0, f"You took {item}.")
    return (as_of, user, rank, item, 0.5, "history", [reason], 1.0, None, None, "v", None)


def write(tables: Tables, table, as_of: datetime, rows: list[tuple]) -> None:
    frame = tables.spark.createDataFrame(rows, table.schema).coalesce(1)
    tables.write_slice(table, frame, Stamp("step", as_of, "c"))


def test_tables_that_lack_slices_give_nothing(night: Night) -> None:
    found = surroundings(night)
    assert (found.drift, found.examples) == (None, None)
    assert found.root == night.tables.root and len(found.fingerprint) == 16


def test_drift_is_told_by_bins_of_the_latest_slice(night: Night) -> None:
    earlier, later = AS_OF - DAY, AS_OF + DAY
    moved = {"a": 0.02, "b": 0.03, "c": 0.5, "d": 1.0}
    known = [features(earlier, user, {"category": far}) for user, far in moved.items()]
    unknown = [features(earlier, "e", {"category": None}), features(earlier, "f", None)]
    write(night.tables, USER_FEATURES, earlier, known + unknown)
    write(night.tables, USER_FEATURES, later, [features(later, "a", {"category": 0.9})])
    found = interest_drift(night)
    assert found is not None and found.as_of == earlier
    # Bins are a twentieth wide; 1.0 belongs to the last.
    assert found.bins.values.tolist() == [
        ["category", 0, 2],
        ["category", 10, 1],
        ["category", 19, 1],
    ]
    # Half-way between 0.03 and 0.5; 0.7 of the way from the third to the fourth.
    (row,) = found.summary.values.tolist()
    assert row == ["category", 4, pytest.approx(0.265), pytest.approx(0.85)]


def test_three_people_are_shown_by_how_many_events_they_had(night: Night) -> None:
    at = AS_OF - DAY
    counts = {"one": 1, "three": 3, "nine": 9, "no slate": 2}
    events = [
        (user, f"i{k % 2}", "view", at - DAY * (k + 1), None)
        for user, n in counts.items()
        for k in range(n)
    ]
    # After the slates were made: what they were not made from isn't told beside them.
    events += [("one", "later", "view", at + DAY / 2, None)] * 5
    arrive(night.tables, [*events, ("nine", None, "search", at - DAY / 2, None)])
    slates = [place(at, user, 1, "i1") for user in ("one", "three", "nine")]
    write(night.tables, RECOMMENDATIONS, at, [*slates, place(at, "three", 2, "i0")])
    write(night.tables, RECOMMENDATIONS, at - DAY, [place(at - DAY, "no slate", 1, "i1")])
    found = examples(night)
    assert found is not None and found.as_of == at
    assert [(p.kind, p.user_id, p.events) for p in found.people] == [
        ("few events", "one", 1),
        ("a usual number of events", "three", 3),
        ("many events", "nine", 10),
    ]
    one, three, nine = found.people
    assert [(t.item, t.event_type, t.at) for t in one.took] == [("i0", "view", at - DAY)]
    # Each item once, by its latest event.
    assert [(t.item, t.at) for t in nine.took] == [("i0", at - DAY), ("i1", at - DAY * 2)]
    assert [place.item for place in three.slate] == ["i1", "i0"]
    assert three.slate[0].reasons == ["You took i1."] and three.slate[0].source == "history"
