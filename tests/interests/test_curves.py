"""Curves: hand-computed values, and Spark's expressions against plain Python's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ebb.durations import parse_instant
from ebb.interests.columns import age_days, curve_column
from ebb.interests.curves import Curve, Exponential, Linear, Window

WEEK = Exponential(curve="exponential", half_life="7d")
MONTH = Linear(curve="linear", horizon="30d")
FORTNIGHT = Window(curve="window", length="14d")
CURVES: list[Curve] = [WEEK, MONTH, FORTNIGHT, Exponential(curve="exponential", half_life="1min")]
AGES = [0.0, 1e-9, 0.5, 6.999, 7.0, 13.999999, 14.0, 14.000001, 29.5, 30.0, 31.0, 365.0, 18_262.0]


def test_an_exponential_halves_every_half_life() -> None:
    assert [WEEK.at(age) for age in (0, 7, 14, 70)] == [1.0, 0.5, 0.25, 2.0**-10]


def test_a_line_reaches_zero_at_its_horizon_and_stays_there() -> None:
    assert [MONTH.at(age) for age in (0, 15, 30, 31)] == [1.0, 0.5, 0.0, 0.0]


def test_a_window_holds_an_event_exactly_as_old_as_its_length() -> None:
    assert [FORTNIGHT.at(age) for age in (0, 14, 14.0001)] == [1.0, 1.0, 0.0]


@given(st.sampled_from(CURVES), st.floats(0, 20_000), st.floats(0, 20_000))
def test_no_curve_rises_or_leaves_zero_to_one(curve: Curve, one: float, other: float) -> None:
    young, old = sorted((one, other))
    assert 0.0 <= curve.at(old) <= curve.at(young) <= curve.at(0.0) == 1.0


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
def test_spark_agrees_with_plain_python(spark: SparkSession, curve: Curve) -> None:
    ages = spark.createDataFrame([(age,) for age in AGES], "age double")
    found = [r[0] for r in ages.select(curve_column(curve, F.col("age"))).collect()]
    assert found == pytest.approx([curve.at(age) for age in AGES], rel=1e-12, abs=1e-300)


def test_ages_are_fractional_days_to_the_microsecond(spark: SparkSession) -> None:
    as_of = parse_instant("2026-01-02T00:00:00Z")
    moments = [as_of - timedelta(days=1), as_of - timedelta(microseconds=1)]
    frame = spark.createDataFrame([(m,) for m in moments], "ts timestamp")
    found = [r[0] for r in frame.select(age_days(as_of, F.col("ts"))).collect()]
    assert found == [1.0, 1 / 86_400_000_000]


def test_a_curve_without_an_expression_is_refused() -> None:
    with pytest.raises(TypeError, match="no Spark expression for the curve str"):
        curve_column("exponential", F.lit(1.0))
