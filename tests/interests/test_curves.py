"""Curves: hand-computed values, the oracle's, numpy's and Spark's against each other."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import interests.interest_oracle as oracle
from ebb.durations import parse_instant
from ebb.interests.columns import age_days, curve_column
from ebb.interests.curves import Curve, EwmaEvents, EwmaTime

FIFTY_YEARS = 18_262.0
AGES = [0.0, 1e-9, 1 / 1440, 0.5, 6.999, 7.0, 13.999999, 14.0, 14.000001, 29.5, 30.0, 31.0, 365.0,
        FIFTY_YEARS]  # fmt: skip
HALF_LIVES = ["1min", "7d", "50y"]


def curve(kind: str, **settings: Any) -> Any:
    return TypeAdapter(Curve).validate_python({"curve": kind, **settings})


def mixture(**weights: float) -> Any:
    """Of half-lives by their name: ``mixture(day=0.5, year=0.5)``."""
    lives = {"minute": "1min", "day": "1d", "week": "7d", "year": "1y"}
    parts = [{"half_life": lives[name], "weight": weight} for name, weight in weights.items()]
    return curve("mixture", parts=parts)


WEEK = curve("exponential", half_life="7d")
MONTH = curve("linear", horizon="30d")
FORTNIGHT = curve("window", length="14d")
OF_TIME: list[Any] = [
    *(curve("exponential", half_life=length) for length in HALF_LIVES),
    curve("own", half_life="36h"),
    *(curve("ewma_time", rate=rate, step=step) for rate in (0.01, 0.5) for step in ("1min", "1d")),
    mixture(day=0.3, week=0.6, year=0.1),
    mixture(minute=5, year=0),
    *(curve("linear", horizon=length) for length in HALF_LIVES),
    MONTH,
    *(curve("window", length=length) for length in HALF_LIVES),
    FORTNIGHT,
    *(curve("power", half_life=h, exponent=p) for h in HALF_LIVES for p in (0.02, 1.0, 100.0)),
    *(curve("sigmoid", midpoint=m, steepness=k) for m in HALF_LIVES for k in (1e-6, 0.5, 1e6)),
]

_lengths = st.sampled_from([*HALF_LIVES, "36h", "30d"])
_curves = st.one_of(
    st.builds(lambda h: curve("exponential", half_life=h), _lengths),
    st.builds(lambda r, s: curve("ewma_time", rate=r, step=s), st.floats(0.001, 0.9), _lengths),
    st.builds(lambda d, y: mixture(day=d, year=y), st.floats(0.01, 9), st.floats(0, 9)),
    st.builds(lambda h: curve("linear", horizon=h), _lengths),
    st.builds(lambda w: curve("window", length=w), _lengths),
    st.builds(lambda h, p: curve("power", half_life=h, exponent=p), _lengths, st.floats(0.02, 100)),
    st.builds(
        lambda m, k: curve("sigmoid", midpoint=m, steepness=k), _lengths, st.floats(1e-6, 1e6)
    ),
)
_ages = st.floats(0, 20_000)


def test_an_exponential_halves_every_half_life() -> None:
    assert [WEEK.at(age) for age in (0, 7, 14, 70)] == [1.0, 0.5, 0.25, 2.0**-10]


def test_a_line_reaches_zero_at_its_horizon_and_stays_there() -> None:
    assert [MONTH.at(age) for age in (0, 15, 30, 31)] == [1.0, 0.5, 0.0, 0.0]


def test_a_window_holds_an_event_exactly_as_old_as_its_length() -> None:
    assert [FORTNIGHT.at(age) for age in (0, 14, 14.0001)] == [1.0, 1.0, 0.0]


def test_an_ewma_in_time_loses_its_rate_every_step() -> None:
    daily = curve("ewma_time", rate=0.1)
    assert [daily.at(age) for age in (0, 1, 2, 10)] == pytest.approx([1.0, 0.9, 0.81, 0.9**10])
    hourly = curve("ewma_time", rate=0.1, step="1h")
    assert hourly.at(3 / 24) == pytest.approx(0.729)


@given(st.floats(0.001, 0.999), _lengths, _ages)
def test_an_ewma_in_time_is_the_exponential_of_its_stated_half_life(
    rate: float, step: str, age: float
) -> None:
    ewma: EwmaTime = curve("ewma_time", rate=rate, step=step)
    ((weight, half_life),) = ewma.half_lives
    assert (weight, half_life * -math.log2(1 - rate)) == (
        1.0,
        pytest.approx(ewma.step / timedelta(days=1)),
    )
    stated = 2.0 ** -(age / half_life)
    assert ewma.at(np.array(age)) == pytest.approx(stated, rel=1e-9, abs=oracle.NOTHING)


def test_a_mixture_is_the_mean_of_its_parts_by_weight() -> None:
    mixed = mixture(day=3, week=1)
    assert [mixed.at(age) for age in (0, 7)] == [1.0, (3 * 2.0**-7 + 0.5) / 4]
    assert mixture(week=2).at(7) == 0.5
    assert mixture(week=2, year=0).half_lives == ((1.0, 7.0),)


@pytest.mark.parametrize("exponent", [0.02, 0.5, 1.0, 3.0, 100.0])
def test_a_power_is_one_half_at_its_half_life_whatever_its_exponent(exponent: float) -> None:
    power = curve("power", half_life="36h", exponent=exponent)
    assert power.at(1.5) == pytest.approx(0.5, rel=1e-12)


def test_a_power_of_exponent_one_falls_as_one_over_age() -> None:
    power = curve("power", half_life="2d", exponent=1)
    assert [power.at(age) for age in (0, 2, 6, 198)] == pytest.approx([1, 1 / 2, 1 / 4, 1 / 100])


def test_a_sigmoid_falls_to_about_half_around_its_midpoint() -> None:
    sigmoid = curve("sigmoid", midpoint="10d", steepness=2)
    assert sigmoid.at(0) == pytest.approx(1.0, rel=1e-15)
    assert sigmoid.at(8) > 0.98
    assert sigmoid.at(10) == pytest.approx(0.5 * (1 + math.exp(-20)), rel=1e-12)
    assert sigmoid.at(12) < 0.02


def test_an_ewma_over_events_starts_at_its_rate_and_loses_that_part_with_each() -> None:
    by_event = curve("ewma_events", rate=0.2)
    assert [by_event.at(later) for later in (0, 1, 2)] == pytest.approx([0.2, 0.16, 0.128])


@given(st.floats(0.001, 0.999), st.integers(0, 10_000))
def test_an_ewma_over_events_agrees_with_the_oracle_after_any_number(
    rate: float, later: int
) -> None:
    by_event = curve("ewma_events", rate=rate)
    expected = oracle.curve_at(by_event, 0.0, later)
    assert by_event.at(np.array(later)) == pytest.approx(expected, rel=1e-9, abs=oracle.NOTHING)


@given(_curves, _ages, _ages)
def test_no_curve_rises_or_leaves_zero_to_one(curve: Any, one: float, other: float) -> None:
    start, young, old = curve.at(np.array([0.0, *sorted((one, other))]))
    # The last bits of exp and log aren't monotone: rounding may lift a value by a few of them.
    slack = 1 + 1e-12
    assert start == pytest.approx(1.0, rel=1e-12)
    assert 0.0 <= old <= young * slack <= start * slack * slack


@given(_curves, _ages)
def test_numpy_agrees_with_the_oracle(curve: Any, age: float) -> None:
    expected = oracle.curve_at(curve, age)
    assert curve.at(np.array(age)) == pytest.approx(expected, rel=1e-9, abs=oracle.NOTHING)


def test_a_curve_is_zero_beyond_its_reach_and_not_before() -> None:
    for bounded in (c for c in OF_TIME if c.reach is not None):
        reach = bounded.reach / timedelta(days=1)
        just_before, just_after = bounded.at(np.array([reach * (1 - 1e-9), reach * (1 + 1e-9)]))
        assert just_before > 0.0 == just_after
    unbounded = {c.curve for c in OF_TIME if c.reach is None}
    assert unbounded == {"exponential", "own", "ewma_time", "mixture", "power", "sigmoid"}


def test_an_additive_curve_is_the_sum_of_its_exponentials() -> None:
    ages = np.array(AGES)
    additive = [c for c in OF_TIME if c.half_lives]
    assert {c.curve for c in additive} == {"exponential", "own", "ewma_time", "mixture"}
    for each in additive:
        expected = sum(weight * 2.0 ** -(ages / half_life) for weight, half_life in each.half_lives)
        assert each.at(ages) == pytest.approx(expected, rel=1e-9, abs=oracle.NOTHING)


def test_spark_agrees_with_the_oracle_at_every_age(spark: SparkSession) -> None:
    ages = spark.createDataFrame([(n, age) for n, age in enumerate(AGES)], "n int, age double")
    values = F.array(*(curve_column(curve, F.col("age")) for curve in OF_TIME))
    rows = ages.select("n", values.alias("found")).orderBy("n").collect()
    for row, age in zip(rows, AGES, strict=True):
        for curve, found in zip(OF_TIME, row["found"], strict=True):
            expected = oracle.curve_at(curve, age)
            assert found == pytest.approx(expected, rel=1e-9, abs=oracle.NOTHING), (curve, age)
            assert 0.0 <= found <= 1.0 + 1e-12, (curve, age)


def test_spark_agrees_with_the_oracle_after_any_number_of_events(spark: SparkSession) -> None:
    curves = [EwmaEvents(curve="ewma_events", rate=rate) for rate in (1e-6, 0.1, 0.999)]
    later = [0, 1, 2, 100, 1_000_000]
    counts = spark.createDataFrame([(float(number),) for number in later], "later double")
    values = F.array(*(curve_column(curve, F.col("later")) for curve in curves))
    found = dict(counts.select("later", values).collect())
    for number in later:
        expected = [oracle.curve_at(curve, 0.0, number) for curve in curves]
        assert found[number] == pytest.approx(expected, rel=1e-9, abs=oracle.NOTHING)


def test_ages_are_fractional_days_to_the_microsecond(spark: SparkSession) -> None:
    as_of = parse_instant("2026-01-02T00:00:00Z")
    moments = [as_of - timedelta(days=1), as_of - timedelta(microseconds=1)]
    frame = spark.createDataFrame([(m,) for m in moments], "ts timestamp")
    found = [r[0] for r in frame.select(age_days(as_of, F.col("ts"))).collect()]
    assert found == [1.0, 1 / 86_400_000_000]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"curve": "ewma_time", "rate": 1}, "rate"),
        ({"curve": "power", "half_life": "1d", "exponent": 0}, "exponent"),
        ({"curve": "sigmoid", "midpoint": "1d", "steepness": float("inf")}, "steepness"),
        ({"curve": "mixture", "parts": [{"half_life": "1d", "weight": 0}]}, "all weigh 0"),
        ({"curve": "mixture", "parts": [{"half_life": "1d", "weight": 1}] * 2}, "twice"),
    ],
)
def test_a_curve_that_would_not_fade_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TypeAdapter(Curve).validate_python(settings)


def test_a_curve_without_an_expression_is_refused() -> None:
    with pytest.raises(TypeError, match="no Spark expression for the curve str"):
        curve_column("exponential", F.lit(1.0))
