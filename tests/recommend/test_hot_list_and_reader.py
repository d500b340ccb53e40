from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ebb.config import HotList
from ebb.recommend.hot_list import default_slate, hot_list
from ebb.recommend.reader import recommendations_for
from ebb.recommend.reasons import COLD
from ebb.recommend.slates import Ranking
from ebb.schema import HOT_LIST, RECOMMENDATIONS
from ebb.tables import Stamp
from recommend.slate_oracle import Item, SmallWorld

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)


def hot(spark, n=2):
    """a: 1 + 1/2 two days ago by the hot list's half-life, and so on; see the expectations."""
    events = [("a", 2, 2.0), ("a", 4, 2.0), ("b", 2, 3.0), ("c", 2, 3.0), ("x", 2, 9.0)]
    events += [("d", 2, -4.0)]
    happened = spark.createDataFrame(
        [("u", item, AS_OF - age * DAY, weight) for item, age, weight in events],
        "user_id string, item_id string, event_ts timestamp, weight double",
    )
    eligible = spark.createDataFrame(
        [("c", ["k", "m", "k"]), ("b", ["k"]), ("a", ["k", None]), ("d", ["m"]), ("e", None)],
        "item_id string, categories array<string>",
    )
    return hot_list(happened, eligible, AS_OF, HotList(n=n, half_life=2 * DAY))


def test_the_hot_list_ranks_eligible_items_by_scope(spark):
    rows = sorted(hot(spark).collect(), key=lambda r: (r["scope"], r["rank"]))
    assert [(r["scope"], r["rank"], r["item_id"], r["n"]) for r in rows] == [
        # b and c tie at 3/2 and a has 2/2 + 2/4, as much: ties go by item_id.
        ("all", 1, "a", 2),
        ("all", 2, "b", 1),
        ("category:k", 1, "a", 2),
        ("category:k", 2, "b", 1),
        ("category:m", 1, "c", 1),
    ]
    scores = {(r["scope"], r["item_id"]): r["score"] for r in rows}
    assert scores["all", "a"] == scores["all", "b"] == scores["category:m", "c"] == 1.5


SHELF = {item: Item(f"Title {item}") for item in "abcde"}
WORLD = SmallWorld(["ann"], SHELF, [("ann", "a", 2.0, 2.0), ("bob", "b", 2.0, 3.0)])
POPULAR = Ranking({"popularity_flat": 1.0})


def test_the_default_slate_is_that_of_somebody_without_a_past(spark):
    default = default_slate(WORLD.prepared(spark, repeat=True, n=4), POPULAR).collect()
    assert [(r["scope"], r["rank"], r["item_id"]) for r in default] == [
        ("default", rank, item) for rank, item in enumerate("bacd", start=1)
    ]
    cold = SmallWorld(["cold"], SHELF, WORLD.events).slates(spark, POPULAR, True, n=4)["cold"]
    assert [(r["item_id"], r["score"]) for r in cold] == [
        (r["item_id"], r["score"]) for r in default
    ]


def test_the_default_slate_has_all_items_where_there_are_fewer_than_n(spark):
    rows = default_slate(WORLD.prepared(spark, repeat=False, n=50), POPULAR).collect()
    assert sorted(r["item_id"] for r in rows) == list("abcde")


def test_the_reader_gives_the_default_slate_to_whoever_has_none(spark, tables):
    stamp = Stamp("recommend", AS_OF, "hash")
    default = default_slate(WORLD.prepared(spark, repeat=True, n=4), POPULAR)
    listed = hot(spark).unionByName(default)
    with_as_of = listed.selectExpr("timestamp'2026-01-31T00:00:00Z' as as_of", "*")
    tables.write_slice(HOT_LIST, with_as_of, stamp)
    reason = ("popularity", None, None, None, None, None, 1.0, "Popular now with everyone.")
    slates = [
        (AS_OF, user, 1, "b", 1.0, "popularity", [reason], 1.0, None, None, "v1", None)
        for user in ("ann", "bob")
    ]
    tables.write_slice(
        RECOMMENDATIONS, spark.createDataFrame(slates, RECOMMENDATIONS.schema), stamp
    )

    frame = recommendations_for(tables, ["ann", "who", "ann"], AS_OF)
    assert frame.columns == RECOMMENDATIONS.schema.names
    rows = {(r["user_id"], r["rank"]): r for r in frame.collect()}
    assert sorted(rows) == [("ann", 1), *(("who", rank) for rank in (1, 2, 3, 4))]
    assert rows["ann", 1]["model_version"] == "v1"
    assert [rows["who", rank]["item_id"] for rank in (1, 2, 3, 4)] == list("bacd")
    assert {rows["who", rank]["source"] for rank in (1, 2, 3, 4)} == {"popularity"}
    first = rows["who", 1]["reasons"][0]
    assert first["sentence"] == COLD and first["item_id"] is None
    assert first["contribution"] == rows["who", 1]["score"]

    asked = spark.createDataFrame([("bob",), ("bob",), ("you",)], "user_id string")
    found = recommendations_for(tables, asked, AS_OF).collect()
    assert sorted((r["user_id"], r["rank"]) for r in found)[:2] == [("bob", 1), ("you", 1)]
    assert len(found) == 5
