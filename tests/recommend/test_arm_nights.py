"""Nights with an experiment: arms get what they are configured to, and are judged."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from ebb.boxes.arms import SIZES, Dealt, judge_arms, slates_by_arm
from ebb.boxes.choose import Decision
from ebb.boxes.evaluate import evaluate
from ebb.context import Night
from ebb.evaluate import metrics
from ebb.evaluate.experiments import Group, welch
from ebb.progress import Progress
from ebb.recommend.arms import arm_of
from ebb.recommend.slates import Ranking
from ebb.schema import EVALUATIONS, RECOMMENDATIONS, USERS
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from ebb.watch.summary import compared
from recommend.slate_oracle import AS_OF, Item, SmallWorld
from small import Shop, arrive

DAY = timedelta(days=1)
PEOPLE = [f"u{number}" for number in range(24)]
EXPERIMENT = {
    "name": "by hotness",
    "arms": {"control": {}, "treatment": {"strategy": "popularity_flat"}},
}
# Everybody had a long ago, some had c yesterday.
WORLD = SmallWorld(
    PEOPLE,
    {item: Item(item) for item in "abc"},
    [(user, "a", 40.0, 1.0) for user in PEOPLE] + [(user, "c", 1.0, 1.0) for user in PEOPLE[:14]],
)


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


def night_at(shop: Shop, as_of: datetime, **recommend: Any) -> Night:
    settings = {"n": 1, "repeat": "allow", "weights": {"popularity_2d": 1.0}, **recommend}
    config, progress = shop.config(recommend=settings), Progress(terminal=False)
    return Night(shop.tables.spark, shop.tables, config, as_of, progress, "test", "run")


def slates_in(night: Night) -> DataFrame:
    """The slates of the night, as its box would make them of the world."""
    columns = WORLD.columns(repeat=True)
    weights = night.config.recommend.weights or {}
    users = night.spark.createDataFrame([(user,) for user in PEOPLE], "user_id string")
    return slates_by_arm(
        night,
        Decision(night.as_of, 0, "blend", weights, columns),
        WORLD.prepared(night.spark, repeat=True, n=1),
        WORLD.event_frame(night.spark),
        users,
        Ranking(weights),
        "v",
    )


def test_arms_differ_as_configured_rerun_to_the_same_rows_and_are_judged(shop: Shop) -> None:
    tables, night = shop.tables, night_at(shop, AS_OF, experiment=EXPERIMENT)
    made = slates_in(night)
    rows = made.orderBy("user_id").collect()
    assert [row["user_id"] for row in rows] == sorted(PEOPLE)
    shown = {(row["arm"], row["item_id"]) for row in rows}
    assert shown == {("control", "c"), ("treatment", "a")}
    assert slates_in(night).orderBy("user_id").collect() == rows
    dealt = Dealt.of(night)
    assert dealt is not None and Dealt.from_facts(dealt.to_facts()) == dealt
    facts = {"repeat": True, "experiment": dealt.to_facts()}
    tables.write_slice(RECOMMENDATIONS, made, Stamp("recommend", AS_OF, "c", facts=facts))

    after = night_at(shop, AS_OF + DAY, experiment=EXPERIMENT)
    assert compared(after) == [("experiment", "by hotness: nothing judged yet")]
    whens = (AS_OF - DAY, AS_OF + DAY / 2)
    arrive(tables, [(user, "c", "view", when, None) for user in PEOPLE for when in whens])
    users = [(user, AS_OF - 8 * DAY, None) for user in PEOPLE]
    tables.append(USERS, tables.spark.createDataFrame(users, USERS.schema), Stamp("u", None, "c"))
    evaluate(after, RunLog(after))
    found = tables.read(EVALUATIONS).where("of = 'experiment'").collect()
    figures = {(r["model"], r["metric"]): r for r in found}
    assert figures["control", "ndcg@1"]["value"] == 1.0
    assert figures["control", "ndcg@1"]["ahead"] is None
    assert figures["treatment", "hit_rate@1"]["ahead"] == -1.0
    assert figures["all", SIZES]["users"] == 24 and figures["all", SIZES]["value"] > 0.001
    assert tables.read(EVALUATIONS).where("of = 'published' AND model = 'ebb'").count() > 0
    ((_, line),) = compared(after)
    assert "control ndcg@1 1.0000 over" in line and "-1.0000 [-1.0000, -1.0000]" in line
    assert "sizes are as meant" in line


def test_without_an_experiment_nobody_is_dealt_out(shop: Shop) -> None:
    night = night_at(shop, AS_OF)
    assert Dealt.of(night) is None and Dealt.from_facts(None) is None and compared(night) == []


def test_arms_are_judged_as_the_metrics_and_welch_say(spark: SparkSession) -> None:
    dealt = Dealt("x", {"one": 0.5, "other": 0.5})
    users = [f"u{number}" for number in range(40)]
    frame = spark.createDataFrame([(user,) for user in users], "user_id string")
    arms = {r["user_id"]: r["arm"] for r in frame.select("user_id", arm_of("x", dealt.shares)
            .alias("arm")).collect()}  # fmt: skip
    lists = {user: list("abc")[number % 3 :] for number, user in enumerate(users)}
    rows = [
        (user, rank, item, arms[user])
        for user, own in lists.items()
        for rank, item in enumerate(own, start=1)
    ]
    truth = {user: "c" if number % 2 else "b" for number, user in enumerate(users)}
    found = judge_arms(
        spark.createDataFrame(rows, "user_id string, rank int, item_id string, arm string"),
        spark.createDataFrame(list(truth.items()), "user_id string, item_id string"),
        dealt,
        3,
    )
    figures = {(r["model"], r["metric"]): r for r in found.collect()}
    values: dict[str, list[float]] = {"one": [], "other": []}
    for user in users:
        values[arms[user]].append(metrics.ndcg(lists[user], {truth[user]}, 3))
    groups = {}
    for arm, own in values.items():
        mean = sum(own) / len(own)
        variance = sum((x - mean) ** 2 for x in own) / (len(own) - 1)
        groups[arm] = Group(len(own), mean, variance)
        assert figures[arm, "ndcg@3"]["value"] == pytest.approx(mean)
        assert figures[arm, "ndcg@3"]["users"] == len(own)
    expected, row = welch(groups["other"], groups["one"]), figures["other", "ndcg@3"]
    assert expected is not None
    assert (row["ahead"], row["ahead_low"], row["ahead_high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_the_ranker_is_no_arm(shop: Shop) -> None:
    arms = {"control": {}, "treatment": {"strategy": "ranker"}}
    with pytest.raises(ValueError, match="an arm can't pin the ranker"):
        shop.config(recommend={"experiment": {"name": "x", "arms": arms}})
