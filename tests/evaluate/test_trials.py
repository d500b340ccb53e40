"""Places that tried things out: the log of them, and what a night makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ebb.boxes.evaluate import evaluate
from ebb.context import Night
from ebb.evaluate.off_policy import value_of
from ebb.evaluate.trials import WORTH, trial_places, worth_of_trials
from ebb.progress import Progress
from ebb.recommend.settings import Explore
from ebb.recommend.slates import Ranking, make_slates
from ebb.schema import EVALUATIONS, RECOMMENDATIONS, USERS
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from ebb.watch.summary import tried
from recommend.slate_oracle import AS_OF, DAY, Item, SmallWorld
from small import TYPES_SHOWN, Shop, arrive

SLATES = "user_id string, rank int, item_id string, propensity double, pool int, pool_rank int"
# Propensities of epsilon-greedy with epsilon .5 over two items, then over four.
ROWS = [
    ("ann", 1, "a", 1.0, None, None), ("ann", 2, "x", 0.75, 2, 1), ("bob", 1, "a", 1.0, None, None),
    ("bob", 2, "y", 0.25, 2, 2), ("cem", 2, "x", 0.125, 4, 3),
]  # fmt: skip
LABELS = [("ann", "x"), ("ann", "a"), ("bob", "x")]


def test_only_drawn_places_are_logged_and_those_that_nobody_took_count_as_nothing(
    spark: SparkSession,
) -> None:
    slates = spark.createDataFrame(ROWS, SLATES)
    labels = spark.createDataFrame(LABELS, "user_id string, item_id string")
    found = trial_places(slates, labels)
    assert sorted(map(tuple, found.collect())) == [
        ("ann", 2, "x", 0.75, 1.0, 0.5, 1.0),
        ("bob", 2, "y", 0.25, 0.0, 0.5, 0.0),
        ("cem", 2, "x", 0.125, 0.0, 0.25, 0.0),
    ]
    worth = worth_of_trials(found)
    rows = {(model, metric): rest for model, metric, *rest in worth}
    assert rows["logged", "taken"][0] == pytest.approx(1 / 3)
    # Weights of best: 4/3, 0, 0; of uniform: 2/3, 2, 2.
    assert rows["best", "ips"][0] == pytest.approx(4 / 9)
    assert rows["best", "snips"][0] == rows["best", "effective"][0] == 1.0
    assert rows["uniform", "ips"][0] == pytest.approx(2 / 9)
    assert rows["uniform", "snips"][0] == pytest.approx(1 / 7)
    expected = value_of([1, 0, 0], [0.75, 0.25, 0.125], [0.5, 0.5, 0.25], list("abc"))
    assert rows["uniform", "effective"] == [pytest.approx(expected.effective), None, None, 3]
    assert rows["uniform", "snips"][1:] == [expected.snips.low, expected.snips.high, 3]
    assert spark.createDataFrame(worth, WORTH).columns[-1] == "users" and len(worth) == 7


def test_nothing_is_said_of_a_policy_that_would_have_shown_none_nor_without_places(
    spark: SparkSession,
) -> None:
    labels = spark.createDataFrame([], "user_id string, item_id string")
    places = trial_places(spark.createDataFrame(ROWS[3:], SLATES), labels)
    assert {row[0] for row in worth_of_trials(places)} == {"logged", "uniform"}
    assert worth_of_trials(places.where("rank = 1")) == []


PEOPLE = [f"u{number:03}" for number in range(240)]
# a is what everybody has; f and g are new, f the hotter of them.
WORLD = SmallWorld(
    PEOPLE,
    {item: Item(item) for item in "afg"},
    [("u000", "a", age, 1.0) for age in (40.0, 30.0)]
    + [("u000", "f", 1.0, 2.0), ("u000", "g", 1.0, 1.0)],
)


def test_a_night_judges_the_places_of_the_night_before(
    spark: SparkSession, tables: Tables, tmp_path: Path
) -> None:
    """Whoever was shown g takes it, and nobody takes f: both other policies are told apart."""
    settings = Explore(epsilon=0.5, within=4 * DAY)
    users = spark.createDataFrame([(user,) for user in PEOPLE], "user_id string")
    made = make_slates(
        WORLD.prepared(spark, repeat=True, n=2),
        WORLD.event_frame(spark),
        users,
        Ranking({"popularity_flat": 1.0}, explore=settings),
        "v",
    )
    facts = {"repeat": True, "explores": True}
    tables.write_slice(RECOMMENDATIONS, made, Stamp("recommend", AS_OF, "c", facts=facts))
    shown = {r["user_id"]: r for r in tables.read(RECOMMENDATIONS).where("rank = 2").collect()}
    assert {(r["item_id"], r["pool_rank"], r["pool"]) for r in shown.values()} == {
        ("f", 1, 2), ("g", 2, 2),
    }  # fmt: skip

    then = AS_OF + DAY / 2
    took = [(user, "g", "view", then, None) for user in PEOPLE if shown[user]["item_id"] == "g"]
    rest = [(user, "a", "view", then, None) for user in PEOPLE]
    known = [(user, "a", "view", AS_OF - 9 * DAY, None) for user in PEOPLE]
    seen = [(user, shown[user]["item_id"], "impression", AS_OF, None) for user in PEOPLE]
    arrive(tables, [*known, *took, *rest, *seen])
    listed = [(user, AS_OF - 8 * DAY, None) for user in PEOPLE]
    tables.append(USERS, spark.createDataFrame(listed, USERS.schema), Stamp("u", None, "c"))
    after = night_at(Shop(tables, tmp_path / "landing"), AS_OF + timedelta(days=1))
    evaluate(after, RunLog(after))

    rows = tables.read(EVALUATIONS).where("of = 'trials'").collect()
    figures = {(r["model"], r["metric"]): r for r in rows}
    share = len(took) / len(PEOPLE)
    assert figures["logged", "taken"]["value"] == pytest.approx(share)
    assert figures["logged", "taken"]["users"] == len(PEOPLE)
    assert figures["best", "snips"]["value"] == figures["best", "snips"]["high"] == 0.0
    # Of w = 2 for g and 2/3 for f.
    weights = 2 * share + 2 / 3 * (1 - share)
    assert figures["uniform", "snips"]["value"] == pytest.approx(2 * share / weights)
    assert figures["uniform", "ips"]["low"] < 0.5 < figures["uniform", "ips"]["high"]
    published = tables.read(EVALUATIONS).where("metric = 'taken_of_shown'").collect()
    assert {(r["model"], r["users"]) for r in published} == {("ebb", 240), ("shown", 240)}
    assert [r["value"] for r in published] == pytest.approx([share, share])
    ((label, line),) = tried(after)
    assert label == "trials" and f"as they were drawn {share:.4f} [" in line
    assert "always the best-scored 0.0000 [0.0000, 0.0000]; all of the pool alike" in line


def night_at(shop: Shop, as_of: datetime) -> Night:
    explore = {"epsilon": 0.5, "within": "4d"}
    settings = {"n": 2, "repeat": "allow", "weights": {"popularity_flat": 1.0}, "explore": explore}
    config = shop.config(TYPES_SHOWN, recommend=settings)
    progress = Progress(terminal=False)
    return Night(shop.tables.spark, shop.tables, config, as_of, progress, "test", "run")
