"""The half-lives that sources are tried with: configured, or derived from the events' span.

A shop of two years and a news site of two weeks need different ones. All but popularity's follow
one number, the *scale*: a tenth of the span, brought to the nearest of 1, 2, 3, 7, 14 and 30 days
so that it doesn't move every night. Popularity has a grid of its own, from an hour to a year,
since how fast things cool doesn't hang on how long one has watched. Pure Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cached_property
from typing import Any

from ebb.durations import format_duration, parse_duration
from ebb.recommend.settings import HalfLifeSettings

HalfLife = timedelta | None  # None: flat, without decay

_DAY = timedelta(days=1)
_SCALES = tuple(days * _DAY for days in (1, 2, 3, 7, 14, 30))
_POPULARITY = tuple(
    timedelta(hours=hours) for hours in (1, 3, 12, 48, 7 * 24, 30 * 24, 90 * 24, 365 * 24)
)


@dataclass(frozen=True)
class HalfLives:
    """Half-lives by what decays; flat (None) comes last in each list.

    Attributes
    ----------
    scale : what they were derived from, and the length of a label window.
    """

    scale: timedelta
    popularity: tuple[HalfLife, ...]
    history: tuple[HalfLife, ...]
    profile: tuple[HalfLife, ...]
    similarity: timedelta
    confidence: timedelta

    @cached_property
    def profile_names(self) -> list[str]:
        return [name_of(one) for one in self.profile]

    def to_facts(self) -> dict[str, Any]:
        """As JSON takes it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: [name_of(one) for one in value] if isinstance(value, tuple) else name_of(value)
            for name, value in values.items()
        }

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> HalfLives:
        def listed(name: str) -> tuple[HalfLife, ...]:
            return tuple(None if text == "flat" else parse_duration(text) for text in facts[name])

        return HalfLives(
            scale=parse_duration(facts["scale"]),
            popularity=listed("popularity"),
            history=listed("history"),
            profile=listed("profile"),
            similarity=parse_duration(facts["similarity"]),
            confidence=parse_duration(facts["confidence"]),
        )


def half_lives_for(span: timedelta, settings: HalfLifeSettings) -> HalfLives:
    """Half-lives for events that reach back `span` before as_of.

    Parameters
    ----------
    span : from the first event to as_of; above zero.
    """
    scale = nearest_scale(span)
    within = tuple(h for h in _POPULARITY if h <= span) or _POPULARITY[:1]
    return HalfLives(
        scale=scale,
        popularity=(*(settings.popularity or within), None),
        history=(*(settings.history or tuple(scale * x for x in (0.125, 0.5, 2, 8))), None),
        profile=(*(settings.profile or (scale / 2, scale * 3)), None),
        similarity=settings.similarity or scale,
        confidence=settings.confidence or scale,
    )


def nearest_scale(span: timedelta) -> timedelta:
    """A tenth of the span, brought to the nearest scale (as a ratio)."""
    tenth = max(span / 10, timedelta(seconds=1))
    return min(_SCALES, key=lambda scale: abs(math.log(scale / tenth)))


def name_of(half_life: HalfLife) -> str:
    return "flat" if half_life is None else format_duration(half_life)
