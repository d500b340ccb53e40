"""What users were shown: never an interest, and against what they passed over."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession

from ebb.boxes.windows import seen_at
from ebb.config import Config, Events
from ebb.context import Night
from ebb.evaluate.shown import taken_of_shown
from ebb.evaluate.splits import Split
from ebb.interests.counted import counted
from ebb.interests.frames import interests_at as frame_at
from ebb.interests.lives import lives
from ebb.interests.reader import interests_at
from ebb.interests.state import bring_up
from ebb.progress import Progress
from ebb.ranker.settings import Ranker
from ebb.recommend.defaults import default_weights
from ebb.recommend.features import Columns
from ebb.recommend.impressions import items_tried, passed_over, shown_between
from ebb.recommend.slates import Ranking, make_slates
from ebb.schema import EVENTS
from ebb.tables import Stamp, Tables
from recommend.slate_oracle import AS_OF, DAY, LIVES, Item, SmallWorld
from small import TYPES_SHOWN, Shop, arrive

LOG = "user_id string, item_id string, event_ts timestamp, weight double"
Row = tuple[str, str, float, float]  # user, item, days before AS_OF, weight (0: it was shown)


def log(spark: SparkSession, rows: list[Row]) -> tuple[DataFrame, DataFrame]:
    """What was shown, and what was done."""
    whole = spark.createDataFrame([(u, i, AS_OF - a * DAY, w) for u, i, a, w in rows], LOG)
    shown = whole.where("weight = 0").drop("weight")
    return shown, whole.where("weight <> 0")


def random_rows(seed: int) -> list[Row]:
    dice = random.Random(seed)
    return [
        (dice.choice("xyz"), dice.choice("abc"), dice.randrange(1, 40) / 2,
         dice.choice([0.0, 0.0, 0.0, 1.0, 2.0, -1.0]))
        for _ in range(90)
    ]  # fmt: skip


def passed_by_the_book(rows: list[Row], half_life: float) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for user, item, age, weight in rows:
        takes = [a for u, i, a, w in rows if (u, i) == (user, item) and w > 0]
        if weight == 0 and all(age < a for a in takes):
            found[user, item] = found.get((user, item), 0.0) + 2 ** (-age / half_life)
    return found


def test_what_was_passed_over_by_hand_and_by_the_book(spark: SparkSession) -> None:
    rows: list[Row] = [
        ("ann", "a", 7.0, 0.0), ("ann", "a", 14.0, 0.0),  # ½ + ¼
        ("ann", "b", 7.0, 0.0), ("ann", "b", 3.0, 1.0),  # taken since
        ("bob", "a", 9.0, 1.0), ("bob", "a", 9.0, 0.0), ("bob", "a", 7.0, 0.0),  # ½, and at once
        ("bob", "b", 7.0, 0.0), ("bob", "b", 1.0, -1.0),  # a dislike takes nothing
    ]  # fmt: skip
    expected = {("ann", "a"): 0.75, ("bob", "a"): 0.5, ("bob", "b"): 0.5}
    assert passed_by_the_book(rows, 7.0) == expected
    more = random_rows(5)
    found = passed_over(*log(spark, rows + more), AS_OF, 7 * DAY)
    truth = passed_by_the_book(rows + more, 7.0)
    assert {(r["user_id"], r["item_id"]): r["passed"] for r in found.collect()} == {
        pair: pytest.approx(value, rel=1e-5) for pair, value in truth.items()
    }
    shuffled = passed_over(*log(spark, (rows + more)[::-1]), AS_OF, 7 * DAY)
    assert sorted(shuffled.collect()) == sorted(found.collect())


def tried_by_the_book(rows: list[Row], half_life: float) -> dict[str, list[float]]:
    """Of each item that was shown: the times that a take of the user came next, and the others."""
    found: dict[str, list[float]] = {}
    for user, item in sorted({row[:2] for row in rows}):
        own = sorted((-a, w > 0) for u, i, a, w in rows if (u, i) == (user, item) and w >= 0)
        for place, (when, is_take) in enumerate(own):
            if not is_take:
                is_taken = place + 1 < len(own) and own[place + 1][1]
                found.setdefault(item, [0.0, 0.0])[not is_taken] += 2 ** (when / half_life)
    return found


def test_what_came_of_showing_each_item_by_hand_and_by_the_book(spark: SparkSession) -> None:
    rows: list[Row] = [
        ("ann", "a", 21.0, 0.0), ("ann", "a", 14.0, 0.0), ("ann", "a", 10.0, 1.0),  # left, taken
        ("bob", "a", 7.0, 0.0), ("bob", "a", 7.0, 2.0), ("bob", "a", 1.0, 1.0),  # taken at once
        ("bob", "b", 7.0, 0.0), ("bob", "b", 1.0, -1.0),  # left
        ("ann", "c", 7.0, 1.0),  # never shown
    ]  # fmt: skip
    expected = {"a": [0.75, 0.125], "b": [0.0, 0.5]}
    assert tried_by_the_book(rows, 7.0) == expected
    more = random_rows(6)
    found = items_tried(*log(spark, (rows + more)[::-1]), AS_OF, 7 * DAY).collect()
    truth = tried_by_the_book(rows + more, 7.0)
    assert {r["item_id"]: [r["taken"], r["left"]] for r in found} == {
        item: pytest.approx(values, rel=1e-5) for item, values in truth.items()
    }


def test_of_what_was_shown_a_take_counts_from_the_first_time_on(spark: SparkSession) -> None:
    rows: list[Row] = [
        ("ann", "a", 3.0, 0.0), ("ann", "a", 1.0, 0.0), ("ann", "a", 2.0, 1.0),  # taken
        ("ann", "b", 3.0, 0.0), ("ann", "b", 4.0, 1.0),  # taken before it was shown
        ("ann", "c", 3.0, 0.0), ("ann", "c", 1.0, -1.0),
        ("bob", "a", 3.0, 0.0), ("bob", "a", 3.0, 1.0),  # at once
        ("cem", "a", 1.0, 1.0),  # shown nothing
    ]  # fmt: skip
    slates = spark.createDataFrame(
        [("ann", "b"), ("ann", "a"), ("cem", "a")], "user_id string, item_id string"
    )
    shown, done = log(spark, rows)
    found = {r["model"]: r for r in taken_of_shown(shown, done, slates).collect()}
    assert found["shown"]["value"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["shown"]["users"] == 2
    assert (found["ebb"]["value"], found["ebb"]["users"]) == (0.5, 1)
    assert {r["metric"] for r in found.values()} == {"taken_of_shown"}
    assert taken_of_shown(shown.where("false"), done, slates).count() == 0


WORLD = SmallWorld(
    ["ann", "bob"],
    {item: Item(item) for item in "abc"},
    [("ann", "a", 4.0, 1.0), ("bob", "b", 5.0, 1.0), ("bob", "c", 2.0, 1.0)],
)


def test_what_was_passed_over_weighs_in_a_slate_and_cites_nobody(spark: SparkSession) -> None:
    shown, _ = log(spark, [("ann", "b", 7.0, 0.0), ("ann", "b", 0.5, 0.0), ("ann", "a", 9.0, 0.0)])
    prepared = WORLD.prepared(spark, True, n=3, shown=shown)
    assert prepared.plan.columns.names[-1] == "shown"
    events = WORLD.event_frame(spark)
    users = spark.createDataFrame([("ann",), ("bob",)], "user_id string")
    rows = make_slates(prepared, events, users, Ranking({"shown": -1.0}), "v").collect()
    scores = {(r["user_id"], r["item_id"]): r["score"] for r in rows}
    # e^-log1p(x) = 1 / (1 + x); a was taken after it was shown.
    of_b = 1 / (1 + 0.5 + 2 ** (-0.5 / 7))
    assert scores["ann", "b"] == pytest.approx(of_b / (2 + of_b), rel=1e-4)
    assert scores["ann", "a"] == scores["ann", "c"]
    assert [scores["bob", item] for item in "abc"] == pytest.approx([1 / 3] * 3, rel=1e-4)
    assert {r["source"] for r in rows} == {"popularity"}
    columns = Columns(LIVES, (), (), repeat=True, shown=True)
    assert default_weights("blend", columns)["shown"] < 0
    assert "shown" not in default_weights("history", columns)
    assert "shown" not in Columns(LIVES, (), (), repeat=True).names


# ------------------------------------------------------------------------- through the tables
@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


def test_what_was_shown_is_nowhere_an_interest(shop: Shop) -> None:
    config, tables = shop.config(TYPES_SHOWN), shop.tables
    done = [("u", "a", "view", AS_OF - 2 * DAY, None), ("u", "b", "buy", AS_OF - DAY, 2.0),
            ("u", "b", "return", AS_OF - DAY / 2, 1.0)]  # fmt: skip
    shown = [("u", item, "impression", AS_OF - DAY / 3, None) for item in "abz"]
    arrive(tables, [*done, *shown, ("v", "a", "impression", AS_OF - DAY, None)])
    raw = tables.read(EVENTS)
    kept = counted(raw, config.events, AS_OF).collect()
    assert sorted(r["event_type"] for r in kept) == ["buy", "view"]
    assert "impression" not in {r["event_type"] for r in lives(raw, config.events).collect()}
    bring_up(tables, config, Stamp("interests", AS_OF, "c"))
    arrive(tables, [("u", "y", "impression", AS_OF - DAY / 4, None)])
    for found in (interests_at(tables, AS_OF).toPandas(), frame_at(tables.root, AS_OF)):
        assert sorted(found["key"]) == ["a", "b"] and set(found["n"]) == {1}


def test_nothing_shown_at_or_after_a_window_reaches_its_features_and_what_was_shown_in_it_is_kept(
    shop: Shop,
) -> None:
    tables, config = shop.tables, shop.config(TYPES_SHOWN, train={"models": []})
    start, people = AS_OF - DAY, [f"u{k}" for k in range(4)]
    items = [f"i{k}" for k in range(8)]
    done = [(user, item, "view", start - 3 * DAY, None) for user in people for item in items]
    took = [(user, "i0", "view", start + DAY / 2, None) for user in people]
    before = [("u0", "i3", "impression", start - DAY, None)]
    within = [(user, item, "impression", start, None) for user in people for item in ("i0", "i6")]
    arrive(tables, [*done, *took, *before, *within, ("u0", "i3", "impression", start, None)])
    night = Night(tables.spark, tables, config, AS_OF, Progress(terminal=False), "test", "run")
    columns, window = Columns(LIVES, (), (), repeat=True, shown=True), Split(start, AS_OF)
    with (
        seen_at(night, LIVES, window) as seen,
        seen.outlook(columns).examples(Ranker(negatives=3)) as rows,
    ):
        found = {(r["user_id"], r["item_id"]): r for r in rows.collect()}
    passed = {pair: r["features"][columns.names.index("shown")] for pair, r in found.items()}
    assert passed.pop(("u0", "i3")) == pytest.approx(math.log1p(2 ** (-1 / 7)), rel=1e-5)
    assert set(passed.values()) == {0.0}
    for user in people:
        own = {item: r for (u, item), r in found.items() if u == user}
        assert {item for item, r in own.items() if r["is_label"]} == {"i0"}
        left = {"i3", "i6"} if user == "u0" else {"i6"}
        assert {item for item, r in own.items() if r["is_shown"]} == {"i0", *left}
        # Three are kept of the seven not taken: those that were left, and some of the rest.
        rest = 3 - len(left)
        assert len(own) == 4 and {own[item]["weight"] for item in ("i0", *left)} == {1.0}
        others = own.keys() - {"i0", *left}
        assert {own[item]["weight"] for item in others} == {(7 - len(left)) / rest}


def test_instants_bound_what_was_shown(shop: Shop) -> None:
    config, tables = shop.config(TYPES_SHOWN), shop.tables
    whens = [AS_OF - DAY, AS_OF, AS_OF + DAY]
    arrive(tables, [("u", "a", "impression", when, None) for when in whens])
    events = tables.read(EVENTS)
    assert shown_between(events, config.events, None, AS_OF).count() == 1
    assert shown_between(events, config.events, AS_OF, AS_OF + DAY).count() == 1


# ------------------------------------------------------------------------- configuration
SOURCES = [{"path": "x", "format": "csv"}]


def test_a_type_that_is_shown_has_no_weight_and_an_item() -> None:
    types = {"impression": {"effect": "shown"}, "view": {}}
    found = Events.model_validate({"sources": SOURCES, "types": types})
    assert found.shown == ("impression",) and found.types["impression"].weight == 0.0
    assert Events.model_validate(found.model_dump(mode="json")) == found
    for wrong, said in (({"weight": 2}, "has no weight, given 2"), ({"itemless": True}, "item")):
        with pytest.raises(ValidationError, match=said):
            Events.model_validate(
                {"sources": SOURCES, "types": {"impression": {"effect": "shown", **wrong}}}
            )


def test_no_measure_counts_what_was_shown(shop: Shop) -> None:
    measure = {"name": "m", "curve": "exponential", "half_life": "7d"}
    document = shop.config(TYPES_SHOWN).model_dump(mode="json")
    document["interests"]["measures"] = [{**measure, "event_types": ["impression"]}]
    document["interests"]["rank_by"] = "m"
    with pytest.raises(ValidationError, match="what was shown is no interest"):
        Config.model_validate(document)
