"""From events to measures: what is summed, what of it can be stored, and what comes of it.

A measure is *stored* where its sums can be carried on in time without the events: a sum of
exponentials is multiplied by 2^(-days / half_life), a latest instant stays. Every other measure
needs the events that its curve still reaches: those of the last `reach` days for windows and
lines, all of them for power, sigmoid, ewma_events and undying active days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.config import EventType
from ebb.interests.columns import age_days, curve_column, halved
from ebb.interests.curves import EwmaEvents
from ebb.interests.measures import Measure, Ratio

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

    def carried(self, age: Column) -> Column:
        """Its stored value, `age` days after it was true."""
        if self.what == "last":
            return F.col(self.name)
        return F.col(self.name) * halved(self.half_life, age)

    def of_event(self, age: Column, types: Mapping[str, EventType]) -> Column:
        """What one event of that age adds; null where its type doesn't count."""
        if self.what == "last":
            return of_types(self.event_types, F.col("event_ts"))
        amount = _amount(self.what, types)
        return of_types(self.event_types, amount * halved(self.half_life, age))

    def total(self, term: Column) -> Column:
        return F.max(term) if self.what == "last" else F.coalesce(F.sum(term), F.lit(0.0))


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
                    for what in _summed(measure)
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


def of_types(event_types: tuple[str, ...] | None, term: Column) -> Column:
    return term if event_types is None else F.when(F.col("event_type").isin(*event_types), term)


def direct(measure: Measure, types: Mapping[str, EventType], as_of: datetime) -> dict[str, Column]:
    """Aggregates of the events themselves for a measure that isn't stored, by column name.

    Rows without an event (stored sums) have no event_ts, and add nothing.
    """
    if measure.aggregate == "active_days":
        return {measure.name: _active_days(measure, as_of)}
    age = F.col("later") if isinstance(measure, EwmaEvents) else age_days(as_of, F.col("event_ts"))
    curve = curve_column(measure, age)
    names = [f"{measure.name}__{part}" for part in ("over", "under")]
    return {
        name: F.coalesce(
            F.sum(of_types(measure.event_types, _amount(what, types) * curve)), F.lit(0.0)
        )
        for name, what in zip(names, _summed(measure), strict=False)
    }


def measure_value(measure: Measure, sums: tuple[Sum, ...], as_of: datetime) -> Column:
    """A measure from its summed columns; empty in the facets that don't have it."""
    if measure.aggregate == "active_days":
        value = F.col(measure.name)
    elif measure.aggregate == "last":
        last = F.col(sums[0].name)
        value = F.when(_is_alive(measure, as_of, last), last)
    elif sums:
        halves = len(measure.half_lives)
        value = _quotient(_mixed(measure, sums[:halves]), _mixed(measure, sums[halves:]))
    else:
        under = F.col(f"{measure.name}__under") if measure.aggregate == "average" else None
        value = _quotient(F.col(f"{measure.name}__over"), under)
    if measure.facets is not None:
        value = F.when(F.col("facet").isin(*measure.facets), value)
    return value.alias(measure.name)


def ratio_value(ratio: Ratio) -> Column:
    return F.when(F.col(ratio.to) != 0, F.col(ratio.of) / F.col(ratio.to)).alias(ratio.name)


def flushed(value: Column) -> Column:
    """`value`, or 0 where next to nothing is left of it."""
    return F.when(F.abs(value) < F.lit(NOTHING), F.lit(0.0)).otherwise(value)


def _summed(measure: Measure) -> tuple[Literal["weight", "events", "type_weight"], ...]:
    if measure.aggregate == "count":
        return ("events",)
    return ("weight", "type_weight") if measure.aggregate == "average" else ("weight",)


def _amount(what: str, types: Mapping[str, EventType]) -> Column:
    if what == "weight":
        return F.col("weight")
    if what == "events":
        return F.lit(1.0)
    amount = F.lit(None).cast("double")
    for name, kind in types.items():
        amount = F.when(F.col("event_type") == name, F.lit(kind.weight)).otherwise(amount)
    return amount


def _mixed(measure: Measure, sums: tuple[Sum, ...]) -> Column | None:
    parts = [
        F.lit(weight) * F.col(s.name)
        for (weight, _), s in zip(measure.half_lives, sums, strict=False)
    ]
    return sum(parts[1:], parts[0]) if parts else None


def _quotient(over: Column | None, under: Column | None) -> Column:
    """The sum itself, or the average where there is a sum to divide it by."""
    if over is None:
        raise ValueError("a measure needs at least one sum")
    if under is None:
        return flushed(over)
    return F.when(F.abs(under) >= F.lit(NOTHING), over / under)


def _is_alive(measure: Measure, as_of: datetime, last: Column) -> Column:
    """Whether the curve isn't 0 yet at an event's age; only windows and lines ever are."""
    if measure.reach is None:
        return F.lit(True)
    return curve_column(measure, age_days(as_of, last)) > 0


def _active_days(measure: Measure, as_of: datetime) -> Column:
    """Sum over distinct UTC days of the curve at the age of the day's latest event."""
    instants = F.sort_array(
        F.collect_list(of_types(measure.event_types, F.col("event_ts"))), asc=False
    )

    def first_of_day(ts: Column, at: Column) -> Column:
        return (at == 0) | (F.to_date(F.get(instants, at - 1)) != F.to_date(ts))

    latest = F.filter(instants, first_of_day)
    term = F.transform(latest, lambda ts: curve_column(measure, age_days(as_of, ts)))
    return F.aggregate(term, F.lit(0.0), lambda total, part: total + part)
