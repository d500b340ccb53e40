"""What a network foresees, in candidates, features and reasons; no network is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from ebb.recommend.catalogue import as_catalogue
from ebb.recommend.gather import one_batch
from ebb.recommend.pasts import past_rows
from ebb.recommend.prepare import Prepared
from ebb.recommend.slates import Ranking, make_slates
from ebb.recommend.views import SCHEMA, view_batches
from recommend.slate_oracle import AS_OF, LIVES, Item, SmallWorld

# Of each item: two numbers, its bias, and 1. `d` is unknown to the network.
VECTORS = {"a": [1.0, 0.0, -0.5, 1.0], "b": [0.0, 1.0, 0.0, 1.0], "c": [1.0, 1.0, 0.0, 1.0]}
STATE = [0.5, 0.25, 1.0, -2.0]
AGAIN = {"a": 0.3, "b": 0.1}
TASTE = {"a": np.exp(0.5 - 0.5 - 2.0), "b": np.exp(0.25 - 2.0), "c": np.exp(0.75 - 2.0), "d": 0.0}


@dataclass(frozen=True)
class Told:
    """Stands for a network: says the same of user u, and nothing of others."""

    spark: SparkSession
    places: dict[str, int]

    def foreseen(self, events: DataFrame, as_of: datetime) -> DataFrame:
        assert as_of == AS_OF
        again = sorted((self.places[item], share) for item, share in AGAIN.items())
        row = ("u", STATE, [place for place, _ in again], [share for _, share in again])
        return self.spark.createDataFrame(
            [row],
            "user_id string, state array<double>, again_items array<int>, again array<double>",
        )


class World(SmallWorld):
    def columns(self, repeat: bool, shown: bool = False) -> Any:
        return replace(super().columns(repeat, shown), models=("sequence",))


@pytest.fixture
def world() -> World:
    events: list[tuple[str, str | None, float, float]] = [
        ("u", "a", 1.0, 1.0), ("u", "b", 2.0, 1.0), ("v", "c", 3.0, 1.0),
    ]  # fmt: skip
    factors = {("sequence", item): vector for item, vector in VECTORS.items()}
    return World(["u", "v"], {i: Item() for i in "abcd"}, events, factors=factors)


def told(world: World, spark: SparkSession, repeat: bool) -> Prepared:
    prepared = world.prepared(spark, repeat, n=4)
    ids = as_catalogue(one_batch(prepared.table)).ids.to_pylist()
    network: Any = Told(spark, {item: place for place, item in enumerate(ids)})
    return replace(prepared, network=network)


@pytest.mark.parametrize("repeat", [True, False])
def test_the_feature_is_the_log_of_taste_and_of_taking_it_again(spark, world, repeat) -> None:
    prepared = told(world, spark, repeat)
    labels = spark.createDataFrame([(u, "c") for u in "uv"], "user_id string, item_id string")
    events = world.event_frame(spark)
    rows = past_rows(
        *(events, labels.select("user_id"), prepared.places, AS_OF, LIVES),
        labels=labels,
        foreseen=prepared.foreseen(events),
    )
    seen = rows.mapInArrow(partial(view_batches, prepared.name, prepared.plan, None), SCHEMA)
    column = prepared.plan.columns.names.index("sequence")
    found = {(r["user_id"], "abcd"[r["place"]]): r["features"][column] for r in seen.collect()}
    for item in "abcd" if repeat else "cd":
        chance = TASTE[item] + AGAIN.get(item, 0.0)
        assert found["u", item] == pytest.approx(np.log(max(chance, 1e-7)), abs=1e-5)
    # Of v nothing is foreseen: whatever v is shown, the network has no say in it.
    assert {value for (user, _), value in found.items() if user == "v"} == {
        np.float32(np.log(1e-7))
    }


def test_slates_go_by_it_and_say_what_it_looked_at(spark, world) -> None:
    users = spark.createDataFrame([("u",)], "user_id string")
    prepared, events = told(world, spark, True), world.event_frame(spark)
    ranking, foreseen = Ranking({"sequence": 1.0}), prepared.foreseen(events)
    slates = make_slates(prepared, events, users, ranking, "v", foreseen=foreseen)
    rows = {row["item_id"]: row for row in slates.collect()}
    ranks = sorted(rows, key=lambda item: rows[item]["rank"])
    assert ranks == sorted("abcd", key=lambda item: -(TASTE[item] + AGAIN.get(item, 0.0)))
    # Each item's part of the softmax of the logs is its part of the sum.
    whole = sum(TASTE.values()) + sum(AGAIN.values()) + 1e-7
    for item in "abc":
        chance = TASTE[item] + AGAIN.get(item, 0.0)
        assert rows[item]["score"] == pytest.approx(chance / whole, rel=1e-4)
    reason = rows["c"]["reasons"][0]
    assert (reason["source"], reason["item_id"]) == ("sequence", "a")
    assert reason["sentence"].startswith("This is what people take after doing what you did lately")
    # That it is taken again is history's to say, as much as the pointer adds.
    assert rows["a"]["source"] == "history"
