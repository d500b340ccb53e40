"""User features by hand, and against the book on random events and interests."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, Row, SparkSession

from ebb.config import EventType
from ebb.durations import parse_instant
from ebb.features.settings import Features
from ebb.features.users import user_features
from ebb.interests.measures import Interests
from ebb.schema import USER_FEATURES
from ebb.tables import conform
from small import TYPES

AS_OF = parse_instant("2026-03-01T00:00:00Z")
SETTINGS = Features()
DRIFTING = Interests.model_validate({"drift": {"long": "win_30d", "short": "exp_7d"}})
KINDS = {name: EventType.model_validate(kind) for name, kind in TYPES.items()}
_EVENTS = "event_id string, user_id string, item_id string, event_type string, event_ts timestamp"
_INTERESTS = "user_id string, facet string, key string, exp_7d double, win_30d double"

Event = tuple[str, str | None, str, datetime]
Interest = tuple[str, str, str, float | None, float | None]


def at(text: str) -> datetime:
    """``02-27 10:30`` or ``02-27 10:30:01`` of 2026."""
    return datetime.fromisoformat(f"2026-{text.replace(' ', 'T')}").replace(tzinfo=UTC)


def frames(
    spark: SparkSession, events: list[Event], interests: list[Interest]
) -> tuple[DataFrame, DataFrame]:
    rows = [(str(i), *event) for i, event in enumerate(events)]
    return spark.createDataFrame(rows, _EVENTS), spark.createDataFrame(interests, _INTERESTS)


def features(
    spark: SparkSession,
    events: list[Event],
    interests: list[Interest],
    measured: Interests = DRIFTING,
) -> dict[str, Row]:
    found = user_features(*frames(spark, events, interests), SETTINGS, measured, KINDS, AS_OF)
    return {row["user_id"]: row for row in conform(USER_FEATURES, found).collect()}


@pytest.fixture(scope="module")
def by_hand(spark: SparkSession) -> dict[str, Row]:
    """A few users whose features a person can work out."""
    events: list[Event] = [
        ("regular", "a", "view", at("02-27 10:00")),
        ("regular", "b", "view", at("02-27 10:30")),
        ("regular", None, "search", at("02-27 11:00:01")),
        ("regular", "a", "buy", at("02-28 11:00:01")),
        ("once", "a", "view", AS_OF - timedelta(days=7)),
        ("just too old", "a", "view", AS_OF - timedelta(days=7, microseconds=1)),
        ("searcher", None, "search", at("02-28 23:59")),
        ("searcher", None, "search", at("02-28 23:59")),
    ]
    interests: list[Interest] = [
        ("regular", "category", "jazz", 1.0, 2.0),
        ("regular", "category", "folk", 1.0, 2.0),
        ("regular", "category", "rock", 2.0, 4.0),
        ("regular", "category", "noise", -3.0, -1.0),
        ("regular", "item", "a", 1.0, 0.0),
        ("regular", "item", "b", 0.0, 5.0),
        ("once", "category", "jazz", 0.5, 1.0),
        ("once", "tag", "loud", -1.0, 1.0),
    ]
    return features(spark, events, interests)


def test_activity_is_counted_and_aged_from_the_events(by_hand: dict[str, Row]) -> None:
    row = by_hand["regular"]
    assert row["n"] == 4
    assert row["first_ts"].astimezone(UTC) == at("02-27 10:00")
    assert row["last_ts"].astimezone(UTC) == at("02-28 11:00:01")
    assert row["recency_days"] == pytest.approx((13 * 3600 - 1) / 86_400, rel=1e-12)
    assert row["tenure_days"] == pytest.approx(1 + 14 / 24, rel=1e-12)
    assert row["active_days"] == 2
    assert row["by_type"] == {"view": 2, "buy": 1, "search": 1, "dislike": 0}


def test_a_window_holds_its_first_instant(by_hand: dict[str, Row]) -> None:
    assert by_hand["regular"]["events_in"] == {"1d": 1, "7d": 4, "30d": 4}
    assert by_hand["once"]["events_in"] == {"1d": 0, "7d": 1, "30d": 1}
    assert by_hand["just too old"]["events_in"] == {"1d": 0, "7d": 0, "30d": 1}


def test_a_session_ends_only_with_a_gap_longer_than_the_session_gap(
    by_hand: dict[str, Row],
) -> None:
    # 10:00 and 10:30 are one session; the search comes 30 minutes and a second later.
    assert by_hand["regular"]["sessions"] == 3
    assert by_hand["regular"]["events_per_session"] == pytest.approx(4 / 3)
    assert by_hand["searcher"]["sessions"] == 1


def test_gaps_are_hours_between_events_and_empty_with_a_single_one(
    by_hand: dict[str, Row],
) -> None:
    row = by_hand["regular"]
    second = 0.5 + 1 / 3600
    mean = (0.5 + second + 24) / 3
    assert row["mean_gap_hours"] == pytest.approx(mean)
    assert row["median_gap_hours"] == pytest.approx(second)
    spread = [(gap - mean) ** 2 for gap in (0.5, second, 24)]
    assert row["gap_deviation_hours"] == pytest.approx(math.sqrt(sum(spread) / 3))
    names = ("mean_gap_hours", "median_gap_hours", "gap_deviation_hours")
    assert [by_hand["once"][name] for name in names] == [None, None, None]
    assert [by_hand["searcher"][name] for name in names] == [0.0, 0.0, 0.0]


def test_a_repeat_is_an_event_with_an_item_met_before(by_hand: dict[str, Row]) -> None:
    # a, b, a: one of three; the search has no item.
    assert by_hand["regular"]["repeat_share"] == pytest.approx(1 / 3)
    assert by_hand["once"]["repeat_share"] == 0.0
    assert by_hand["searcher"]["repeat_share"] is None


def test_entropy_is_in_bits_of_positive_shares(by_hand: dict[str, Row]) -> None:
    # Shares of a quarter, a quarter and a half; what is disliked has none.
    assert by_hand["regular"]["entropy"] == {"category": pytest.approx(1.5), "item": 0.0}
    assert by_hand["regular"]["keys"] == {"category": 3, "item": 1}
    assert by_hand["once"]["entropy"] == {"category": 0.0}
    assert by_hand["once"]["keys"] == {"category": 1, "tag": 0}


def test_divergence_is_0_for_equal_distributions_and_1_for_disjoint_ones(
    by_hand: dict[str, Row],
) -> None:
    assert by_hand["regular"]["divergence"] == {"category": 0.0, "item": 1.0}
    # Nothing is left of the tag in the short term.
    assert by_hand["once"]["divergence"] == {"category": 0.0}


def test_a_user_without_interests_has_empty_maps(by_hand: dict[str, Row]) -> None:
    row = by_hand["searcher"]
    assert (row["entropy"], row["keys"], row["divergence"]) == ({}, {}, {})


def test_shares_are_plain_whatever_the_configured_share_and_divergence_needs_drift(
    spark: SparkSession,
) -> None:
    events: list[Event] = [("u", "a", "view", at("02-27 10:00"))]
    interests: list[Interest] = [("u", "item", "a", 1.0, 1.0), ("u", "item", "b", 0.0, 1.0)]
    row = features(spark, events, interests, Interests(share="softmax"))["u"]
    assert (row["entropy"], row["keys"]) == ({"item": 0.0}, {"item": 1})
    assert row["divergence"] is None


# --------------------------------------------------------------------------- by the book
def book_activity(events: list[Event]) -> dict[str, Any]:
    order = sorted(ts for *_, ts in events)
    hours = [(b - a) / timedelta(hours=1) for a, b in pairwise(order)]
    items = [item for _, item, _, _ in events if item is not None]
    kinds = Counter(kind for _, _, kind, _ in events)
    sessions = 1 + sum(gap > 0.5 for gap in hours)
    windows = {"1d": 1, "7d": 7, "30d": 30}
    return {
        "n": len(events),
        "recency_days": (AS_OF - order[-1]) / timedelta(days=1),
        "tenure_days": (AS_OF - order[0]) / timedelta(days=1),
        "active_days": len({ts.date() for ts in order}),
        "events_in": {
            name: sum(ts >= AS_OF - timedelta(days=days) for ts in order)
            for name, days in windows.items()
        },
        "by_type": {kind: kinds[kind] for kind in ("view", "buy", "search", "dislike")},
        "sessions": sessions,
        "events_per_session": len(events) / sessions,
        "mean_gap_hours": statistics.fmean(hours) if hours else None,
        "median_gap_hours": statistics.median(hours) if hours else None,
        "gap_deviation_hours": statistics.pstdev(hours) if hours else None,
        "repeat_share": 1 - len(set(items)) / len(items) if items else None,
    }


def book_shares(values: dict[str, float | None]) -> dict[str, float]:
    positive = {key: max(value or 0.0, 0.0) for key, value in values.items()}
    total = sum(positive.values())
    return {key: value / total for key, value in positive.items()} if total else {}


def book_entropy(shares: dict[str, float]) -> float:
    return -sum(p * math.log2(p) for p in shares.values() if p > 0)


def book_divergence(p: dict[str, float], q: dict[str, float]) -> float:
    middle = {key: (p[key] + q[key]) / 2 for key in p}
    square = book_entropy(middle) - (book_entropy(p) + book_entropy(q)) / 2
    return math.sqrt(max(square, 0.0))


def book_breadth(interests: list[Interest]) -> dict[str, Any]:
    facets: dict[str, list[Interest]] = defaultdict(list)
    for interest in interests:
        facets[interest[1]].append(interest)
    found: dict[str, Any] = {"entropy": {}, "keys": {}, "divergence": {}}
    for facet, rows in facets.items():
        short = book_shares({key: value for _, _, key, value, _ in rows})
        long = book_shares({key: value for _, _, key, _, value in rows})
        found["keys"][facet] = sum(p > 0 for p in short.values())
        if short:
            found["entropy"][facet] = book_entropy(short)
        if short and long:
            found["divergence"][facet] = book_divergence(long, short)
    return found


def random_events(dice: random.Random, user: str) -> list[Event]:
    """Bursts on a grid of ten minutes, so that instants, gaps and edges of windows coincide."""
    found: list[Event] = []
    ts = AS_OF - timedelta(days=dice.choice((1, 7, 30, 40)))
    for _ in range(dice.randint(1, 25)):
        kind = dice.choice(("view", "view", "buy", "search", "dislike"))
        item = None if kind == "search" else dice.choice("abcdef")
        found.append((user, item, kind, ts))
        ts += timedelta(minutes=10) * dice.choice((0, 1, 2, 3, 4, 50, 300))
    known = [event for event in found if event[3] < AS_OF]
    dice.shuffle(known)
    return known


def random_interests(dice: random.Random, user: str) -> list[Interest]:
    values: tuple[float | None, ...] = (None, 0.0, -1.0, 1.0, 1e-9, dice.random(), dice.random())
    return [
        (user, facet, key, dice.choice(values), dice.choice(values))
        for facet in ("item", "category", "tag")
        for key in "abcdefgh"[: dice.randint(0, 8)]
    ]


def test_random_users_have_the_features_by_the_book(spark: SparkSession) -> None:
    dice = random.Random(20260301)
    users = [f"u{i}" for i in range(150)]
    events = {user: random_events(dice, user) for user in users}
    interests = {user: random_interests(dice, user) for user in users}
    found = features(spark, [*chain(*events.values())], [*chain(*interests.values())])
    assert set(found) == set(users)
    required = [field.name for field in USER_FEATURES.schema if not field.nullable]
    for user in users:
        row = found[user]
        expected = book_activity(events[user]) | book_breadth(interests[user])
        for name, value in expected.items():
            # The book's divergence is the root of a difference: it has half of a double's digits.
            within = 1e-7 if name == "divergence" else 1e-9
            same = None if value is None else pytest.approx(value, rel=1e-9, abs=within)
            assert row[name] == same, (user, name)
        assert all(row[name] is not None for name in required)
        assert all(0 <= d <= 1 for d in row["divergence"].values())


# --------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"activity": ["7d", "1w"]}, "names 7d twice"),
        ({"activity": []}, "at least 1 item"),
        ({"session_gap": "0min"}, "a duration above zero"),
        ({"velocity": {"short": "14d"}}, "short 14d must be below long 14d"),
        ({"halflife": "1d"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Features.model_validate(wrong)
