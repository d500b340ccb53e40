"""The stability index against a plain-Python oracle."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.watch.settings import Watch
from ebb.watch.stability import binned, stability, values_of

BINS = "of string, name string, is_now boolean, bin string"


def psi(now: list[str], reference: list[str]) -> float:
    n, m = Counter(now), Counter(reference)
    total = 0.0
    for key in n | m:
        p, q = max(n[key] / len(now), 1e-4), max(m[key] / len(reference), 1e-4)
        total += (p - q) * math.log(p / q)
    return total


Values = dict[str, list[str]]


def keys(spark: SparkSession, now: Values, before: Values) -> DataFrame:
    rows = [
        ("mix", name, is_now, value)
        for is_now, values in ((True, now), (False, before))
        for name, own in values.items()
        for value in own
    ]
    return spark.createDataFrame(rows, BINS)


def test_the_index_by_hand_and_against_the_oracle_with_keys_that_come_and_go(
    spark: SparkSession,
) -> None:
    half, most = ["a"] * 50 + ["b"] * 50, ["a"] * 80 + ["b"] * 20
    draw = random.Random(1)
    one, other = (draw.choices("abcdef"[k:], k=300) for k in (0, 2))
    now = dict(by_hand=most, same=half, drawn=one, gone=["a"] * 30, only_now=["a"])
    before = dict(by_hand=half, same=half * 3, drawn=other, gone=["b"] * 30)
    found = {r["name"]: r for r in stability(keys(spark, now, before), Watch()).collect()}
    # (.8 - .5) ln(.8 / .5) + (.2 - .5) ln(.2 / .5)
    assert found["by_hand"]["psi"] == pytest.approx(0.415888, abs=1e-6)
    assert found["same"]["psi"] == 0.0
    assert found["drawn"]["psi"] == pytest.approx(psi(one, other), rel=1e-5)
    assert found["gone"]["psi"] == pytest.approx(2 * 0.9999 * math.log(1e4), rel=1e-5)
    assert {name: (r["rows"], r["level"]) for name, r in found.items()} == {
        "by_hand": (100, "drifted"), "same": (100, "steady"), "drawn": (300, "drifted"),
        "gone": (30, "drifted"),
    }  # fmt: skip


def test_what_few_rows_differ_by_is_luck(spark: SparkSession) -> None:
    now, before = ["a"] * 80 + ["b"] * 20, ["a"] * 68 + ["b"] * 32
    bins = keys(
        spark,
        dict(many=now * 10, some=now, few=["a"] * 29),
        dict(many=before * 10, some=before, few=["b"] * 29),
    )
    found = {r["name"]: r["level"] for r in stability(bins, Watch(moved=0.05)).collect()}
    assert found == {"many": "moved", "some": "steady", "few": "steady"}


def test_numbers_fall_into_tenths_of_the_reference_whatever_the_partitions(
    spark: SparkSession,
) -> None:
    before = [(False, float(x), 1.0, None) for x in range(1, 101)]
    now = [(0.5, 1.0, None), (10.5, 1.0, 3.0), (99.0, 2.0, None), (float("nan"), 0.0, None)]
    frame = spark.createDataFrame(
        [*before, *((True, *one) for one in now)],
        "is_now boolean, x double, constant double, empty double",
    )
    numbers = {name: F.col(name) for name in ("x", "constant", "empty")}
    values = values_of(frame.coalesce(1), "users", numbers)
    rows = binned(values).where("is_now").collect()
    bins = {name: [r["bin"] for r in rows if r["name"] == name] for name in numbers}
    # Tenths of 1 … 100 are 10.9, 20.8, …, 90.1.
    assert bins["x"] == ["0", "0", "9", "missing"]
    assert bins["constant"] == ["0", "0", "1", "0"]
    assert bins["empty"] == ["missing", "0", "missing", "missing"]
    in_order = ["name", "is_now", "bin"]
    spread = binned(values_of(frame.repartition(5), "users", numbers)).groupBy(*in_order).count()
    whole = binned(values).groupBy(*in_order).count()
    assert sorted(map(tuple, spread.collect())) == sorted(map(tuple, whole.collect()))


def test_every_tenth_of_the_reference_holds_a_tenth(spark: SparkSession) -> None:
    draw = random.Random(4)
    rows = [(False, draw.gauss(0, 9)) for _ in range(500)]
    frame = spark.createDataFrame(rows, "is_now boolean, x double")
    bins = binned(values_of(frame, "users", {"x": F.col("x")})).groupBy("bin").count().collect()
    assert len(bins) == 10 and all(48 <= r["count"] <= 52 for r in bins)
