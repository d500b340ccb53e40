"""What of the measures can be stored: sums that are carried on in time without the events.

A measure is *stored* where its sums can be carried on in time without the events: a sum of
exponentials is multiplied by 2^(-days / half_life), a latest instant stays. Half-lives that were
learned are others in each facet, so that a measure by them has a sum a facet. Every other measure
needs the events that its curve still reaches: those of the last `reach` days for windows and
lines, all of them for power, sigmoid, ewma_events and undying active days.

Pure Python; never imports Spark. The sums as Spark columns are in `sums.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Literal

from ebb.durations import days
from ebb.interests.curves import EwmaEvents, Own
from ebb.interests.measures import Measure

# What is smaller is nothing: below it floats lose their digits, and the order of sums would show.
NOTHING = 1e-280


@dataclass(frozen=True)
class Sum:
    """One stored column of (user, item).

    Attributes
    ----------
    what : `weight` sums a * v, `events` sums 1, `type_weight` sums a, each times
        2^(-age / half_life); `last` is the latest event_ts.
    half_life : in days; 0 for `last`.
    event_types : those that count; None means all.
    own : the facet whose half-lives, learned of each user, go before `half_life`; None: none do.
    """

    name: str
    what: Literal["weight", "events", "type_weight", "last"]
    half_life: float = 0.0
    event_types: tuple[str, ...] | None = None
    own: str | None = None


@dataclass(frozen=True)
class Part:
    """`weight` times a sum, which a measure has in `facet`; None means in every facet."""

    weight: float
    sum: Sum
    facet: str | None = None


# A measure's sum; or the numerator of its average, and its denominator.
Parts = tuple[tuple[Part, ...], ...]


def is_stored(measure: Measure) -> bool:
    """Whether the measure can be had from stored sums alone."""
    if measure.aggregate == "last":
        return True
    return bool(measure.half_lives) and measure.aggregate != "active_days"


def reach(measures: Sequence[Measure]) -> timedelta | None:
    """How far back events are needed for what isn't stored; None: all of them."""
    reaches = [measure.reach for measure in measures if not is_stored(measure)]
    known = [r for r in reaches if r is not None]
    return None if len(known) < len(reaches) else max(known, default=timedelta(0))


def stored_parts(
    measures: Sequence[Measure], facets: Sequence[str], tuned: Mapping[str, float]
) -> dict[str, Parts]:
    """What each stored measure is made of; equal sums share a column.

    Parameters
    ----------
    tuned : each facet that users' own half-lives were learned of, and that of those without one.
    """
    columns: dict[tuple[object, ...], Sum] = {}
    found = {}
    for measure in measures:
        if is_stored(measure):
            found[measure.name] = tuple(
                tuple(replace(p, sum=columns.setdefault(_column(p.sum), p.sum)) for p in parts)
                for parts in _parts(measure, facets, tuned)
            )
    return found


def _parts(measure: Measure, facets: Sequence[str], tuned: Mapping[str, float]) -> Parts:
    types = measure.event_types
    if measure.aggregate == "last":
        return ((Part(1.0, Sum(f"sum_{measure.name}", "last", 0.0, types)),),)
    number = count()
    return tuple(
        tuple(
            Part(
                weight,
                Sum(
                    f"sum_{measure.name}_{next(number)}",
                    what,
                    half_life,
                    types,
                    own=facet if facet in tuned else None,
                ),
                facet,
            )
            for weight, half_life, facet in _halvings(measure, facets, tuned)
        )
        for what in summed(measure)
    )


def _halvings(
    measure: Measure, facets: Sequence[str], tuned: Mapping[str, float]
) -> list[tuple[float, float, str | None]]:
    """Weight, half-life in days and facet (None: every one) of each exponential of a measure."""
    if isinstance(measure, Own) and tuned:
        until = days(measure.half_life)
        return [(1.0, tuned.get(facet, until), facet) for facet in measure.facets or facets]
    return [(weight, half_life, None) for weight, half_life in measure.half_lives]


def _column(s: Sum) -> tuple[object, ...]:
    return s.what, s.half_life, s.event_types, s.own


def distinct_sums(parts: Mapping[str, Parts]) -> tuple[Sum, ...]:
    """Each stored column once, in the order of the measures."""
    return tuple(
        dict.fromkeys(part.sum for own in parts.values() for mixed in own for part in mixed)
    )


def counts_later(measures: Sequence[Measure]) -> bool:
    """Whether a measure needs the number of the user's later events."""
    return any(isinstance(measure, EwmaEvents) for measure in measures)


def summed(measure: Measure) -> tuple[Literal["weight", "events", "type_weight"], ...]:
    """What a measure is made of: its sum, or the numerator and the denominator of its average."""
    if measure.aggregate == "count":
        return ("events",)
    return ("weight", "type_weight") if measure.aggregate == "average" else ("weight",)
