"""The job's step, the curve and the reader, through Spark."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyspark.sql import SparkSession

from ebb.boxes.forgetting import forgetting_when_due, learn_forgetting
from ebb.context import Night
from ebb.errors import RunError
from ebb.forgetting.curve import _RIDGE, fit_logistic
from ebb.forgetting.learn import Stretch, learn_half_lives
from ebb.forgetting.measures import as_yaml, learned_curves, plot_curves
from ebb.forgetting.reader import adaptive_interests, decayed_by_own
from ebb.forgetting.settings import Forgetting
from ebb.interests.measures import Interests
from ebb.progress import Progress
from ebb.schema import FORGETTING_CURVES, FORGETTING_FITS, HALF_LIVES
from ebb.steps import RunLog
from ebb.tables import Tables
from small import Shop, arrive

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
_EVENTS = "user_id string, item_id string, event_ts timestamp, weight double"
_NO_ITEMS = "item_id string, categories array<string>, tags array<string>"


def comings(users: int) -> list[tuple[str, str, datetime]]:
    """Half of the users come back within days or never, half again after weeks."""
    rng, found = random.Random(4), []
    for who in range(users):
        mean = 1.0 if who % 2 else 9.0
        for item in "abc":
            age = rng.uniform(20.0, 50.0)
            for _ in range(rng.randint(1, 7)):
                found.append((f"u{who}", item, AS_OF - timedelta(days=age)))
                age -= rng.expovariate(1.0 / mean) + 0.1
                if age <= 0:
                    break
    return found


def test_half_lives_hang_neither_on_partitions_nor_on_order(spark: SparkSession) -> None:
    rows = [(user, item, ts, 1.0) for user, item, ts in comings(12)]
    items = spark.createDataFrame([], _NO_ITEMS)
    stretch = Stretch(min(ts for *_, ts, _ in rows), AS_OF, timedelta(days=10))
    found = []
    for given, parts in ((rows, 1), (rows[::-1], 3)):
        events = spark.createDataFrame(given, _EVENTS).repartition(parts)
        learned = learn_half_lives(events, items, "item", stretch, Forgetting())
        assert learned is not None and learned.models is not None
        found.append(sorted(learned.rows.drop("loglik", "expected").collect()))
    assert found[0] == found[1]
    assert [row["user_id"] for row in found[0]] == sorted({user for user, *_ in rows})


def test_what_is_known_at_as_of_alone_counts(spark: SparkSession) -> None:
    items = spark.createDataFrame([], _NO_ITEMS)
    nobody = spark.createDataFrame([("u", "a", AS_OF - timedelta(days=1), 1.0)], _EVENTS)
    stretch = Stretch(AS_OF - timedelta(days=1), AS_OF, timedelta(days=1))
    assert learn_half_lives(nobody, items, "item", stretch, Forgetting()) is None


def test_logistic_regression_is_the_lowest_point_with_coefficients_from_zero_up(
    spark: SparkSession,
) -> None:
    rng = np.random.default_rng(6)
    x = np.column_stack(
        [rng.exponential(1.0, 300), rng.exponential(2.0, 300), rng.normal(size=300)]
    )
    chance = 1.0 / (1.0 + np.exp(1.0 - 1.5 * x[:, 0] + 0.8 * x[:, 2]))
    label = (rng.uniform(size=300) < chance).astype(float)
    rows = [tuple(row) for row in np.column_stack([label, x]).tolist()]
    frame = spark.createDataFrame(rows, "label double, x0 double, x1 double, x2 double")
    got = fit_logistic(frame, 3)
    assert got[0] > 0.5 and got[2] == 0.0  # the last speaks against, and isn't let
    scale = np.sqrt(np.mean(x**2, axis=0))

    def gradient(intercept: float) -> tuple[float, list[float]]:
        p = 1.0 / (1.0 + np.exp(-(intercept + x @ got)))
        slopes = ((p - label) @ x / 300) / scale + _RIDGE * got * scale
        return float(np.mean(p - label)), slopes.tolist()

    low, high = -10.0, 10.0
    for _ in range(80):  # the free intercept, by bisection
        middle = (low + high) / 2.0
        low, high = (middle, high) if gradient(middle)[0] < 0 else (low, middle)
    slopes = gradient(low)[1]
    for coefficient, slope in zip(got, slopes, strict=True):
        assert abs(slope) < 1e-6 if coefficient > 0 else slope > -1e-6
    assert fit_logistic(frame.where("label = 1"), 3).tolist() == [0.0] * 3


def test_interests_decay_by_each_user_s_own_half_life(spark: SparkSession) -> None:
    def at(user: str, item: str, days: float, weight: float) -> tuple[str, str, datetime, float]:
        return user, item, AS_OF - timedelta(days=days), weight

    rows = [at("u", "a", 2, 1.0), at("u", "a", 4, 2.0), at("u", "b", 1, 0.9), at("v", "a", 4, 1.0)]
    found = decayed_by_own(
        spark.createDataFrame(rows, _EVENTS),
        spark.createDataFrame([], _NO_ITEMS),
        spark.createDataFrame([("u", "item", 2.0)], HALF_LIVES_OF),
        spark.createDataFrame([("item", 4.0)], "facet string, tuned double"),
        ("item",),
        AS_OF,
    )
    got = {(r["user_id"], r["key"]): r for r in found.collect()}
    assert got["u", "a"]["interest"] == pytest.approx(0.5 + 2.0 * 0.25)
    assert got["u", "b"]["interest"] == pytest.approx(0.9 * math.sqrt(0.5))
    assert got["v", "a"]["interest"] == pytest.approx(0.5)  # by the tuned one
    assert [(got[k]["n"], got[k]["rank"]) for k in sorted(got)] == [(2, 1), (1, 2), (1, 1)]


HALF_LIVES_OF = "user_id string, facet string, half_life_days double"


def test_a_night_learns_once_in_a_while_and_what_it_learned_is_read(
    tables: Tables, tmp_path: Path
) -> None:
    shop = Shop(tables, tmp_path / "landing")
    config = shop.config(forgetting={"every": "7d", "horizon": "10d"})
    arrive(tables, [(user, item, "view", ts, None) for user, item, ts in comings(8)])

    def night(as_of: datetime) -> Night:
        return Night(tables.spark, tables, config, as_of, Progress(), "nightly", "run")

    first = night(AS_OF)
    with pytest.raises(RunError, match="no half-lives were learned at or before 2026-03-01"):
        adaptive_interests(tables, config, AS_OF)
    log = RunLog(first)
    done = forgetting_when_due(first, log)
    assert done is not None and done.run is not None
    assert learn_forgetting(first, log).run is None  # complete
    assert forgetting_when_due(night(AS_OF + timedelta(days=6)), log) is None
    lives = tables.read_slice(HALF_LIVES, AS_OF).collect()
    assert {row["user_id"] for row in lives} == {f"u{who}" for who in range(8)}
    fits = {row["model"]: row for row in tables.read_slice(FORGETTING_FITS, AS_OF).collect()}
    assert fits["global"]["ahead"] == 0.0 and fits["adaptive"]["returns"] > 0
    curves = learned_curves(tables.read_slice(FORGETTING_CURVES, AS_OF))
    pasted = yaml.safe_load(as_yaml(curves))["interests"]
    usual = {"name": "exp_7d", "curve": "exponential", "half_life": "7d"}
    measures = Interests.model_validate({"measures": [usual, *pasted["measures"]]}).measures
    assert [m.name for m in measures] == ["exp_7d", "learned_item_buy", "learned_item_view"]
    assert all(m.at(np.zeros(1))[0] == pytest.approx(1.0) for m in measures)
    plot_curves(curves, tmp_path / "curves.html")
    assert "strength" in (tmp_path / "curves.html").read_text(encoding="utf-8")
    own = {row["user_id"]: row["half_life_days"] for row in lives}
    for row in adaptive_interests(tables, config, AS_OF).collect():
        assert row["half_life_days"] == own[row["user_id"]]
