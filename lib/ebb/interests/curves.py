"""Decay curves: how much an event of a given age still counts.

A curve is a function of age (fractional days, >= 0) that is 1 at age 0 and never rises.
Each curve is written twice on purpose: `at` in plain Python, read and tested by people, and
the Spark expression in `interests/columns.py`, which tests compare with `at`.
Pure Python; never imports Spark.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ebb.durations import Duration, days


class _Curve(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Exponential(_Curve):
    """2^(-age / half_life): the papers' I(t) = I0 e^(-kt) with k = ln 2 / half_life."""

    curve: Literal["exponential"]
    half_life: Duration

    def at(self, age: float) -> float:
        return float(2.0 ** (-age / days(self.half_life)))


class Linear(_Curve):
    """1 - age / horizon, and 0 from the horizon on: the papers' I(t) = I0 - kt, never negative."""

    curve: Literal["linear"]
    horizon: Duration

    def at(self, age: float) -> float:
        return max(0.0, 1.0 - age / days(self.horizon))


class Window(_Curve):
    """1 up to and including age `length`, then 0: as_of - length <= event_ts < as_of."""

    curve: Literal["window"]
    length: Duration

    def at(self, age: float) -> float:
        return 1.0 if age <= days(self.length) else 0.0


Curve = Annotated[Exponential | Linear | Window, Field(discriminator="curve")]
