from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ebb.config import ActiveUsers, Recommend
from ebb.recommend.eligible import eligible_items, items_at, repeat_allowed, users_to_score

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
ITEMS = (
    "item_id string, valid_from timestamp, valid_to timestamp, title string, "
    "categories array<string>, published_at timestamp, available boolean"
)
EVENTS = "user_id string, item_id string, event_ts timestamp, weight double"


def version(item, start=-100, end=None, title="T", published=None, available=True):
    """A version; times in days from AS_OF, None for open."""
    times = [None if t is None else AS_OF + t * DAY for t in (start, end, published)]
    return (item, times[0], times[1], title, ["c"], times[2], available)


def frames(spark, versions, events):
    rows = [(user, item, AS_OF - age * DAY, weight) for user, item, age, weight in events]
    return spark.createDataFrame(versions, ITEMS), spark.createDataFrame(rows, EVENTS)


def test_an_item_may_be_shown_by_the_version_that_held_just_before_as_of(spark):
    versions = [
        version("plain"),
        version("withdrawn", -100, -5),
        version("withdrawn", -5, None, available=False),
        version("back", -100, -5, title="Old", available=False),
        version("back", -5, None, title="New"),
        version("ends_now", -100, 0),
        version("ended", -100, -1),
        version("starts_now", 0),
        version("starts_now_touched", 0, title="Later"),
        version("withdrawn_tomorrow", -100, 1),
        version("withdrawn_tomorrow", 1, None, available=False),
        version("out_now", published=0),
        version("out_before", published=-1),
        version("out_later_touched", published=5),
        version("blocked"),
    ]
    events = [
        ("u", "out_later_touched", 1, 1.0),
        ("u", "starts_now_touched", 1, 1.0),
        ("u", "unlisted", 1, -1.0),
        ("u", "withdrawn", 1, 1.0),
        ("u", "blocked_unlisted", 1, 1.0),
        ("u", None, 1, 1.0),
    ]
    items, happened = frames(spark, versions, events)
    block = ("blocked", "blocked_unlisted")
    known = {r["item_id"]: r for r in items_at(items, happened, AS_OF, block).collect()}

    assert {item for item, row in known.items() if row["eligible"]} == {
        "plain",
        "back",
        "ends_now",
        "starts_now_touched",
        "withdrawn_tomorrow",
        "out_before",
        "out_later_touched",
        "unlisted",
    }
    assert "starts_now" not in known
    assert known["back"]["title"] == "New"
    assert known["starts_now_touched"]["title"] is None
    assert known["withdrawn"]["title"] == "T" and not known["withdrawn"]["eligible"]
    eligible = eligible_items(items, happened, AS_OF, block)
    assert eligible.columns == ["item_id", "title", "categories"]
    assert eligible.count() == 8


def test_users_are_scored_who_were_known_before_as_of(spark):
    users = spark.createDataFrame(
        [
            ("always", None),
            ("early", AS_OF - DAY),
            ("now", AS_OF),
            ("cold", AS_OF - 90 * DAY),
        ],
        "user_id string, first_seen timestamp",
    )
    _, events = frames(
        spark, [], [("early", "i", 1, 1.0), ("early", None, 2, 1.0), ("cold", "i", 9, 1.0)]
    )

    def scored(settings):
        return sorted(
            r["user_id"] for r in users_to_score(users, events, AS_OF, settings).collect()
        )

    assert scored(Recommend()) == ["always", "cold", "early"]
    assert scored(Recommend(users=ActiveUsers(active_within=2 * DAY))) == ["early"]
    assert scored(Recommend(users=ActiveUsers(active_within=9 * DAY))) == ["cold", "early"]


def test_repeats_are_allowed_where_known_users_take_things_again(spark):
    # 100 days of events: the last stretch is the last 10.
    events = [
        ("ann", "a", 100, 1.0),
        ("ann", "b", 50, 1.0),
        ("ann", "a", 3, 1.0),
        ("ann", "a", 2, 1.0),
        ("ann", "c", 2, 1.0),
        ("ann", "d", 1, -1.0),  # takes nothing
        ("ann", "b", 1, 0.0),
        ("bob", "a", 90, 1.0),
        ("bob", "e", 4, 1.0),
        ("bob", "e", 1, 1.0),  # taken twice, but not before the stretch
        ("bob", "b", 10, 1.0),  # the stretch's first instant
        ("new", "a", 2, 1.0),
        ("new", "a", 1, 1.0),
    ]
    _, happened = frames(spark, [], events)
    found = repeat_allowed(happened, AS_OF, Recommend(repeat_threshold=0.25))
    # Within, by those known before: (ann, a) again; (ann, c), (bob, e), (bob, b) new.
    assert found.share == pytest.approx(1 / 4)
    assert found.allowed
    assert not repeat_allowed(happened, AS_OF, Recommend(repeat_threshold=0.26)).allowed


def test_the_configuration_decides_repeats_before_the_data(spark):
    _, nothing = frames(spark, [], [])
    assert repeat_allowed(nothing, AS_OF, Recommend(repeat="allow")).allowed
    assert not repeat_allowed(nothing, AS_OF, Recommend(repeat="exclude")).allowed
    assert repeat_allowed(nothing, AS_OF, Recommend()) == repeat_allowed(
        nothing, AS_OF, Recommend(repeat="exclude")
    )
