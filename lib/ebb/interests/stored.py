"""What of the measures can be stored: sums that are carried on in time without the events.

A measure is *stored* where its sums can be carried on in time without the events: a sum of
exponentials is multiplied by 2^(-days / half_life), a latest instant stays. Every other measure
needs the events that its curve still reaches: those of the last `reach` days for windows and
lines, all of them for power, sigmoid, ewma_events and undying active days.

Pure Python; never imports Spark. The sums as Spark columns are in `sums.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ebb.interests.curves import EwmaEvents
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
    """

    name: str
    what: Literal["weight", "events", "type_weight", "last"]
    half_life: float = 0.0
    event_types: tuple[str, ...] | None = None


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


def stored_sums(measures: Sequence[Measure]) -> dict[str, tuple[Sum, ...]]:
    """The sums of each stored measure, in the order of `half_lives`; equal sums share a column.

    An average has those of its numerator, then those of its denominator.
    """
    columns: dict[tuple[object, ...], Sum] = {}
    found = {}
    for measure in measures:
        if not is_stored(measure):
            continue
        if measure.aggregate == "last":
            wanted = [Sum(f"sum_{measure.name}", "last", 0.0, measure.event_types)]
        else:
            wanted = [
                Sum(f"sum_{measure.name}_{number}", what, half_life, measure.event_types)
                for number, (what, half_life) in enumerate(
                    (what, half_life)
                    for what in summed(measure)
                    for _, half_life in measure.half_lives
                )
            ]
        keyed = [((s.what, s.half_life, s.event_types), s) for s in wanted]
        found[measure.name] = tuple(columns.setdefault(key, s) for key, s in keyed)
    return found


def distinct_sums(measures: Sequence[Measure]) -> tuple[Sum, ...]:
    """Each stored column once, in the order of the measures."""
    return tuple(dict.fromkeys(s for sums in stored_sums(measures).values() for s in sums))


def counts_later(measures: Sequence[Measure]) -> bool:
    """Whether a measure needs the number of the user's later events."""
    return any(isinstance(measure, EwmaEvents) for measure in measures)


def summed(measure: Measure) -> tuple[Literal["weight", "events", "type_weight"], ...]:
    """What a measure is made of: its sum, or the numerator and the denominator of its average."""
    if measure.aggregate == "count":
        return ("events",)
    return ("weight", "type_weight") if measure.aggregate == "average" else ("weight",)
