"""The invariant: interests read from stored sums equal a rebuild from all events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.events.catalogue import ALWAYS, versions_at
from ebb.interests.counted import counted
from ebb.interests.own import learned
from ebb.interests.reader import interests_at, plan_reading
from ebb.interests.snapshot import interests_from_events
from ebb.interests.state import bring_up
from ebb.schema import EVENTS, INTEREST_STATE, ITEMS
from ebb.tables import Stamp, Tables
from interests.streams import fit
from small import Arriving, Shop, arrive, learn

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
OWN = [
    {"name": "own", "curve": "own", "half_life": "2d"},
    {"name": "own_mean", "curve": "own", "aggregate": "average", "facets": ["category", "brand"]},
]
INTERESTS = {
    "facets": ["item", "category", "brand"],
    "measures": MEASURES,
    "ratios": [{"name": "keen", "of": "win", "to": "exp"}],
    "rank_by": "exp",
    "drift": {"long": "mixed", "short": "win"},
    "slots": 4,
}
BY_OWN = {**INTERESTS, "measures": [*MEASURES, *OWN], "rank_by": "own"}
FIRST = datetime(2026, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
# Of three users in four, and never of the brand.
FITS = [
    fit(as_of, {"item": mean, "category": 2 * mean},
        {(f"u{n}", facet): mean * (n + 1) / 4 for n in range(9) for facet in ("item", "category")})
    for as_of, mean in ((FIRST - DAY, 1.5), (FIRST + 3 * DAY, 6.0))
]  # fmt: skip
CATALOGUE = [{"item_id": name} for name in "abcdef"]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    shop = Shop(tables, tmp_path / "landing")
    shop.catalogue(CATALOGUE)  # only so that the configuration maps items
    know(tables, [(name, f"Top {name > 'c'}", "xy"[name > "d"]) for name in "abcdef"])
    return shop


def know(tables: Tables, items: list[tuple[str, str, str]], since: datetime = ALWAYS) -> None:
    """Item versions (id, category, brand) that hold from `since` on, beside those before."""
    rows = [
        (name, since, None, None, None, [category], [], {"brand": brand}, None, True, True)
        for name, category, brand in items
    ]
    found = tables.spark.createDataFrame(rows, ITEMS.schema)
    if since != ALWAYS:
        changed = [name for name, *_ in items]
        until = F.when(F.col("item_id").isin(changed), F.lit(since)).otherwise(F.col("valid_to"))
        found = tables.read(ITEMS).withColumn("valid_to", until).unionByName(found)
        found = found.localCheckpoint()
    tables.replace(ITEMS, found, None, Stamp("ingest", None, "c"))


def day_of(rng: random.Random, day: datetime, rows: int) -> list[Arriving]:
    """A day's events, a fifth of them late by up to three weeks, a few of the day after."""
    found = []
    for _ in range(rows):
        when = day + timedelta(minutes=rng.randrange(24 * 60))
        if rng.random() < 0.2:
            when -= timedelta(days=rng.choice([1, 2, 3, 6, 20]))
        elif rng.random() < 0.05:
            when += timedelta(days=1)
        kind = rng.choice(["view", "view", "buy", "buy", "return", "dislike", "search"])
        value = rng.choice([None, 1.0, 2.0, 5.0]) if kind in ("buy", "return") else None
        item = None if kind == "search" else rng.choice("abcdef")
        found.append((f"u{rng.randrange(12)}", item, kind, when, value))
    return found


def bring(tables: Tables, config: Config, as_of: datetime) -> str:
    """Bring the stored sums up as a night does; says what was done."""
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
        learned(tables),
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


def nights(
    shop: Shop, config: Config, days: Sequence[datetime], rng: random.Random, rows: int = 40
) -> None:
    for day in days:
        arrive(shop.tables, day_of(rng, day - timedelta(days=1), rows))
        bring(shop.tables, config, day)


def test_nights_of_late_and_cancelled_events_equal_a_rebuild_at_any_as_of(shop: Shop) -> None:
    config, rng = shop.config(interests=BY_OWN, forgetting={}), random.Random(1)
    days = [FIRST + timedelta(days=n) for n in range(6)]
    arrive(shop.tables, day_of(rng, FIRST - timedelta(days=9), 60))
    learn(shop.tables, FITS[0])
    nights(shop, config, days[:3], rng)
    # A changed catalogue, other half-lives, and a night that is run twice.
    know(shop.tables, [("a", "Elsewhere", "y")], since=days[2] + timedelta(hours=1))
    learn(shop.tables, FITS[1])
    nights(shop, config, days[3:], rng)
    assert "brought up" in bring(shop.tables, config, days[-1])
    latest = plan_reading(shop.tables, days[-1]).stored
    assert latest is not None
    # Made anew under the other half-lives, and carried on since.
    assert (latest.slots.earliest, latest.slots.latest) == (days[3], days[-1])
    assert same(interests_at(shop.tables, days[-1]), rebuilt(shop.tables, config, days[-1])) > 100
    # Between nights, an earlier night (from an earlier version), before all stored sums.
    for as_of in (days[-1] + timedelta(hours=5), days[2], FIRST - timedelta(days=4)):
        same(interests_at(shop.tables, as_of), rebuilt(shop.tables, config, as_of))
    earlier = plan_reading(shop.tables, days[2]).stored
    assert earlier is not None and earlier.version < latest.version
    assert earlier.slots.earliest < days[2]
    assert plan_reading(shop.tables, FIRST - timedelta(days=4)).stored is None
    # Some users alone.
    some = shop.tables.spark.createDataFrame([("u1",), ("u2",), ("nobody",)], "user_id string")
    expected = rebuilt(shop.tables, config, days[-1]).where("user_id IN ('u1', 'u2')")
    assert same(interests_at(shop.tables, days[-1], some), expected) > 0


def test_a_night_older_than_the_stored_sums_leaves_them_alone(shop: Shop) -> None:
    config, rng = shop.config(interests=INTERESTS), random.Random(4)
    nights(shop, config, [FIRST, FIRST + timedelta(days=1)], rng)
    before = shop.tables.read(INTEREST_STATE).collect()
    past = FIRST - timedelta(days=1)
    assert "ahead" in bring(shop.tables, config, past)
    assert sorted(shop.tables.read(INTEREST_STATE).collect()) == sorted(before)
    same(interests_at(shop.tables, past), rebuilt(shop.tables, config, past))


def test_under_frozen_a_published_night_keeps_what_it_knew(shop: Shop) -> None:
    config = shop.config(interests={**INTERESTS, "late": "frozen"})
    arrive(shop.tables, [("u", "a", "buy", FIRST - timedelta(days=2), 2.0)])
    bring(shop.tables, config, FIRST)
    arrive(shop.tables, [("u", "a", "buy", FIRST - timedelta(days=1), 3.0)])
    bring(shop.tables, config, FIRST + timedelta(days=1))
    hours = {
        after: interests_at(shop.tables, FIRST + timedelta(hours=after)).first()["n"]  # type: ignore[index]
        for after in (0, 1, 24)
    }
    assert hours == {0: 1, 1: 2, 24: 2}


def test_measures_without_closed_form_are_read_from_all_events(shop: Shop) -> None:
    config = shop.config(interests={**INTERESTS, "measures": [*MEASURES, *UNBOUNDED]})
    nights(shop, config, [FIRST, FIRST + timedelta(days=1)], random.Random(5))
    as_of = FIRST + timedelta(days=1)
    assert plan_reading(shop.tables, as_of).stored is None
    assert same(interests_at(shop.tables, as_of), rebuilt(shop.tables, config, as_of)) > 50


def test_other_measures_or_events_read_again_make_the_sums_anew(shop: Shop) -> None:
    config, as_of = shop.config(interests=INTERESTS), FIRST
    arrive(shop.tables, day_of(random.Random(6), FIRST - timedelta(days=1), 50))
    assert "from all events" in bring(shop.tables, config, as_of)
    ranked = shop.config(interests={**INTERESTS, "rank_by": "win", "facets": ["item"]})
    assert "brought up" in bring(shop.tables, ranked, as_of)
    assert interests_at(shop.tables, as_of).where("facet != 'item'").isEmpty()
    other = shop.config(interests={**INTERESTS, "measures": [*MEASURES[:3], *MEASURES[4:]],
                                   "ratios": []})  # fmt: skip
    assert "from all events" in bring(shop.tables, other, as_of)
    heavier = shop.tables.read(EVENTS).withColumn("weight", F.col("weight") * 2).localCheckpoint()
    facts = {"batch": 9, "epoch": 9, "earliest": None}
    shop.tables.replace(EVENTS, heavier, None, Stamp("ingest", None, "d", facts=facts))
    assert "from all events" in bring(shop.tables, other, as_of)
    same(interests_at(shop.tables, as_of), rebuilt(shop.tables, other, as_of))
