from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xgboost

from ebb.ranker.trees import Trees, ship_trees
from ebb.recommend.catalogue import as_catalogue
from ebb.recommend.gather import one_batch
from ebb.recommend.pasts import past_rows
from ebb.recommend.slates import Ranking
from ebb.recommend.views import SCHEMA, view_batches
from recommend.slate_oracle import AS_OF, LIVES, random_world

WEIGHTS = {"popularity_2d": 0.4, "neighbours_decayed_5d": 0.3, "als": 0.5, "history_flat": 0.2}


def test_slates_are_ranked_by_the_blend_and_the_trees_on_top_of_it(spark) -> None:
    world = replace(random_world(3), numbers=("price",))
    world.attributes.update(_priced(world.items))
    prepared = world.prepared(spark, True, n=6)
    names = prepared.plan.columns.names
    raw = _trees(len(names) + len(prepared.plan.columns.beside))
    ranking = Ranking(WEIGHTS, trees=ship_trees(spark.sparkContext, raw))
    labels = spark.createDataFrame(
        [(user, "i00") for user in world.users], "user_id string, item_id string"
    )
    users, events = labels.select("user_id"), world.event_frame(spark)
    rows = past_rows(events, users, prepared.places, AS_OF, LIVES, labels=labels)
    seen = rows.mapInArrow(partial(view_batches, prepared.name, prepared.plan, None), SCHEMA)
    ids = as_catalogue(one_batch(prepared.table)).ids.to_pylist()
    truth: dict[str, dict[str, np.ndarray]] = {}
    for row in seen.collect():
        features = np.array(row["features"], dtype=np.float32)
        truth.setdefault(row["user_id"], {})[ids[row["place"]]] = features
    _features_beside_are_as_written_down(world, truth, prepared.plan.columns.beside_names)
    blend = np.array([WEIGHTS.get(name, 0.0) for name in names])
    found = world.slates(spark, ranking, True, n=6)
    moved = 0
    for user, items in truth.items():
        matrix = np.stack(list(items.values()))
        margins = matrix[:, : len(names)] @ blend + Trees.of(raw).sums(matrix)
        chances = dict(zip(items, np.exp(margins) / np.exp(margins).sum(), strict=True))
        slate = found[user]
        assert [row["score"] for row in slate] == pytest.approx(
            sorted(chances.values(), reverse=True)[: len(slate)], rel=1e-4
        )
        assert all(
            row["score"] == pytest.approx(chances[row["item_id"]], rel=1e-4) for row in slate
        )
        assert all(1 <= len(row["reasons"]) <= 3 for row in slate)
        plain = max(items, key=lambda item: items[item][: len(names)] @ blend)
        moved += plain != slate[0]["item_id"]
    assert moved


def _trees(width: int) -> bytes:
    matrix = np.random.default_rng(1).normal(-1.0, 2.0, size=(400, width))
    label = matrix[:, 0] - 2.0 * matrix[:, -2] + matrix[:, 2]
    params = {"max_depth": 3, "nthread": 1, "base_score": 0.0, "eta": 1.0}
    booster = xgboost.train(params, xgboost.DMatrix(matrix, label=label, nthread=1), 5)
    return bytes(booster.save_raw("ubj"))


def _priced(items) -> dict[str, dict[str, str]]:
    """Prices of most items, and of some what is no number."""
    prices = [f"{place * 7 % 5 + 0.5}" for place in range(len(items))]
    prices[:3] = ["cheap", "NaN", "inf"]
    return {item: {"price": price} for item, price in list(zip(items, prices, strict=True))[:-1]}


def _price_of(world, item: str) -> float:
    given = float(world.attributes.get(item, {}).get("price", "nan").replace("cheap", "nan"))
    return given if math.isfinite(given) else math.nan


def _features_beside_are_as_written_down(world, truth, names: tuple[str, ...]) -> None:
    assert names[-2:] == ("item_price", "item_price_above_usual")
    for user, items in truth.items():
        own = [(i, age) for u, i, age, weight in world.events if u == user and i and weight > 0]
        known = [p for p in (_price_of(world, i) for i in {i for i, _ in own}) if p == p]
        usual = sum(known) / len(known) if known else math.nan
        for item, features in items.items():
            beside = dict(zip(names, features[-len(names) :].tolist(), strict=True))
            price = _price_of(world, item)
            found = (beside["item_price"], beside["item_price_above_usual"])
            assert found == pytest.approx((price, price - usual), rel=1e-5, abs=1e-6, nan_ok=True)
            assert beside["user_events"] == pytest.approx(math.log1p(len(own)), rel=1e-5)
            assert beside["user_items"] == pytest.approx(
                math.log1p(len({item for item, _ in own})), rel=1e-5
            )
            idle = min((age for _, age in own), default=1000.0 - 0.05) + 0.05
            assert beside["user_idle_days"] == pytest.approx(math.log(idle), rel=1e-4, abs=1e-4)
            calendar = (beside["hour"], beside["weekday"], beside["month"])
            assert calendar == (AS_OF.hour, AS_OF.weekday(), AS_OF.month)
