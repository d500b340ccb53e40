"""The invariant: interests read from stored sums equal a rebuild from all events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row

from ebb.config import Config
from ebb.events.catalogue import ingest_items, versions_at
from ebb.events.ingest import ingest_events
from ebb.interests.counted import counted
from ebb.interests.reader import interests_at, plan_reading
from ebb.interests.snapshot import interests_from_events
from ebb.interests.state import bring_up
from ebb.schema import EVENTS, INTEREST_STATE, ITEMS
from ebb.steps import Stamp
from ebb.tables import Tables
from small import Shop, line

MEASURES: list[dict[str, Any]] = [
    {"name": "exp", "curve": "exponential", "half_life": "2d"},
    {"name": "steps", "curve": "ewma_time", "rate": 0.3, "step": "12h"},
    {
        "name": "mixed",
        "curve": "mixture",
        "parts": [{"half_life": "2d", "weight": 1}, {"half_life": "9d", "weight": 3}],
    },
    {"name": "views", "curve": "exponential", "half_life": "2d", "aggregate": "count",
     "event_types": ["view"]},
    {"name": "mean", "curve": "exponential", "half_life": "5d", "aggregate": "average"},
    {"name": "bought", "curve": "window", "length": "400d", "aggregate": "last",
     "event_types": ["buy"]},
    {"name": "win", "curve": "window", "length": "3d"},
    {"name": "line", "curve": "linear", "horizon": "5d"},
    {"name": "days", "curve": "window", "length": "4d", "aggregate": "active_days"},
]  # fmt: skip
UNBOUNDED = [
    {"name": "power", "curve": "power", "half_life": "3d"},
    {"name": "sigmoid", "curve": "sigmoid", "midpoint": "4d", "steepness": 1},
    {"name": "taken", "curve": "ewma_events", "rate": 0.2},
]
INTERESTS = {
    "facets": ["item", "category", "brand"],
    "measures": MEASURES,
    "ratios": [{"name": "keen", "of": "win", "to": "exp"}],
    "rank_by": "exp",
    "drift": {"long": "mixed", "short": "win"},
    "slots": 4,
}
FIRST = datetime(2026, 1, 8, tzinfo=UTC)
CATALOGUE = [
    {"item_id": name, "title": name, "category": f"Top > {name > 'c'}", "brand": "xy"[name > "d"]}
    for name in "abcdef"
]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    shop = Shop(tables, tmp_path / "landing")
    shop.catalogue(CATALOGUE)
    return shop


def day_of(
    rng: random.Random, day: datetime, lines: int, late: float = 0.2
) -> list[dict[str, Any]]:
    """A day's file: mostly that day's events, some late ones and some of the day after."""
    found = []
    for _ in range(lines):
        when = day + timedelta(minutes=rng.randrange(24 * 60))
        if rng.random() < late:
            when -= timedelta(days=rng.choice([1, 2, 3, 6, 20]))
        if rng.random() < 0.05:
            when = day + timedelta(days=1, minutes=rng.randrange(50))
        kind = rng.choice(["view", "view", "buy", "buy", "return", "dislike", "search"])
        value = rng.choice([None, 1, 2, 5]) if kind in ("buy", "return") else None
        item = None if kind == "search" else rng.choice("abcdef")
        stamp = when.isoformat().replace("+00:00", "Z")
        found.append(line(f"u{rng.randrange(12)}", item, kind, stamp, value=value))
    return found


def night(tables: Tables, config: Config, as_of: datetime) -> str:
    """Ingest and the stored sums of a night; says what was done."""
    ingest_events(tables, config)
    ingest_items(tables, config, as_of)
    return bring_up(tables, config, Stamp("interests", as_of, "c"))[1]


def rebuilt(tables: Tables, config: Config, as_of: datetime, below: int | None = None) -> DataFrame:
    events = tables.read(EVENTS)
    known = events if below is None else events.where(events["batch"] < below)
    return interests_from_events(
        counted(known, config.events, as_of),
        versions_at(tables.read(ITEMS), as_of),
        config.facets,
        config.interests,
        config.events.types,
        as_of,
    )


def same(found: DataFrame, expected: DataFrame) -> int:
    """Assert equal rows, floats to 1e-9; returns how many there were."""
    left, right = (
        sorted(map(Row.asDict, frame.collect()), key=lambda r: (r["user_id"], r["facet"], r["key"]))
        for frame in (found, expected)
    )
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one == {
            name: pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
            for name, value in other.items()
        }
    return len(left)


def nights(shop: Shop, config: Config, days: Sequence[datetime], rng: random.Random) -> None:
    for day in days:
        shop.land(f"{day:%m%d}.jsonl", day_of(rng, day - timedelta(days=1), 40))
        night(shop.tables, config, day)


@pytest.mark.parametrize("seed", [1, 2])
def test_nights_of_late_repeated_and_cancelled_events_equal_a_rebuild(
    shop: Shop, seed: int
) -> None:
    config, rng = shop.config(interests=INTERESTS), random.Random(seed)
    days = [FIRST + timedelta(days=n) for n in range(6)]
    earlier = day_of(rng, FIRST - timedelta(days=3), 60) + day_of(
        rng, FIRST - timedelta(days=9), 60
    )
    shop.land("0.jsonl", earlier)
    nights(shop, config, days[:3], rng)
    # The same rows in another file, a changed catalogue, and a night that is run twice.
    shop.land("again.jsonl", earlier[:30])
    shop.catalogue([{**CATALOGUE[0], "category": "Elsewhere", "brand": "y"}, *CATALOGUE[1:]])
    nights(shop, config, days[3:], rng)
    assert "brought up" in night(shop.tables, config, days[-1])
    latest = plan_reading(shop.tables, days[-1]).stored
    assert latest is not None
    assert latest.slots.earliest < days[-1] == latest.slots.latest
    assert same(interests_at(shop.tables, days[-1]), rebuilt(shop.tables, config, days[-1])) > 100
    # Between nights, after the last, and long before the stored sums: all the same.
    for as_of in (days[-1] + timedelta(hours=5), days[2], FIRST - timedelta(days=4)):
        same(interests_at(shop.tables, as_of), rebuilt(shop.tables, config, as_of))


def test_an_earlier_night_is_read_from_an_earlier_version(shop: Shop) -> None:
    config, rng = shop.config(interests=INTERESTS), random.Random(3)
    days = [FIRST + timedelta(days=n) for n in range(3)]
    nights(shop, config, days, rng)
    earlier, now = (
        plan_reading(shop.tables, days[0]).stored,
        plan_reading(shop.tables, days[2]).stored,
    )
    assert earlier is not None and now is not None
    assert earlier.version < now.version
    assert plan_reading(shop.tables, days[0] - timedelta(hours=1)).stored is None


def test_a_night_older_than_the_stored_sums_leaves_them_alone(shop: Shop) -> None:
    config, rng = shop.config(interests=INTERESTS), random.Random(4)
    nights(shop, config, [FIRST, FIRST + timedelta(days=1)], rng)
    before = shop.tables.read(INTEREST_STATE).collect()
    past = FIRST - timedelta(days=1)
    assert "ahead" in night(shop.tables, config, past)
    assert sorted(shop.tables.read(INTEREST_STATE).collect()) == sorted(before)
    same(interests_at(shop.tables, past), rebuilt(shop.tables, config, past))


def test_under_frozen_a_published_night_keeps_what_it_knew(shop: Shop) -> None:
    config = shop.config(interests={**INTERESTS, "late": "frozen"})
    shop.land("1.jsonl", [line("u", "a", "buy", "01-05 10:00", value=2)])
    night(shop.tables, config, FIRST)
    shop.land("2.jsonl", [line("u", "a", "buy", "01-05 11:00", value=3)])
    night(shop.tables, config, FIRST + timedelta(days=1))
    known = {
        day: interests_at(shop.tables, FIRST + timedelta(days=day)).where("facet = 'item'").first()
        for day in (0, 1)
    }
    assert [known[day]["n"] for day in (0, 1)] == [1, 2]  # type: ignore[index]
    assert interests_at(shop.tables, FIRST + timedelta(hours=1)).first()["n"] == 2  # type: ignore[index]


def test_measures_without_closed_form_are_read_from_all_events(shop: Shop) -> None:
    measures = [*MEASURES, *UNBOUNDED]
    config = shop.config(interests={**INTERESTS, "measures": measures})
    nights(shop, config, [FIRST, FIRST + timedelta(days=1)], random.Random(5))
    as_of = FIRST + timedelta(days=1)
    assert plan_reading(shop.tables, as_of).stored is None
    assert same(interests_at(shop.tables, as_of), rebuilt(shop.tables, config, as_of)) > 50


def test_other_measures_or_other_weights_make_the_sums_anew(shop: Shop) -> None:
    config = shop.config(interests=INTERESTS)
    shop.land("1.jsonl", day_of(random.Random(6), FIRST - timedelta(days=1), 50))
    assert "from all events" in night(shop.tables, config, FIRST)
    ranked = shop.config(interests={**INTERESTS, "rank_by": "win", "facets": ["item"]})
    assert "brought up" in night(shop.tables, ranked, FIRST)
    assert interests_at(shop.tables, FIRST).where("facet != 'item'").isEmpty()
    other = shop.config(interests={**INTERESTS, "measures": [*MEASURES[:3], *MEASURES[4:]]})
    assert "from all events" in night(shop.tables, other, FIRST)
    dear = other.model_copy(update={"events": other.events.model_copy(update={
        "types": {**other.events.types, "view": other.events.types["view"].model_copy(
            update={"weight": 7.0})}})})  # fmt: skip
    assert "from all events" in night(shop.tables, dear, FIRST)
    same(interests_at(shop.tables, FIRST), rebuilt(shop.tables, dear, FIRST))


def test_some_users_are_read_alone(shop: Shop) -> None:
    config = shop.config(interests=INTERESTS)
    nights(shop, config, [FIRST, FIRST + timedelta(days=1)], random.Random(7))
    as_of = FIRST + timedelta(days=1)
    some = shop.tables.spark.createDataFrame([("u1",), ("u2",), ("nobody",)], "user_id string")
    expected = rebuilt(shop.tables, config, as_of).where("user_id IN ('u1', 'u2')")
    assert same(interests_at(shop.tables, as_of, some), expected) > 0
