"""Interests and what counts, against the oracle and by hand."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import interests.interest_oracle as oracle
from ebb.config import Events, Interests
from ebb.durations import parse_instant
from ebb.interests.counted import counted
from ebb.interests.snapshot import interests_from_events
from small import TYPES

AS_OF = parse_instant("2026-03-01T00:00:00Z")
SETTINGS = Interests()
CURVES = {measure.name: measure for measure in SETTINGS.measures}
EVENTS = Events.model_validate({"sources": [{"path": "-", "format": "jsonl"}], "types": TYPES})
_SCHEMA = (
    "event_id string, user_id string, item_id string, event_type string, event_ts timestamp, "
    "value double, weight double, order_id string"
)


def event(user: str, item: str | None, kind: str, ts: datetime, value: float | None = None) -> Any:
    name = f"{user}/{item}/{kind}/{ts.isoformat()}/{value}"
    quantity = None if value is None else float(value)
    return {"event_id": name, "user": user, "item": item, "kind": kind, "ts": ts, "value": quantity}


def days_ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def frame(spark: SparkSession, events: list[Any]) -> DataFrame:
    rows = [
        (e["event_id"], e["user"], e["item"], e["kind"], e["ts"], e["value"],
         oracle.weight(e["kind"], e["value"]), None)
        for e in events
    ]  # fmt: skip
    return spark.createDataFrame(rows, _SCHEMA)


def items(spark: SparkSession, categories: dict[str, list[str]]) -> DataFrame:
    rows = [(item, listed, None, None) for item, listed in categories.items()]
    lists = "item_id string, categories array<string>, tags array<string>"
    schema = f"{lists}, attributes map<string,string>"
    return spark.createDataFrame(rows, schema)


def computed(
    spark: SparkSession, events: list[Any], categories: dict[str, list[str]], **settings: Any
) -> dict[tuple[str, str, str], Any]:
    known = counted(frame(spark, events), EVENTS, AS_OF)
    chosen = Interests(**settings)
    found = interests_from_events(
        known, items(spark, categories), ("item", "category"), chosen, AS_OF
    )
    return {(r["user_id"], r["facet"], r["key"]): r for r in found.collect()}


def test_each_measure_of_one_event_is_its_weight_times_its_curve(spark: SparkSession) -> None:
    row = computed(spark, [event("u", "a", "view", days_ago(7))], {})["u", "item", "a"]
    assert (row["n"], row["rank"], row["share"]) == (1, 1, 1.0)
    assert row["last_ts"].astimezone(UTC) == days_ago(7)
    assert row["exp_7d"] == pytest.approx(0.5, rel=1e-12)
    assert row["win_30d"] == 1.0
    assert row["lin_30d"] == pytest.approx(23 / 30, rel=1e-12)


def test_an_event_at_as_of_is_not_known(spark: SparkSession) -> None:
    at, just_before = event("u", "a", "view", AS_OF), AS_OF - timedelta(microseconds=1)
    assert computed(spark, [at], {}) == {}
    assert len(computed(spark, [at, event("u", "b", "view", just_before)], {})) == 1


def test_shares_are_parts_of_the_facet_and_negative_sums_have_none(spark: SparkSession) -> None:
    events = [event("u", item, "view", days_ago(0.5)) for item in ("a", "b", "b", "b")]
    events = [{**e, "event_id": str(i)} for i, e in enumerate(events)]
    events.append(event("u", "c", "dislike", days_ago(0.5)))
    found = computed(spark, events, {})
    shares = {key[2]: row["share"] for key, row in found.items()}
    assert shares == {"a": pytest.approx(0.25), "b": pytest.approx(0.75), "c": 0.0}
    assert [found["u", "item", key]["rank"] for key in "bac"] == [1, 2, 3]


def test_a_facet_with_nothing_positive_has_no_share(spark: SparkSession) -> None:
    found = computed(spark, [event("u", "a", "dislike", days_ago(1))], {})
    assert found["u", "item", "a"]["share"] is None
    softmax = computed(spark, [event("u", "a", "dislike", days_ago(1))], {}, share="softmax")
    assert softmax["u", "item", "a"]["share"] is None


def test_softmax_shares_sum_to_one_and_sharpen_as_the_temperature_falls(
    spark: SparkSession,
) -> None:
    events = [event("u", "a", "view", days_ago(1)), event("u", "b", "buy", days_ago(1))]
    mild = computed(spark, events, {}, share="softmax")
    sharp = computed(spark, events, {}, share="softmax", temperature=0.001)
    assert sum(row["share"] for row in mild.values()) == pytest.approx(1.0)
    assert sharp["u", "item", "b"]["share"] > 0.999 > mild["u", "item", "b"]["share"]


def test_equal_interests_rank_by_key(spark: SparkSession) -> None:
    found = computed(spark, [event("u", k, "view", days_ago(3)) for k in "zxy"], {})
    assert {key[2]: row["rank"] for key, row in found.items()} == {"x": 1, "y": 2, "z": 3}


def test_a_return_takes_pieces_back_from_the_latest_purchase_first(spark: SparkSession) -> None:
    events = [
        event("u", "a", "buy", days_ago(14), 5),
        event("u", "a", "buy", days_ago(7), 3),
        event("u", "a", "return", days_ago(2), -4),
    ]
    row = computed(spark, events, {})["u", "item", "a"]
    # The later three are gone, and one of the five: four are left from a fortnight ago.
    assert (row["n"], row["exp_7d"]) == (1, pytest.approx(oracle.weight("buy", 4) / 4, rel=1e-12))


def test_a_return_of_more_than_there_was_takes_nothing_from_what_comes_later(
    spark: SparkSession,
) -> None:
    events = [
        event("u", "a", "buy", days_ago(9), 2),
        event("u", "a", "return", days_ago(8), 100),
        event("u", "a", "buy", days_ago(7), 2),
    ]
    row = computed(spark, events, {})["u", "item", "a"]
    assert (row["n"], row["exp_7d"]) == (1, pytest.approx(oracle.weight("buy", 2) / 2, rel=1e-12))


def test_a_return_after_as_of_takes_nothing_back(spark: SparkSession) -> None:
    events = [event("u", "a", "buy", days_ago(1), 2), event("u", "a", "return", days_ago(-1), 2)]
    assert computed(spark, events, {})["u", "item", "a"]["n"] == 1


def test_a_return_takes_back_purchases_and_no_views(spark: SparkSession) -> None:
    events = [
        event("u", "a", "buy", days_ago(3), 1),
        event("u", "a", "view", days_ago(2)),
        event("u", "a", "return", days_ago(1), 1),
    ]
    row = computed(spark, events, {})["u", "item", "a"]
    assert (row["n"], row["win_30d"]) == (1, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_random_streams_agree_with_the_oracle_in_any_order(spark: SparkSession, seed: int) -> None:
    random.seed(seed)
    kinds = ["view", "buy", "buy", "return", "dislike", "search"]
    events = []
    for number in range(300):
        kind = random.choice(kinds)
        value = random.choice([None, 1.0, 2.0, 3.0, 7.5]) if kind in ("buy", "return") else None
        item = None if kind == "search" else random.choice("abcde")
        made = event(
            random.choice("uvw"), item, kind, days_ago(random.randrange(-20, 400) / 4), value
        )
        events.append({**made, "event_id": f"{number:04d}"})
    categories = {"a": ["x"], "b": ["x", "x > y"], "c": ["z"], "d": []}
    expected = oracle.interests(events, categories, CURVES, AS_OF)
    random.shuffle(events)
    found = computed(spark, events, categories)
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert (found[key]["n"], found[key]["last_ts"].astimezone(UTC)) == (row["n"], row["last"])
        for name in CURVES:
            # Cancelling terms can leave next to nothing: the tolerance is of the terms' size.
            assert found[key][name] == pytest.approx(row[name], rel=1e-9, abs=1e-9 * row["n"] * 5)
