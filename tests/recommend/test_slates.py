from __future__ import annotations

import random

import pytest

from ebb.config import Blend, Recommend, Train
from ebb.errors import RunError
from ebb.recommend.reasons import COLD, FILLER
from ebb.schema import RECOMMENDATIONS
from ebb.tables import conform
from recommend.slate_oracle import AS_OF, DAY, SmallWorld, als_parts, oracle, pasts, random_world

SHELF = {item: (f"Title {item}", True) for item in "abcdef"}
# Above what some pairs of the random worlds have decayed to.
TRAIN = Train(floor=0.7)


@pytest.mark.parametrize(("seed", "repeat"), [(1, True), (2, False), (3, True), (4, False)])
def test_slates_equal_a_plain_python_oracle(spark, seed, repeat):
    world, settings = random_world(seed), Recommend(n=6)
    truth = oracle(world, settings, TRAIN, repeat)
    found = world.slates(spark, settings, repeat, TRAIN)

    for user in world.users:
        parts = truth[user]
        totals = {item: sum(part.values()) for item, part in parts.items()}
        rows = found.get(user, [])
        assert [row["rank"] for row in rows] == list(range(1, min(6, len(totals)) + 1))
        chosen = [row["item_id"] for row in rows]
        assert len(set(chosen)) == len(chosen)
        best = sorted(totals, key=lambda i: (-float(f"{totals[i]:.4g}"), i))[:6]
        assert [totals[i] for i in chosen] == pytest.approx([totals[i] for i in best], rel=1e-3)
        for row in rows:
            part = parts[row["item_id"]]
            assert row["score"] == pytest.approx(totals[row["item_id"]], rel=2e-5, abs=1e-12)
            assert part[row["source"]] == pytest.approx(max(part.values()), rel=1e-4, abs=1e-12)


@pytest.mark.parametrize(("seed", "repeat"), [(5, True), (6, False)])
def test_reasons_cite_only_the_users_own_past_that_added_to_the_score(spark, seed, repeat):
    world, settings = random_world(seed), Recommend(n=8)
    own = pasts(world, settings, TRAIN)
    parts = oracle(world, settings, TRAIN, repeat)
    seen_sources = set()
    for user, rows in world.slates(spark, settings, repeat, TRAIN).items():
        for row in rows:
            reasons = row["reasons"]
            assert 1 <= len(reasons) <= 3
            assert reasons[0]["source"] == row["source"]
            for source in {r["source"] for r in reasons}:
                given = [r["contribution"] for r in reasons if r["source"] == source]
                assert given == sorted(given, reverse=True)
            for reason in reasons:
                seen_sources.add(reason["source"])
                if row["score"] > 0:
                    assert reason["contribution"] > 0
                    assert parts[user][row["item_id"]][reason["source"]] > 0
                if reason["source"] == "popularity":
                    assert reason["item_id"] is None and reason["last_ts"] is None
                    continue
                past = own[user][reason["item_id"]]
                assert past.n > 0 and past.net > 0
                ages = [
                    age
                    for u, i, age, weight in world.events
                    if (u, i) == (user, reason["item_id"]) and weight > 0
                ]
                day = (AS_OF - min(ages) * DAY).date()
                assert str(day) in reason["sentence"]
                if reason["source"] == "history":
                    assert reason["item_id"] == row["item_id"]
                else:
                    title = world.items[reason["item_id"]][0] or reason["item_id"]
                    assert f"you took {title} on {day}." in reason["sentence"]
                if reason["source"] == "als":
                    liked = {i: p for i, p in own[user].items() if min(p.net, p.history) > 0}
                    added = als_parts(world, liked, list(parts[user]), TRAIN)
                    share = added[row["item_id"]][reason["item_id"]] / sum(
                        added[row["item_id"]].values()
                    )
                    whole = parts[user][row["item_id"]]["als"]
                    assert reason["contribution"] == pytest.approx(share * whole, rel=1e-4)
                if reason["source"] == "neighbours":
                    assert (reason["item_id"], row["item_id"]) in world.neighbours
    assert seen_sources == {"neighbours", "als", "popularity"} | ({"history"} if repeat else set())


def test_a_score_and_its_reasons_by_hand(spark):
    world = SmallWorld(
        users=["ann"],
        items=SHELF,
        events=[("ann", "a", 30.0, 1.0), ("ann", "a", 60.0, 2.0), ("ann", "b", 60.0, 1.0)],
        popular={"a": 4.0, "c": 8.0},
        neighbours={("a", "c"): 0.5, ("b", "c"): 0.5, ("b", "d"): 0.25},
    )
    # history: a = 1/2 + 2/4 = 1, b = 1/4. neighbours: c = .5 + .125, d = .0625. popularity: c = 8.
    blend = Blend(history=1.0, neighbours=0.5, als=0.0, popularity=0.2)
    rows = world.slates(spark, Recommend(n=4, blend=blend), repeat=True)["ann"]

    assert [(row["item_id"], row["score"]) for row in rows] == [
        ("a", 1.1),
        ("c", 0.7),
        ("b", 0.25),
        ("d", 0.05),
    ]
    assert [row["source"] for row in rows] == ["history", "neighbours", "history", "neighbours"]
    assert [(r["source"], r["item_id"], r["contribution"]) for r in rows[1]["reasons"]] == [
        ("neighbours", "a", 0.4),
        ("neighbours", "b", 0.1),
        ("popularity", None, 0.2),
    ]
    assert [r["sentence"] for r in rows[0]["reasons"]] == [
        "You took it 2 times, last on 2026-01-01.",
        "Popular now with everyone.",
    ]
    assert rows[1]["reasons"][0]["sentence"] == (
        "People who took Title a also take this; you took Title a on 2026-01-01."
    )
    assert rows[2]["reasons"][0]["sentence"] == "You took it on 2025-12-02."


def test_everybody_gets_exactly_n_in_order_of_score_then_item_id(spark):
    world = SmallWorld(
        users=["cold", "one", "all"],
        items={**SHELF, "gone": ("Gone", False)},
        events=[("one", "f", 1.0, 1.0), ("one", "gone", 1.0, 1.0)]
        + [("all", item, 2.0, 1.0) for item in "abcdf"],
        popular={"e": 2.0, "d": 1.0, "c": 1.0, "gone": 9.0},
        neighbours={("f", "gone"): 1.0},
    )
    slates = world.slates(spark, Recommend(n=5), repeat=False)
    items = {user: [row["item_id"] for row in rows] for user, rows in slates.items()}

    # Untouched items, which score 0, fill up in the order of their ids.
    assert items == {"cold": list("ecdab"), "one": list("ecdab"), "all": ["e"]}
    assert [r["sentence"] for r in slates["cold"][0]["reasons"]] == [COLD]
    assert [r["sentence"] for r in slates["cold"][4]["reasons"]] == [FILLER]
    assert {row["source"] for row in slates["cold"]} == {"popularity"}
    assert slates["one"][0]["reasons"][0]["sentence"] != COLD


def test_what_a_user_dislikes_is_not_recommended_even_where_repeats_are(spark):
    world = SmallWorld(
        users=["ann", "bob"],
        items=SHELF,
        events=[
            ("ann", "a", 5.0, 1.0),
            ("ann", "a", 1.0, -3.0),
            # Adds up to more than nothing as it stands, to less as of today.
            ("ann", "b", 300.0, 5.0),
            ("ann", "b", 1.0, -1.0),
            ("bob", "a", 5.0, 1.0),
        ],
        popular=dict.fromkeys(SHELF, 1.0),
        neighbours={("a", "c"): 1.0, ("b", "c"): 1.0},
    )
    slates = world.slates(spark, Recommend(n=6), repeat=True)
    assert [row["item_id"] for row in slates["ann"]] == list("cdef")
    assert [row["item_id"] for row in slates["bob"]] == list("acbdef")
    # What was disliked is no reason either.
    assert {r["source"] for row in slates["ann"] for r in row["reasons"]} == {"popularity"}


def test_slates_do_not_hang_on_the_order_of_events_or_on_partitions(spark):
    world, settings = random_world(7, users=20, events=300), Recommend(n=7)
    expected = world.slates(spark, settings, True, TRAIN)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    random.Random(0).shuffle(world.events)
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "5")
        shuffled = world.event_frame(spark).repartition(3)
        assert world.slates(spark, settings, True, TRAIN, shuffled) == expected
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)


def test_popularity_alone_needs_no_models_and_fits_the_table(spark):
    flat = Blend(history=0, neighbours=0, als=0, popularity=1)
    world = SmallWorld(["ann"], SHELF, [("ann", "a", 1.0, 1.0)], popular={"c": 3.0, "b": 1.5})
    rows = world.slates(spark, Recommend(n=3, blend=flat), repeat=False)["ann"]
    assert [(row["item_id"], row["score"]) for row in rows] == [("c", 1.0), ("b", 0.5), ("d", 0.0)]
    assert {(row["as_of"].timestamp(), row["model_version"]) for row in rows} == {
        (AS_OF.timestamp(), "v1")
    }
    schema = spark.createDataFrame(rows, RECOMMENDATIONS.schema)
    assert conform(RECOMMENDATIONS, schema).columns == list(rows[0].asDict())


def test_without_items_or_users_there_are_no_slates(spark):
    assert SmallWorld(["ann"], {}, []).slates(spark, Recommend(), repeat=False) == {}
    assert SmallWorld([], SHELF, [("ann", "a", 1.0, 1.0)]).slates(spark, Recommend(), True) == {}


def test_items_that_do_not_fit_into_memory_are_refused_by_the_name_of_the_key(spark):
    world = SmallWorld(["ann"], {"a": ("x" * 40_000_000, True)}, [])
    with pytest.raises(RunError, match=r"recommend\.memory_mb is 16, but 1 items .* need 39 MB"):
        world.slates(spark, Recommend(memory_mb=16), repeat=False)
