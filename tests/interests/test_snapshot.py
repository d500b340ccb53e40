"""A snapshot of interests by hand: what counts, shares and ranks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

import interests.interest_oracle as oracle
from ebb.interests.measures import Interests
from interests.streams import AS_OF, days_ago, event, utc
from interests.streams import computed as computed_with


def computed(spark: SparkSession, events: list[Any], **settings: Any) -> dict[oracle.Place, Any]:
    return computed_with(spark, events, Interests(**settings))


def test_each_measure_of_one_event_is_its_weight_times_its_curve(spark: SparkSession) -> None:
    row = computed(spark, [event("u", "a", "view", days_ago(7))])["u", "item", "a"]
    assert (row["n"], row["rank"], row["share"]) == (1, 1, 1.0)
    assert utc(row["last_ts"]) == days_ago(7)
    assert row["exp_7d"] == pytest.approx(0.5, rel=1e-12)
    assert row["win_30d"] == 1.0
    assert row["lin_30d"] == pytest.approx(23 / 30, rel=1e-12)
    assert (row["drift"], row["trend"]) == (None, None)


def test_an_event_at_as_of_is_not_known(spark: SparkSession) -> None:
    at, just_before = event("u", "a", "view", AS_OF), AS_OF - timedelta(microseconds=1)
    found = computed(
        spark, [at, event("v", "a", "view", AS_OF), event("u", "b", "view", just_before)]
    )
    assert list(found) == [("u", "item", "b")]


def test_shares_are_parts_of_the_facet_and_negative_sums_have_none(spark: SparkSession) -> None:
    events = [event("u", item, "view", days_ago(0.5)) for item in ("a", "b", "b", "b")]
    events = [{**e, "event_id": str(i)} for i, e in enumerate(events)]
    events.append(event("u", "c", "dislike", days_ago(0.5)))
    found = computed(spark, events)
    shares = {key[2]: row["share"] for key, row in found.items()}
    assert shares == {"a": pytest.approx(0.25), "b": pytest.approx(0.75), "c": 0.0}
    assert [found["u", "item", key]["rank"] for key in "bac"] == [1, 2, 3]


def test_softmax_shares_sum_to_one_and_sharpen_as_the_temperature_falls(
    spark: SparkSession,
) -> None:
    events = [event("u", "a", "view", days_ago(1)), event("u", "b", "buy", days_ago(1))]
    mild = computed(spark, events, share="softmax")
    sharp = computed(spark, events, share="softmax", temperature=0.001)
    assert sum(row["share"] for row in mild.values()) == pytest.approx(1.0)
    assert sharp["u", "item", "b"]["share"] > 0.999 > mild["u", "item", "b"]["share"]


@pytest.mark.parametrize("share", ["plain", "softmax"])
def test_a_facet_with_nothing_positive_has_no_share(spark: SparkSession, share: str) -> None:
    found = computed(spark, [event("u", "a", "dislike", days_ago(1))], share=share)
    assert found["u", "item", "a"]["share"] is None


def test_interests_equal_in_six_digits_rank_by_key(spark: SparkSession) -> None:
    # A microsecond makes x the smallest by a part in 10^12: less than float sums may be out by.
    ages = {"z": 3.0, "x": 3.0 + 1 / 86_400_000_000, "y": 3.0, "w": 3.001}
    found = computed(spark, [event("u", key, "view", days_ago(ages[key])) for key in ages])
    assert {key[2]: row["rank"] for key, row in found.items()} == {"x": 1, "y": 2, "z": 3, "w": 4}


def test_a_return_takes_pieces_back_from_the_latest_purchase_first(spark: SparkSession) -> None:
    events = [
        event("u", "a", "buy", days_ago(14), 5),
        event("u", "a", "buy", days_ago(7), 3),
        event("u", "a", "return", days_ago(2), -4),
    ]
    row = computed(spark, events)["u", "item", "a"]
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
    row = computed(spark, events)["u", "item", "a"]
    assert (row["n"], row["exp_7d"]) == (1, pytest.approx(oracle.weight("buy", 2) / 2, rel=1e-12))


def test_a_return_after_as_of_takes_nothing_back(spark: SparkSession) -> None:
    events = [event("u", "a", "buy", days_ago(1), 2), event("u", "a", "return", days_ago(-1), 2)]
    assert computed(spark, events)["u", "item", "a"]["n"] == 1


def test_a_return_takes_back_purchases_and_no_views(spark: SparkSession) -> None:
    events = [
        event("u", "a", "buy", days_ago(3), 1),
        event("u", "a", "view", days_ago(2)),
        event("u", "a", "return", days_ago(1), 1),
    ]
    row = computed(spark, events)["u", "item", "a"]
    assert (row["n"], row["win_30d"]) == (1, 1.0)
