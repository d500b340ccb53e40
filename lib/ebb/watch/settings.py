"""The configuration's `watch` section.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ebb.durations import Duration
from ebb.interests.curves import Positive


class Watch(BaseModel):
    """When inputs count as moved, and a metric as fallen.

    Attributes
    ----------
    reference : inputs are held against those of the latest choice, at most so long ago.
    window : of the events whose types and categories are compared.
    moved, drifted : population stability indices from which an input is said to have.
    nights : judged nights that the latest is held against, at most; least : at least.
    deviations : a metric that falls by more than so many robust standard deviations dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    reference: Duration = timedelta(days=30)
    window: Duration = timedelta(days=7)
    moved: Positive = 0.1
    drifted: Positive = 0.25
    nights: int = Field(default=28, ge=2)
    least: int = Field(default=7, ge=2)
    deviations: Positive = 3.0

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> Self:
        if self.moved >= self.drifted:
            raise ValueError(f"moved {self.moved} must be below drifted {self.drifted}")
        if self.least > self.nights:
            raise ValueError(f"least {self.least} must be at most nights {self.nights}")
        return self
