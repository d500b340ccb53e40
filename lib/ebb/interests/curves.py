"""Decay curves: how much an event of a given age still counts.

A curve is a function of age (fractional days, >= 0) that is 1 at age 0 and never rises
(`EwmaEvents` alone counts events instead of days and starts at its rate). Each curve is written
twice on purpose: `at` on numpy arrays, which readers without Spark and the point-in-time stream
use, and the Spark expression in `interests/columns.py`, which tests compare with `at`.

A curve is *additive* where it is a sum of exponentials (`half_lives`): a stored sum can then be
carried on to a later instant and new events added to it. `reach` is the age from which on a
curve is 0; None where it never gets there.

Pure Python and numpy; never imports Spark.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ebb.durations import Duration, days

Ages = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class _Curve(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    @property
    def half_lives(self) -> tuple[tuple[float, float], ...]:
        """(weight, half-life in days) of each exponential that the curve is a sum of."""
        return ()

    @property
    def reach(self) -> timedelta | None:
        """The age beyond which the curve is 0; None if it never is."""
        return None


class _Halving(_Curve):
    half_life: Duration

    @property
    def half_lives(self) -> tuple[tuple[float, float], ...]:
        return ((1.0, days(self.half_life)),)

    def at(self, age: Ages) -> Ages:
        return _sum_of_exponentials(self.half_lives, age)


class Exponential(_Halving):
    """2^(-age / half_life): the papers' I(t) = I0 e^(-kt) with k = ln 2 / half_life."""

    curve: Literal["exponential"]


class EwmaTime(_Curve):
    """(1 - rate)^(age / step): the papers' x <- (1 - rate) x, once every `step` of time.

    It is the exponential with half_life = step * ln 2 / -ln(1 - rate).
    """

    curve: Literal["ewma_time"]
    rate: Rate
    step: Duration = timedelta(days=1)

    @property
    def half_lives(self) -> tuple[tuple[float, float], ...]:
        return ((1.0, days(self.step) * math.log(2) / -math.log1p(-self.rate)),)

    def at(self, age: Ages) -> Ages:
        return _sum_of_exponentials(self.half_lives, age)


class Part(_Curve):
    """One exponential of a mixture."""

    half_life: Duration
    weight: float = Field(ge=0, allow_inf_nan=False)


class Mixture(_Curve):
    """sum_j weight_j 2^(-age / half_life_j) / sum_j weight_j: the form of a learned curve."""

    curve: Literal["mixture"]
    parts: tuple[Part, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _someone_counts(self) -> Self:
        if not sum(part.weight for part in self.parts) > 0:
            raise ValueError("parts all weigh 0; at least one weight must be above")
        lives = [part.half_life for part in self.parts]
        if len(set(lives)) < len(lives):
            raise ValueError("parts has one half_life twice; add their weights up")
        return self

    @property
    def half_lives(self) -> tuple[tuple[float, float], ...]:
        total = sum(part.weight for part in self.parts)
        return tuple(
            (part.weight / total, days(part.half_life)) for part in self.parts if part.weight
        )

    def at(self, age: Ages) -> Ages:
        return _sum_of_exponentials(self.half_lives, age)


class Linear(_Curve):
    """1 - age / horizon, and 0 from the horizon on: the papers' I(t) = I0 - kt, never negative."""

    curve: Literal["linear"]
    horizon: Duration

    @property
    def reach(self) -> timedelta | None:
        return self.horizon

    def at(self, age: Ages) -> Ages:
        return np.maximum(0.0, 1.0 - age / days(self.horizon))


class Window(_Curve):
    """1 up to and including age `length`, then 0: as_of - length <= event_ts < as_of."""

    curve: Literal["window"]
    length: Duration

    @property
    def reach(self) -> timedelta | None:
        return self.length

    def at(self, age: Ages) -> Ages:
        return np.where(age <= days(self.length), 1.0, 0.0)


class Power(_Curve):
    """(1 + age / s)^(-exponent), with s such that it is one half at `half_life`.

    s = half_life / (2^(1 / exponent) - 1). Its tail is fat: old events never quite go.
    """

    curve: Literal["power"]
    half_life: Duration
    exponent: float = Field(default=1.0, ge=0.02, le=100)

    @property
    def scale_days(self) -> float:
        return days(self.half_life) / math.expm1(math.log(2) / self.exponent)

    def at(self, age: Ages) -> Ages:
        return np.exp(-self.exponent * np.log1p(age / self.scale_days))


class Sigmoid(_Curve):
    """1 / (1 + e^(steepness (age - midpoint))), scaled to 1 at age 0; `steepness` per day.

    Nearly flat at first, then a fall around `midpoint`.
    """

    curve: Literal["sigmoid"]
    midpoint: Duration
    steepness: Positive

    @property
    def scale(self) -> float:
        """What brings it to 1 at age 0: 1 + e^(-steepness * midpoint)."""
        return 1.0 + math.exp(-self.steepness * days(self.midpoint))

    def at(self, age: Ages) -> Ages:
        # e^-700 is the smallest that still has all its digits: beyond it nothing is left.
        power = np.minimum(self.steepness * (age - days(self.midpoint)), 700.0)
        return self.scale / (1.0 + np.exp(power))


class EwmaEvents(_Curve):
    """rate (1 - rate)^later: the papers' x <- (1 - rate) x + rate a, a step being one event.

    `later` is the number of the user's later events that count, of whatever type and item,
    ordered by (event_ts, event_id). Time alone changes nothing.
    """

    curve: Literal["ewma_events"]
    rate: Rate

    def at(self, later: Ages) -> Ages:
        return self.rate * np.exp(later * math.log1p(-self.rate))


class Own(_Halving):
    """2^(-age / h), h being what was learned of the user in the facet (`forgetting/fits.py`).

    `half_life` is that of facets of which nothing has been learned yet: the curve itself knows no
    other.
    """

    curve: Literal["own"]
    half_life: Duration = timedelta(days=7)


Curve = Annotated[
    Exponential | EwmaTime | Mixture | Linear | Window | Power | Sigmoid | EwmaEvents | Own,
    Field(discriminator="curve"),
]


def _sum_of_exponentials(half_lives: tuple[tuple[float, float], ...], age: Ages) -> Ages:
    total = np.zeros_like(np.asarray(age, dtype=np.float64))
    for weight, half_life in half_lives:
        total = total + weight * np.exp2(-age / half_life)
    return total
