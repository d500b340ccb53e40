"""The stability index against a plain-Python oracle."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.watch.settings import Watch
from ebb.watch.stability import binned, edges_of, stability

BINS = "of string, name string, bin string"


def psi(now: list[str], reference: list[str]) -> float:
    n, m = Counter(now), Counter(reference)
    total = 0.0
    for key in n | m:
        p, q = max(n[key] / len(now), 1e-4), max(m[key] / len(reference), 1e-4)
        total += (p - q) * math.log(p / q)
    return total


def keys(spark: SparkSession, **values: list[str]) -> DataFrame:
    rows = [("mix", name, value) for name, own in values.items() for value in own]
    return spark.createDataFrame(rows, BINS)


def test_the_index_by_hand_and_against_the_oracle_with_keys_that_come_and_go(
    spark: SparkSession,
) -> None:
    half, most = ["a"] * 50 + ["b"] * 50, ["a"] * 80 + ["b"] * 20
    draw = random.Random(1)
    one, other = (draw.choices("abcdef"[k:], k=300) for k in (0, 2))
    now = keys(spark, by_hand=most, same=half, drawn=one, gone=["a"] * 30, only_now=["a"])
    before = keys(spark, by_hand=half, same=half * 3, drawn=other, gone=["b"] * 30)
    found = {r["name"]: r for r in stability(now, before, Watch()).collect()}
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
    found = stability(
        keys(spark, many=now * 10, few=now[::10]),
        keys(spark, many=before * 10, few=before[::10]),
        Watch(moved=0.05),
    )
    assert {r["name"]: r["level"] for r in found.collect()} == {"many": "moved", "few": "steady"}


def test_numbers_fall_into_tenths_of_the_reference_whatever_the_partitions(
    spark: SparkSession,
) -> None:
    before = [(float(x), 1, None) for x in range(1, 101)]
    now = [(0.5, 1, None), (10.5, 1, 3.0), (99.0, 2, None), (float("nan"), 0, None)]
    schema = "x double, constant int, empty double"
    frame = spark.createDataFrame(before, schema)
    numbers = {name: F.col(name) for name in ("x", "constant", "empty")}
    edges = edges_of(frame.repartition(3), numbers)
    # Exact quantiles of 1 … 100, interpolated: 1 + 99 k / 10.
    assert edges["x"] == pytest.approx([1 + 9.9 * k for k in range(1, 10)])
    assert edges["constant"] == [1.0] and edges["empty"] == []
    rows = binned(spark.createDataFrame(now, schema), numbers, edges).collect()
    bins = {name: [r["bin"] for r in rows if r["name"] == name] for name in numbers}
    assert bins["x"] == ["0", "0", "9", "missing"]
    assert bins["constant"] == ["0", "0", "1", "0"]
    assert bins["empty"] == ["missing", "0", "missing", "missing"]


def test_every_tenth_of_the_reference_holds_a_tenth(spark: SparkSession) -> None:
    draw = random.Random(4)
    frame = spark.createDataFrame([(draw.gauss(0, 9),) for _ in range(500)], "x double")
    numbers = {"x": F.col("x")}
    bins = binned(frame, numbers, edges_of(frame, numbers)).groupBy("bin").count().collect()
    assert len(bins) == 10 and all(48 <= r["count"] <= 52 for r in bins)
