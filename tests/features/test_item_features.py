"""Item features by hand, and against the book on random events."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from ebb.durations import parse_instant
from ebb.features.items import item_features
from ebb.features.settings import Features
from ebb.schema import ITEM_FEATURES
from ebb.tables import conform

AS_OF = parse_instant("2026-03-01T00:00:00Z")
_EVENTS = "user_id string, item_id string, event_ts timestamp, weight double"
_ITEMS = "item_id string, published_at timestamp"

Event = tuple[str, str | None, datetime, float]


def ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def features(
    spark: SparkSession, events: list[Event], published: dict[str, datetime | None]
) -> dict[str, Row]:
    catalogue = spark.createDataFrame(list(published.items()), _ITEMS)
    rows = spark.createDataFrame(events, _EVENTS)
    found = item_features(rows, catalogue, Features(), AS_OF)
    return {row["item_id"]: row for row in conform(ITEM_FEATURES, found).collect()}


@pytest.fixture(scope="module")
def by_hand(spark: SparkSession) -> dict[str, Row]:
    """A few items whose features a person can work out."""
    hours = [ago(hour / 24) for hour in range(1, 24 * 180)]
    events: list[Event] = [
        ("u", "fading", ago(14), 4.0),
        ("u", "fading", ago(7), 2.0),
        ("v", "fading", ago(7), 2.0),
        ("v", "new", ago(1), 1.0),
        ("u", "disliked", ago(1), -1.0),
        ("v", "disliked", ago(2), 1.0),
        *(("u", "steady", ts, 3.0) for ts in hours),
        *((user, "four", ago(3), 1.0) for user in "pqrs"),
        ("t", "four", ago(3), -5.0),
        ("u", None, ago(1), 9.0),
        ("u", "forgotten", ago(20_000), 1.0),
    ]
    published = {
        "fading": ago(20),
        "new": None,
        "unmet": ago(3),
        "unborn": AS_OF + timedelta(days=1),
        "steady": None,
    }
    return features(spark, events, published)


def test_events_and_users_are_counted_and_dated(by_hand: dict[str, Row]) -> None:
    row = by_hand["fading"]
    assert (row["n"], row["users"]) == (3, 2)
    assert row["first_ts"].astimezone(UTC) == ago(14)
    assert row["last_ts"].astimezone(UTC) == ago(7)
    assert row["recency_days"] == 7.0
    assert row["repeat_share"] == pytest.approx(1 / 3)


def test_popularity_halves_every_half_life_and_dislikes_take_away(
    by_hand: dict[str, Row],
) -> None:
    assert by_hand["fading"]["popularity"] == pytest.approx(4 / 4 + 2 / 2 + 2 / 2)
    lost = 2 ** (-2 / 7) - 2 ** (-1 / 7)
    assert by_hand["disliked"]["popularity"] == pytest.approx(lost)


def test_age_is_that_of_publication_or_else_of_the_first_event(by_hand: dict[str, Row]) -> None:
    ages = {item: row["age_days"] for item, row in by_hand.items()}
    assert (ages["fading"], ages["new"], ages["unmet"]) == (20.0, 1.0, 3.0)
    # Not published yet, as of as_of.
    assert ages["unborn"] is None


def test_velocity_compares_two_rates_and_a_steady_item_has_1(by_hand: dict[str, Row]) -> None:
    # One event a day ago: 1/2 over a day against 2^(-1/14) over fourteen.
    assert by_hand["new"]["velocity"] == pytest.approx(0.5 / (2 ** (-1 / 14) / 14))
    # Hourly for half a year: the sums stand for integrals to within half an hour's decay.
    assert by_hand["steady"]["velocity"] == pytest.approx(1.0, abs=0.02)
    assert by_hand["fading"]["velocity"] < 0.2


def test_velocity_is_empty_where_nothing_is_left(by_hand: dict[str, Row]) -> None:
    # The dislike weighs more by now; the forgotten one is 2^-1428 of an event.
    assert by_hand["disliked"]["popularity"] < 0
    assert by_hand["disliked"]["velocity"] is None
    assert by_hand["forgotten"]["velocity"] is None
    assert by_hand["forgotten"]["audience_entropy"] is None


def test_four_equal_users_are_an_audience_of_four(by_hand: dict[str, Row]) -> None:
    # The fifth only disliked it: that is no part of the audience.
    assert by_hand["four"]["users"] == 5
    assert by_hand["four"]["audience_entropy"] == pytest.approx(2.0)
    assert by_hand["four"]["audience"] == pytest.approx(4.0)
    assert by_hand["steady"]["audience_entropy"] == pytest.approx(0.0, abs=1e-12)
    assert by_hand["steady"]["audience"] == pytest.approx(1.0)


def test_a_catalogue_item_without_events_is_there_with_nothing_in_it(
    by_hand: dict[str, Row],
) -> None:
    row = by_hand["unmet"].asDict()
    assert (row.pop("n"), row.pop("users"), row.pop("popularity")) == (0, 0, 0.0)
    rest = {name for name, value in row.items() if value is None}
    assert rest == set(row) - {"as_of", "item_id", "age_days"}
    assert None not in by_hand


# --------------------------------------------------------------------------- by the book
def decayed(events: list[Event], half_life: float) -> float:
    return math.fsum(w * 2 ** (-((AS_OF - ts) / timedelta(days=1)) / half_life)
                     for _, _, ts, w in events)  # fmt: skip


def book(events: list[Event], published: datetime | None) -> dict[str, Any]:
    of_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        of_user[event[0]].append(event)
    parts = [max(decayed(own, 7), 0.0) for own in of_user.values()]
    shares = [part / sum(parts) for part in parts if part > 0]
    entropy = -sum(p * math.log2(p) for p in shares) if shares else None
    long, short = decayed(events, 14) / 14, max(decayed(events, 1), 0.0)
    first, last = min(e[2] for e in events), max(e[2] for e in events)
    return {
        "n": len(events),
        "users": len(of_user),
        "recency_days": (AS_OF - last) / timedelta(days=1),
        "age_days": (AS_OF - (published or first)) / timedelta(days=1),
        "popularity": decayed(events, 7),
        "velocity": short / long if long > 0 else None,
        "audience_entropy": entropy,
        "audience": None if entropy is None else 2**entropy,
        "repeat_share": sum(len(own) - 1 for own in of_user.values()) / len(events),
    }


def test_random_items_have_the_features_by_the_book(spark: SparkSession) -> None:
    dice = random.Random(20260301)
    events: dict[str, list[Event]] = {}
    for item in (f"i{i}" for i in range(150)):
        span, likes = dice.choice((0.1, 3, 60)), dice.choice((0.2, 0.8, 1.0))
        events[item] = [
            (
                dice.choice("uvwxyz"),
                item,
                AS_OF - timedelta(microseconds=dice.randint(1, int(span * 86_400e6))),
                dice.random() * (2 if dice.random() < likes else -1),
            )
            for _ in range(dice.randint(1, 20))
        ]
    published = {item: dice.choice((None, ago(dice.random() * 90))) for item in events}
    catalogue = {item: ts for item, ts in published.items() if ts or dice.random() < 0.5}
    found = features(spark, [*chain(*events.values())], catalogue)
    assert set(found) == set(events)
    for item, own in events.items():
        for name, value in book(own, published[item]).items():
            same = None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
            assert found[item][name] == same, (item, name)
