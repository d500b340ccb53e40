import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from ebb.rounding import significant, significant_array

CASES = [
    (0.123456789, 0.123457),
    (-0.123456789, -0.123457),
    (1234567.0, 1234570.0),
    (123456.0, 123456.0),
    (999999.7, 1000000.0),
    (1e-30 / 3, 3.33333e-31),
    (1e250 / 3, 3.33333e249),
    (0.0, 0.0),
    (-0.0, 0.0),
    (1e-320, 0.0),
    (1000.0, 1000.0),
]


@pytest.mark.parametrize(("given_value", "expected"), CASES)
def test_six_significant_digits_are_kept(given_value: float, expected: float) -> None:
    assert significant_array([given_value])[0] == pytest.approx(expected, rel=1e-15, abs=0)


def test_what_is_no_finite_number_stays_what_it_is() -> None:
    nan, positive, negative = significant_array([np.nan, np.inf, -np.inf])
    assert math.isnan(nan) and positive == math.inf and negative == -math.inf


def test_minus_zero_becomes_zero() -> None:
    assert math.copysign(1.0, significant_array([-0.0])[0]) == 1.0


def test_the_shape_is_kept_and_the_input_left_alone() -> None:
    values = np.array([[1.23456789, 2.0], [3.0, 4.0]])
    rounded = significant_array(values)
    assert rounded.shape == (2, 2) and values[0, 0] == 1.23456789


@pytest.mark.parametrize("digits", [0, 16])
def test_digits_that_a_double_cannot_hold_are_refused(digits: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 15"):
        significant_array([1.0], digits)


@given(st.floats(1e-300, 1e300), st.sampled_from([-1.0, 1.0]), st.integers(1, 12))
def test_rounding_agrees_with_decimal_printing_and_is_idempotent(
    size: float, sign: float, digits: int
) -> None:
    x = sign * size
    rounded = significant_array([x], digits)[0]
    assert rounded == pytest.approx(x, rel=0.5000001 * 10.0 ** (1 - digits))
    assert float(f"{rounded:.{digits - 1}e}") == pytest.approx(rounded, rel=1e-15)
    assert significant_array([rounded], digits)[0] == pytest.approx(rounded, rel=1e-15)


def test_sums_in_another_order_round_to_the_same_score() -> None:
    draw = random.Random(1)
    terms = [draw.random() for _ in range(1000)]
    forward, backward = sum(terms), sum(reversed(terms))
    assert forward != backward
    assert significant_array([forward])[0] == significant_array([backward])[0]


def test_spark_and_numpy_round_to_the_same_bits(spark) -> None:
    draw = random.Random(2)
    values = [draw.uniform(-10, 10) * 10.0 ** draw.randint(-307, 300) for _ in range(2000)]
    values += [v for v, _ in CASES] + [10.0**k for k in range(-20, 23)]
    values += [np.nextafter(10.0**k, 0).item() for k in range(-20, 23)]
    values += [math.inf, -math.inf]
    frame = spark.createDataFrame(list(enumerate(values)), "at int, x double")
    rows = frame.select("at", significant(F.col("x")).alias("y")).sort("at").collect()
    assert [r.y for r in rows] == significant_array(values).tolist()


def test_spark_keeps_null_and_nan(spark) -> None:
    frame = spark.createDataFrame([(None,), (math.nan,)], "x double")
    null, nan = (r[0] for r in frame.select(significant(F.col("x"))).collect())
    assert null is None and math.isnan(nan)
