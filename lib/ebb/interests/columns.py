"""Decay curves as native Spark expressions; the same maths as `curves.py`."""

from __future__ import annotations

import math
from datetime import datetime
from functools import singledispatch

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.durations import days
from ebb.interests.curves import (
    EwmaEvents,
    EwmaTime,
    Exponential,
    Linear,
    Mixture,
    Own,
    Power,
    Sigmoid,
    Window,
)

_MICROS_A_DAY = 86_400_000_000


def age_days(as_of: datetime, ts: Column) -> Column:
    """Age of an instant seen from `as_of`: fractional days, exact to the microsecond."""
    return (F.unix_micros(F.lit(as_of)) - F.unix_micros(ts)) / F.lit(float(_MICROS_A_DAY))


def halved(half_life: float | Column, age: Column) -> Column:
    """2^(-age / half_life), both in days."""
    return F.pow(F.lit(2.0), -age / half_life)


@singledispatch
def curve_column(curve: object, age: Column) -> Column:
    """The curve's value (1 at age 0) at an age in fractional days.

    The age of `EwmaEvents` is a number of events: the user's later ones.

    Raises
    ------
    TypeError
        For a curve that has no Spark expression.
    """
    raise TypeError(f"no Spark expression for the curve {type(curve).__name__}")


@curve_column.register(Exponential)
@curve_column.register(Own)
@curve_column.register(EwmaTime)
@curve_column.register(Mixture)
def _(curve: Exponential | Own | EwmaTime | Mixture, age: Column) -> Column:
    total = F.lit(0.0)
    for weight, half_life in curve.half_lives:
        total = total + F.lit(weight) * halved(half_life, age)
    return total


@curve_column.register
def _(curve: Linear, age: Column) -> Column:
    return F.greatest(F.lit(0.0), F.lit(1.0) - age / F.lit(days(curve.horizon)))


@curve_column.register
def _(curve: Window, age: Column) -> Column:
    return F.when(age <= F.lit(days(curve.length)), F.lit(1.0)).otherwise(F.lit(0.0))


@curve_column.register
def _(curve: Power, age: Column) -> Column:
    return F.exp(F.lit(-curve.exponent) * F.log1p(age / F.lit(curve.scale_days)))


@curve_column.register
def _(curve: Sigmoid, age: Column) -> Column:
    steps = F.lit(curve.steepness) * (age - F.lit(days(curve.midpoint)))
    return F.lit(curve.scale) / (F.lit(1.0) + F.exp(F.least(steps, F.lit(700.0))))


@curve_column.register
def _(curve: EwmaEvents, later: Column) -> Column:
    return F.lit(curve.rate) * F.exp(later * F.lit(math.log1p(-curve.rate)))
