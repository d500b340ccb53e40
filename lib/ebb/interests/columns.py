"""Decay curves as native Spark expressions; the same maths as `curves.py`."""

from __future__ import annotations

from datetime import datetime
from functools import singledispatch

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.durations import days
from ebb.interests.curves import Exponential, Linear, Window

_MICROS_A_DAY = 86_400_000_000


def age_days(as_of: datetime, ts: Column) -> Column:
    """Age of an instant seen from `as_of`: fractional days, exact to the microsecond."""
    return (F.unix_micros(F.lit(as_of)) - F.unix_micros(ts)) / F.lit(float(_MICROS_A_DAY))


@singledispatch
def curve_column(curve: object, age: Column) -> Column:
    """The curve's value (1 at age 0) at an age in fractional days.

    Raises
    ------
    TypeError
        For a curve that has no Spark expression yet.
    """
    raise TypeError(f"no Spark expression for the curve {type(curve).__name__}")


@curve_column.register
def _(curve: Exponential, age: Column) -> Column:
    return F.pow(F.lit(2.0), -age / F.lit(days(curve.half_life)))


@curve_column.register
def _(curve: Linear, age: Column) -> Column:
    return F.greatest(F.lit(0.0), F.lit(1.0) - age / F.lit(days(curve.horizon)))


@curve_column.register
def _(curve: Window, age: Column) -> Column:
    return F.when(age <= F.lit(days(curve.length)), F.lit(1.0)).otherwise(F.lit(0.0))
