from __future__ import annotations

import math
import random
from functools import partial

import numpy as np
import pytest

from ebb.errors import RunError
from ebb.recommend.catalogue import as_catalogue
from ebb.recommend.gather import one_batch
from ebb.recommend.pasts import past_rows
from ebb.recommend.reasons import COLD, FILLER, NEW
from ebb.recommend.settings import Rerank
from ebb.recommend.slates import Ranking
from ebb.recommend.views import SCHEMA, view_batches
from ebb.schema import RECOMMENDATIONS
from ebb.tables import conform
from recommend.slate_oracle import AS_OF, DAY, LIVES, Item, SmallWorld, oracle, random_world

SHELF = {item: Item(f"Title {item}") for item in "abcdef"}
BLEND = Ranking(
    {
        "popularity_2d": 0.4, "popularity_flat": 0.1, "velocity": 0.2, "newness": 0.1,
        "neighbours_decayed_5d": 0.3, "neighbours_flat_flat": 0.2, "ease_flat_5d": 0.4,
        "ease_decayed_flat": 0.1, "content_5d": 0.3, "content_flat": 0.2, "als": 0.5,
        "als_flat": 0.2, "affinity_category_5d": 0.3, "history_3d": 0.6, "history_flat": 0.2,
        "recency": 0.2, "had": 0.3, "days": 0.1, "again": 0.1,
    }
)  # fmt: skip


@pytest.mark.parametrize(("seed", "repeat"), [(1, True), (2, False)])
def test_every_feature_of_every_candidate_equals_a_plain_python_oracle(spark, seed, repeat):
    world = random_world(seed)
    truth = oracle(world, repeat)
    prepared = world.prepared(spark, repeat)
    labels = spark.createDataFrame(
        [(user, "i00") for user in world.users], "user_id string, item_id string"
    )
    users = labels.select("user_id")
    rows = past_rows(world.event_frame(spark), users, prepared.places, AS_OF, LIVES, labels=labels)
    view = rows.mapInArrow(partial(view_batches, prepared.name, prepared.plan, None), SCHEMA)
    names = prepared.plan.columns.names
    ids = as_catalogue(one_batch(prepared.table)).ids.to_pylist()
    found = {(r["user_id"], ids[r["place"]]): r for r in view.collect()}
    assert set(found) == {(user, item) for user, items in truth.items() for item in items}
    assert {name for items in truth.values() for row in items.values() for name in row} == set(
        names
    )
    for (user, item), row in found.items():
        expected = [truth[user][item][name] for name in names]
        own = row["features"][: len(names)]
        assert own == pytest.approx(expected, rel=1e-4, abs=1e-4), (user, item)
        assert row["is_label"] == (item == "i00")


@pytest.mark.parametrize(("seed", "repeat"), [(3, True), (4, False)])
def test_slates_are_the_n_best_by_the_weighted_sum_and_scores_its_softmax(spark, seed, repeat):
    world = random_world(seed)
    truth = oracle(world, repeat)
    found = world.slates(spark, BLEND, repeat, n=6)
    for user in world.users:
        raised = {
            item: math.exp(sum(BLEND.weights.get(name, 0.0) * x for name, x in row.items()))
            for item, row in truth[user].items()
        }
        total = sum(raised.values())
        rows = found.get(user, [])
        best = sorted(raised, key=lambda i: (-float(f"{raised[i] / total:.4g}"), i))[:6]
        assert [row["rank"] for row in rows] == list(range(1, len(best) + 1))
        assert [raised[row["item_id"]] for row in rows] == pytest.approx(
            [raised[i] for i in best], rel=1e-3
        )
        for row in rows:
            assert row["score"] == pytest.approx(raised[row["item_id"]] / total, rel=1e-4)


@pytest.mark.parametrize(("seed", "repeat"), [(5, True), (6, False)])
def test_reasons_cite_only_the_users_own_past_and_interests(spark, seed, repeat):
    world = random_world(seed)
    took: dict[tuple[str, str], list[float]] = {}
    for user, item, age, weight in world.events:
        if item is not None and weight > 0:
            took.setdefault((user, item), []).append(age)
    sources = set()
    for user, rows in world.slates(spark, BLEND, repeat, n=8).items():
        for row in rows:
            reasons = row["reasons"]
            assert 1 <= len(reasons) <= 3 and reasons[0]["source"] == row["source"]
            given = [reason["contribution"] for reason in reasons]
            assert given == sorted(given, reverse=True) and given[-1] >= 0
            cited = [reason["item_id"] for reason in reasons if reason["item_id"]]
            assert len(set(cited)) == len(cited)
            for reason in reasons:
                sources.add(reason["source"])
                if reason["source"] in ("history", "neighbours", "ease", "als", "content"):
                    ages = took[user, reason["item_id"]]
                    day = (AS_OF - min(ages) * DAY).date()
                    assert str(day) in reason["sentence"]
                    assert str(reason["last_ts"]).startswith(str(day))
                if reason["source"] == "history":
                    assert reason["item_id"] == row["item_id"]
                else:  # that they had the very item is history's to say
                    assert reason["item_id"] != row["item_id"]
                if reason["source"] in ("neighbours", "ease"):
                    models = (reason["source"], f"{reason['source']}_flat")
                    pair = (reason["item_id"], row["item_id"])
                    assert any((m, *pair) in world.models for m in models)
                if reason["source"] == "content":
                    mine, theirs = (
                        np.array(world.factors["content", i])
                        for i in (row["item_id"], reason["item_id"])
                    )
                    assert mine @ theirs > 0 and "much like" in reason["sentence"]
                if reason["source"] == "affinity":
                    assert reason["facet"] == "category"
                    assert reason["key"] in world.items[row["item_id"]].keys
                    assert 0 < reason["share"] <= 1
                    assert f"{reason['share']:.0%}" in reason["sentence"]
                if reason["source"] in ("popularity", "rising", "new"):
                    assert reason["item_id"] is None and reason["last_ts"] is None
    assert {"neighbours", "als", "affinity", "content", "popularity"} <= sources
    assert ("history" in sources) == repeat


def test_everybody_gets_exactly_n_where_n_exist_and_ties_go_by_item_id(spark):
    world = SmallWorld(
        users=["cold", "one", "all"],
        items={**SHELF, "gone": Item("Gone", eligible=False)},
        events=[("one", "f", 1.0, 1.0), ("one", "gone", 1.0, 1.0)]
        + [("all", item, 2.0, 1.0) for item in "abcdf"],
    )
    popular = Ranking({"popularity_flat": 1.0})
    slates = world.slates(spark, popular, repeat=False, n=5, candidates=1)
    items = {user: [row["item_id"] for row in rows] for user, rows in slates.items()}
    assert items == {"cold": list("fabcd"), "one": list("abcde"), "all": ["e"]}
    assert [r["sentence"] for r in slates["cold"][0]["reasons"]] == [COLD]
    assert [r["sentence"] for r in slates["one"][4]["reasons"]] == [FILLER]
    assert {row["source"] for row in slates["cold"]} == {"popularity"}


def test_a_user_with_one_event_with_only_old_ones_and_an_item_born_an_hour_ago(spark):
    world = SmallWorld(
        users=["one", "old"],
        items={
            "a": Item("A", ("jazz",)),
            "b": Item("B", ("jazz",)),
            "born": Item("Born", ("jazz",), published=1 / 24),
            "rock": Item("Rock", ("rock",)),
        },
        events=[("one", "a", 1.0, 1.0), ("old", "rock", 5000.0, 1.0), ("x", "b", 3.0, 1.0)],
    )
    ranking = Ranking({"affinity_category_5d": 1.0, "newness": 0.3, "popularity_flat": 0.1})
    slates = world.slates(spark, ranking, repeat=False, n=2)
    # Nobody touched `born`, but it is new and of the category that the user cares for.
    first = slates["one"][0]
    assert first["item_id"] == "born" and first["source"] in ("new", "affinity")
    assert {r["sentence"] for r in first["reasons"]} & {NEW, "jazz is 100% of your interest in "
            "category, last on 2026-01-30."}  # fmt: skip
    # However old, an only interest is all that there is to go by; it may have decayed to nothing.
    assert len(slates["old"]) == 2


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
        models={("neighbours", "a", "c"): 1.0, ("neighbours", "b", "c"): 1.0},
    )
    slates = world.slates(spark, BLEND, repeat=True, n=6)
    assert sorted(row["item_id"] for row in slates["ann"]) == list("cdef")
    assert sorted(row["item_id"] for row in slates["bob"]) == list("abcdef")
    # What was disliked is no reason either.
    assert {r["item_id"] for row in slates["ann"] for r in row["reasons"]} == {None}


def test_slates_do_not_hang_on_the_order_of_events_or_on_partitions(spark):
    world = random_world(7, users=20, events=300)
    expected = world.slates(spark, BLEND, True, n=7)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    random.Random(0).shuffle(world.events)
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "5")
        shuffled = world.event_frame(spark).repartition(3)
        assert world.slates(spark, BLEND, True, shuffled, n=7) == expected
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)


def test_reranked_slates_fit_the_table_and_keep_to_their_limits(spark):
    world = random_world(8)
    spread = Rerank(method="mmr", strength=0.9, most_a_key=2)
    rows = world.slates(spark, Ranking(BLEND.weights, spread), repeat=True, n=4)
    for own in rows.values():
        keys = [key for row in own for key in world.items[row["item_id"]].keys]
        assert len(own) == 4 and all(keys.count(key) <= 2 for key in keys)
    whole = spark.createDataFrame(
        [row for own in rows.values() for row in own], RECOMMENDATIONS.schema
    )
    assert conform(RECOMMENDATIONS, whole).columns == list(rows["u0"][0].asDict())


def test_without_items_or_users_there_are_no_slates(spark):
    assert SmallWorld(["ann"], {}, []).slates(spark, BLEND, repeat=False) == {}
    world = SmallWorld(["ann"], SHELF, [("ann", "a", 1.0, 1.0)])
    world.users = []
    assert world.slates(spark, BLEND, repeat=True) == {}


def test_items_that_do_not_fit_into_memory_are_refused_by_the_name_of_the_key(spark):
    world = SmallWorld(["ann"], {"a": Item("x" * 40_000_000)}, [])
    with pytest.raises(RunError, match=r"recommend\.memory_mb is 16, but 1 items .* need 39 MB"):
        world.slates(spark, BLEND, repeat=False, memory_mb=16)


def test_weights_of_features_that_there_are_not_are_left_out() -> None:
    assert np.array_equal(Ranking({"b": 2.0, "gone": 9.0}).over(("a", "b")), [0.0, 2.0])


def test_an_item_that_nobody_touched_is_recommended_for_what_its_text_says(spark) -> None:
    world = SmallWorld(
        users=["ann", "cold"],
        items=SHELF,
        events=[("ann", "a", 1.0, 1.0), ("ann", "b", 9.0, 1.0), ("x", "c", 1.0, 1.0)],
        factors={("content", "a"): [1.0, 0.0], ("content", "b"): [0.0, 1.0],
                 ("content", "e"): [0.8, 0.6], ("content", "f"): [-1.0, 0.0]},
    )  # fmt: skip
    slates = world.slates(spark, Ranking({"content_5d": 1.0}), repeat=False, n=4)
    first = slates["ann"][0]
    assert (first["item_id"], first["source"]) == ("e", "content")
    (reason,) = first["reasons"]
    # Yesterday's is nearer, and speaks louder than last week's.
    assert reason["item_id"] == "a"
    assert reason["sentence"] == "This is much like Title a; you took it on 2026-01-30."
    assert all(row["source"] != "content" for row in [*slates["ann"][1:], *slates["cold"]])


def test_where_it_is_learned_what_texts_lead_on_to_counts_and_not_what_they_are_like(spark) -> None:
    like, other = [1.0, 0.0], [0.0, 1.0]
    world = SmallWorld(
        users=["ann"],
        items=SHELF,
        events=[("ann", "a", 1.0, 1.0)],
        factors={("content", "a"): like, ("content", "e"): like, ("content", "f"): other,
                 ("projected", "a"): other, ("projected", "e"): like},
    )  # fmt: skip
    first = world.slates(spark, Ranking({"content_5d": 1.0}), repeat=False, n=4)["ann"][0]
    assert (first["item_id"], first["source"]) == ("f", "content")
    said = "What is like Title a leads on to this; you took it on 2026-01-30."
    assert [reason["sentence"] for reason in first["reasons"]] == [said]
