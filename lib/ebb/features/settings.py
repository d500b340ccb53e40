"""The configuration's `features` section.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ebb.durations import Duration, format_duration


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Velocity(_Section):
    """The half-lives of the rates that an item's velocity compares."""

    short: Duration = timedelta(days=1)
    long: Duration = timedelta(days=14)

    @model_validator(mode="after")
    def _short_is_shorter(self) -> Self:
        if self.short >= self.long:
            short, long = format_duration(self.short), format_duration(self.long)
            raise ValueError(f"short {short} must be below long {long}")
        return self


class Features(_Section):
    """What `user_features` and `item_features` hold.

    Attributes
    ----------
    activity : windows in which a user's events are counted, one entry of `events_in` each.
    session_gap : an event that comes more than this after the one before begins a new session.
    popularity_half_life : half-life of an item's popularity and of its users' part in it.
    velocity : half-lives of the two rates that velocity compares.
    """

    activity: tuple[Duration, ...] = Field(
        default=(timedelta(days=1), timedelta(days=7), timedelta(days=30)), min_length=1
    )
    session_gap: Duration = timedelta(minutes=30)
    popularity_half_life: Duration = timedelta(days=7)
    velocity: Velocity = Velocity()

    @field_validator("activity")
    @classmethod
    def _each_once(cls, activity: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        twice = [length for length in activity if activity.count(length) > 1]
        if twice:
            raise ValueError(f"names {format_duration(twice[0])} twice; give each window once")
        return activity
