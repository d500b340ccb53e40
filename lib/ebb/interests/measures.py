"""Measures: named decayed aggregates of a user's events on a key, as the configuration has them.

Pure Python; never imports Spark. What each comes to is computed in `snapshot.py` (from events),
`reader.py` (from stored sums and recent events), `frames.py` (without Spark) and
`point_in_time.py` (at the instants of given rows).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ebb.interests.curves import (
    EwmaEvents,
    EwmaTime,
    Exponential,
    Linear,
    Mixture,
    Own,
    Positive,
    Power,
    Sigmoid,
    Window,
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED_COLUMNS = frozenset(
    {"as_of", "user_id", "item_id", "facet", "key", "n", "last_ts", "share", "rank", "drift",
     "trend", "slot", "user_bucket", "instant", "entity"}
)  # fmt: skip


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def _column_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name in RESERVED_COLUMNS or name.startswith("sum_"):
        raise ValueError(
            "expected a column name of a-z, 0-9 and _ that starts with a letter (not sum_) and is "
            "none of " + ", ".join(sorted(RESERVED_COLUMNS))
        )
    return name


class _Measured(_Section):
    """What every measure has beside its curve g.

    Attributes
    ----------
    aggregate : with a the event type's weight and v the transformed value,

        - ``sum``: sum of a * v * g(age), in units of weight;
        - ``count``: sum of g(age), in events;
        - ``average``: sum of a * v * g over sum of a * g, in units of v; empty where the latter
          is 0;
        - ``active_days``: over the distinct UTC days with an event, the sum of g(age of the day's
          latest event), in days;
        - ``last``: the latest event_ts at which g isn't 0, an instant; empty if there is none.
    event_types : the types that count; None means all.
    facets : the facets that have the measure, empty in the others; None means all.
    """

    name: str
    aggregate: Literal["sum", "count", "average", "active_days", "last"] = "sum"
    event_types: tuple[str, ...] | None = None
    facets: tuple[str, ...] | None = None

    _name_is_a_column = field_validator("name")(_column_name)


class ExponentialMeasure(_Measured, Exponential):
    """Decays by half every `half_life`."""


class EwmaTimeMeasure(_Measured, EwmaTime):
    """Loses the part `rate` every `step` of time."""


class MixtureMeasure(_Measured, Mixture):
    """Decays by a weighted sum of exponentials."""


class LinearMeasure(_Measured, Linear):
    """Fades on a straight line to 0 at `horizon`."""


class WindowMeasure(_Measured, Window):
    """Holds the last `length` only."""


class PowerMeasure(_Measured, Power):
    """Decays fast at first and ever more slowly."""


class SigmoidMeasure(_Measured, Sigmoid):
    """Holds until about `midpoint`, then falls."""


class EwmaEventsMeasure(_Measured, EwmaEvents):
    """Loses the part `rate` with each later event of the user."""

    @model_validator(mode="after")
    def _has_no_days(self) -> Self:
        if self.aggregate in ("active_days", "last"):
            raise ValueError(f"curve ewma_events has no aggregate {self.aggregate}")
        return self


class OwnMeasure(_Measured, Own):
    """Decays by half every learned half-life of the user; `half_life` until one is learned."""

    @model_validator(mode="after")
    def _is_a_sum(self) -> Self:
        if self.aggregate in ("active_days", "last"):
            raise ValueError(f"curve own has no aggregate {self.aggregate}")
        return self


Measure = Annotated[
    ExponentialMeasure
    | EwmaTimeMeasure
    | MixtureMeasure
    | LinearMeasure
    | WindowMeasure
    | PowerMeasure
    | SigmoidMeasure
    | EwmaEventsMeasure
    | OwnMeasure,
    Field(discriminator="curve"),
]


class Ratio(_Section):
    """One measure over another; empty where the latter is 0 or empty."""

    name: str
    of: str
    to: str

    _name_is_a_column = field_validator("name")(_column_name)


class Drift(_Section):
    """Short-term against long-term share of each key, by two measures.

    `drift` is the short share minus the long one (-1 to 1); `trend` is ``rising`` from
    `threshold` on, ``fading`` down to minus that, else ``steady``.
    """

    long: str
    short: str
    threshold: float = Field(default=0.1, gt=0, le=1)


def _default_measures() -> tuple[Measure, ...]:
    return (
        ExponentialMeasure(name="exp_7d", curve="exponential", half_life=timedelta(days=7)),
        WindowMeasure(name="win_30d", curve="window", length=timedelta(days=30)),
        LinearMeasure(name="lin_30d", curve="linear", horizon=timedelta(days=30)),
    )


class Interests(_Section):
    """What is kept of people's interests.

    Attributes
    ----------
    facets : item, category, tag, or the name of an item attribute; None means every one of
        item, category and tag that the item source maps.
    rank_by : the measure that share and rank are taken from.
    share : ``plain``, max(x, 0) over the facet's sum of it, or ``softmax`` of plain shares
        divided by `temperature`.
    top : keys a user and facet that `interests_now` keeps; None means all.
    late : ``repair`` counts a late event in the nights before it came too; ``frozen`` leaves those
        as they were, and counts it from the next on.
    slots : a night brings the stored sums of one slot of users, of so many, up to date.
    now : write `interests_now`, everybody's interests as of the night.
    """

    facets: tuple[str, ...] | None = None
    measures: tuple[Measure, ...] = Field(default_factory=_default_measures, min_length=1)
    ratios: tuple[Ratio, ...] = ()
    rank_by: str = "exp_7d"
    share: Literal["plain", "softmax"] = "plain"
    temperature: Positive = 1.0
    drift: Drift | None = None
    top: int | None = Field(default=None, ge=1)
    late: Literal["repair", "frozen"] = "repair"
    slots: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256] = 8
    now: bool = True

    @model_validator(mode="after")
    def _names(self) -> Self:
        measures = [measure.name for measure in self.measures]
        names = [*measures, *(ratio.name for ratio in self.ratios)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"measures has two measures named {twice[0]}; give each its own name")
        self._rankable("rank_by", self.rank_by)
        if self.drift is not None:
            self._rankable("drift.long", self.drift.long)
            self._rankable("drift.short", self.drift.short)
        for ratio in self.ratios:
            self._rankable(f"ratios {ratio.name}.of", ratio.of)
            self._rankable(f"ratios {ratio.name}.to", ratio.to)
        if self.facets is not None and len(set(self.facets)) < len(self.facets):
            raise ValueError("facets names one facet twice")
        return self

    def _rankable(self, setting: str, name: str) -> None:
        numbers = [m.name for m in self.measures if m.aggregate != "last"]
        if name not in numbers:
            raise ValueError(f"{setting} names {name}, expected one of {', '.join(numbers)}")
        facets = next(m.facets for m in self.measures if m.name == name)
        if facets is not None and setting == "rank_by":
            raise ValueError(f"rank_by names {name}, which only some facets have")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of each measure and ratio, in their order."""
        return (*(m.name for m in self.measures), *(r.name for r in self.ratios))

    @property
    def by_own(self) -> tuple[str, ...]:
        """The measures that go by each user's own half-life."""
        return tuple(m.name for m in self.measures if isinstance(m, Own))
