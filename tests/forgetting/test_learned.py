"""The job's step, the curve and the reader, through Spark."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession

from ebb.boxes import features as features_box
from ebb.boxes.forgetting import forgetting_when_due, half_lives_held, learn_forgetting
from ebb.context import Night
from ebb.forgetting.curve import _RIDGE, fit_logistic
from ebb.forgetting.learn import Stretch, learn_half_lives
from ebb.forgetting.measures import as_yaml, learned_curves, plot_curves
from ebb.forgetting.settings import Forgetting
from ebb.interests.measures import Interests
from ebb.interests.reader import interests_at
from ebb.night import nightly
from ebb.progress import Progress
from ebb.schema import EVENTS, FORGETTING_CURVES, FORGETTING_FITS, HALF_LIVES, INTERESTS_NOW
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from small import Shop, line

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


class _EnoughError(Exception):
    pass


def _enough(*_: object) -> None:
    raise _EnoughError


def test_a_night_learns_once_in_a_while_and_interests_go_by_what_it_learned(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, met = Shop(tables, tmp_path / "landing"), comings(8)
    own_days = {"name": "own", "curve": "own", "half_life": "3d"}
    config = shop.config(
        forgetting={"every": "7d", "horizon": "10d"},
        interests={"measures": [own_days], "rank_by": "own", "late": "frozen"},
    )
    shop.land("1.jsonl", [line(u, item, "view", ts.isoformat()) for u, item, ts in met])

    def night(as_of: datetime) -> Night:
        return Night(tables.spark, tables, config, as_of, Progress(), "nightly", "run")

    first = night(AS_OF)
    assert half_lives_held(first) == {}
    monkeypatch.setattr(features_box, "features", _enough)
    with pytest.raises(_EnoughError):  # what follows interests is left out
        nightly(first)
    log = RunLog(first)
    assert forgetting_when_due(night(AS_OF + timedelta(days=6)), log) is None
    assert learn_forgetting(first, log).run is None  # complete
    late = {"batch": 9, "epoch": 0, "earliest": "2026-02-27T00:00:00Z"}
    none = tables.read(EVENTS).limit(0)
    tables.append(EVENTS, none, Stamp("ingest", None, "c", facts=late))
    assert learn_forgetting(first, log).run is None  # published, as nights are frozen
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
    assert decayed(tables.read(INTERESTS_NOW)) == pytest.approx(sums(met, own, AS_OF))
    before = AS_OF - timedelta(microseconds=1)  # nothing is learned yet
    until_then = sums(met, dict.fromkeys(own, 3.0), before)
    assert decayed(interests_at(tables, before)) == pytest.approx(until_then)


def decayed(interests: DataFrame) -> dict[tuple[str, str], float]:
    return {(row["user_id"], row["key"]): row["own"] for row in interests.collect()}


def sums(
    met: list[tuple[str, str, datetime]], days: dict[str, float], as_of: datetime
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = defaultdict(float)
    for user, item, ts in met:
        found[user, item] += 2.0 ** -((as_of - ts) / timedelta(days=1) / days[user])
    return found
