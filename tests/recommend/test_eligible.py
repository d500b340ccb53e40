from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ebb.recommend.eligible import eligible_items, items_at, repeat_allowed, users_to_score
from ebb.recommend.settings import ActiveUsers, Recommend

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
ITEMS = (
    "item_id string, valid_from timestamp, valid_to timestamp, title string, "
    "categories array<string>, tags array<string>, attributes map<string,string>, "
    "published_at timestamp, available boolean"
)
EVENTS = "user_id string, item_id string, event_ts timestamp, weight double"


def version(item, start=-100, end=None, title="T", published=None, available=True):
    """A version; times in days from AS_OF, None for open."""
    times = [None if t is None else AS_OF + t * DAY for t in (start, end, published)]
    return (item, times[0], times[1], title, ["c"], ["t"], None, times[2], available)


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
    settings = Recommend(block=("blocked", "blocked_unlisted"))
    found = items_at(items, happened, AS_OF, settings)
    known = {r["item_id"]: r for r in found.collect()}

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
    assert (known["back"]["tags"], known["back"]["categories"]) == (["t"], ["c"])
    eligible = eligible_items(found)
    assert eligible.columns == ["item_id", "categories"]
    assert eligible.count() == 8


def test_lists_and_age_narrow_what_may_be_recommended(spark):
    versions = [
        version("old", published=-40),
        version("young", published=-5),
        version("undated"),
        version("early", published=-5),
    ]
    events = [("u", "early", 30, 1.0), ("u", "just met", 2, 1.0), ("u", "met long ago", 50, 1.0)]
    items, happened = frames(spark, versions, events)

    def eligible(**settings):
        found = eligible_items(items_at(items, happened, AS_OF, Recommend(**settings)))
        return {row["item_id"] for row in found.collect()}

    everything = {"old", "young", "undated", "early", "just met", "met long ago"}
    assert eligible() == everything
    assert eligible(allow=("old", "young", "nobody")) == {"old", "young"}
    assert eligible(allow=("old", "young"), block=("old",)) == {"young"}
    # An age is since the publication or the first event, whichever came first; unknown is too old.
    assert eligible(max_age=10 * DAY) == {"young", "just met"}


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
