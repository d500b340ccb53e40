"""The reader without Spark gives what the one with Spark gives, and needs no Spark for it."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import interests.interest_oracle as oracle
from ebb.config import Config
from ebb.errors import RunError
from ebb.interests import frames, reader
from ebb.interests.netting import counted
from ebb.tables import Tables
from interests.streams import AS_OF, EVENTS, random_events
from interests.test_incremental import (
    BY_OWN,
    DAY,
    FIRST,
    FITS,
    INTERESTS,
    MEASURES,
    OWN,
    UNBOUNDED,
    day_of,
    know,
    nights,
)
from small import Shop, arrive, learn

ITEMS = [(name, f"Top {name > 'c'}", "xy"[name > "d"]) for name in "abcdef"]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    shop = Shop(tables, tmp_path / "landing")
    shop.catalogue([{"item_id": "a"}])  # only so that the configuration maps items
    know(tables, ITEMS)
    return shop


def from_spark(tables: Tables, as_of: datetime) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    rows = reader.interests_at(tables, as_of).collect()
    return [{name: plain(value) for name, value in row.asDict().items()} for row in rows]


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame with None for what is empty."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def assert_same(found: pd.DataFrame, expected: list[dict[str, Any]], config: Config) -> None:
    place = {facet: number for number, facet in enumerate(config.facets)}
    ordered = sorted(expected, key=lambda row: (row["user_id"], place[row["facet"]], row["rank"]))
    rows = plain_rows(found)
    assert len(rows) == len(ordered)
    for row, other in zip(rows, ordered, strict=True):
        assert row == {
            name: pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
            for name, value in other.items()
        }


def assert_readers_agree(tables: Tables, as_of: datetime, config: Config) -> int:
    """For everybody, and for two users and somebody unknown; returns the number of rows."""
    expected = from_spark(tables, as_of)
    assert_same(frames.interests_at(tables.root, as_of), expected, config)
    some = ["u2", "nobody", "u1"]
    of_some = [row for row in expected if row["user_id"] in some]
    assert_same(frames.interests_at(tables.root, as_of, some), of_some, config)
    return len(of_some)


def test_the_two_readers_agree_at_any_as_of(shop: Shop) -> None:
    config, rng = shop.config(interests=BY_OWN, forgetting={}), random.Random(11)
    last = FIRST + DAY
    learn(shop.tables, FITS[0])
    arrive(shop.tables, [("keen", "a", "return", FIRST - 4 * DAY, 1.0)])
    nights(shop, config, [FIRST], rng, rows=120)
    know(shop.tables, [("a", "Elsewhere", "y")], since=FIRST + timedelta(hours=1))
    nights(shop, config, [last], rng, rows=120)
    # Taken back by what is known since long, and out of reach of every window.
    arrive(shop.tables, [("keen", "a", "buy", FIRST - 5 * DAY, 1.0)])
    stored = reader.plan_reading(shop.tables, last).stored
    assert stored is not None and stored.slots.earliest < last
    # The latest night, between nights, an earlier version's night, before all that is stored.
    for as_of in (last, last + timedelta(hours=7), FIRST, FIRST - 2 * DAY):
        assert assert_readers_agree(shop.tables, as_of, config) > 0
    assert "keen" not in set(frames.interests_at(shop.tables.root, last).user_id)
    assert frames.interests_at(shop.tables.root, last, []).empty


def test_they_agree_on_measures_that_need_all_events_and_on_a_frozen_night(shop: Shop) -> None:
    more = [
        {"name": "part", "curve": "window", "length": "3d", "facets": ["category"],
         "aggregate": "average"},
        {"name": "seen", "curve": "linear", "horizon": "2d", "aggregate": "last",
         "event_types": ["view"]},
        {"name": "visits", "curve": "power", "half_life": "2d", "aggregate": "active_days",
         "event_types": ["view", "buy"]},
    ]  # fmt: skip
    settings = {"measures": [*MEASURES, *OWN, *UNBOUNDED, *more], "rank_by": "power",
                "share": "softmax", "temperature": 0.3, "late": "frozen"}  # fmt: skip
    config = shop.config(interests={**INTERESTS, **settings}, forgetting={})
    rng = random.Random(12)
    learn(shop.tables, FITS[0])
    nights(shop, config, [FIRST], rng, rows=150)
    arrive(shop.tables, day_of(rng, FIRST - 3 * DAY, 30))
    assert reader.plan_reading(shop.tables, FIRST).stored is None
    assert assert_readers_agree(shop.tables, FIRST, config) > 0
    soon = FIRST + timedelta(microseconds=1)
    known, then = (frames.interests_at(shop.tables.root, at).n.sum() for at in (FIRST, soon))
    assert known < then


@pytest.mark.parametrize("seed", range(5))
def test_cancellations_take_the_same_back_as_by_the_book(seed: int) -> None:
    happened = [e for e in random_events(seed, "u", count=300) if e["ts"] < AS_OF]
    table = pa.table(
        {
            "event_id": [e["event_id"] for e in happened],
            "user_id": [e["user"] for e in happened],
            "item_id": pa.array([e["item"] for e in happened], pa.string()),
            "order_id": pa.nulls(len(happened), pa.string()),
            "event_type": [e["kind"] for e in happened],
            "event_ts": pa.array([e["ts"] for e in happened], pa.timestamp("us", tz="UTC")),
            "value": pa.array([e["value"] for e in happened], pa.float64()),
            "weight": [oracle.weight(e["kind"], e["value"]) for e in happened],
        }
    )
    left = counted(table, EVENTS)
    found = dict(zip(left["event_id"].to_pylist(), left["weight"].to_pylist(), strict=True))
    expected = {
        e["event_id"]: oracle.weight(e["kind"], e["left"]) for e in oracle.counted(happened, AS_OF)
    }
    assert found == pytest.approx(expected, rel=1e-9)
    assert 0 < len(found) < sum(e["kind"] != "return" for e in happened)


def test_a_cancellation_keeps_to_its_order() -> None:
    rows = [
        ("1", "buy", 1, "A", 2.0), ("2", "buy", 2, "B", 2.0), ("3", "return", 3, "A", 1.0),
    ]  # fmt: skip
    table = pa.table(
        {
            "event_id": [row[0] for row in rows],
            "user_id": ["u"] * 3,
            "item_id": ["a"] * 3,
            "order_id": [row[3] for row in rows],
            "event_type": [row[1] for row in rows],
            "event_ts": pa.array([row[2] for row in rows], pa.timestamp("us", tz="UTC")),
            "value": [row[4] for row in rows],
            "weight": [oracle.weight(row[1], row[4]) for row in rows],
        }
    )
    weights = counted(table, EVENTS)["weight"].to_pylist()
    assert weights == pytest.approx([oracle.weight("buy", 1.0), oracle.weight("buy", 2.0)])


def test_without_interests_the_error_names_the_root(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"no interests under {tmp_path}"):
        frames.interests_at(str(tmp_path), FIRST)


def test_an_as_of_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        frames.interests_at(str(tmp_path), FIRST.replace(tzinfo=None))


def test_importing_it_imports_no_spark() -> None:
    program = "import sys, ebb.interests.frames; sys.exit('pyspark' in sys.modules)"
    lib = Path(frames.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=lib, check=False)
    assert done.returncode == 0
