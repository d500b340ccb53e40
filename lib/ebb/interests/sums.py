"""From events to measures as Spark columns: what is summed, and what comes of the sums.

Which of it can be stored is said in `stored.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.config import EventType
from ebb.interests.columns import age_days, curve_column, halved
from ebb.interests.curves import EwmaEvents
from ebb.interests.measures import Measure, Ratio
from ebb.interests.stored import NOTHING, Part, Parts, Sum, summed


def carried(s: Sum, age: Column) -> Column:
    """Its stored value, `age` days after it was true."""
    return F.col(s.name) if s.what == "last" else F.col(s.name) * halved(_half_life(s), age)


def of_event(s: Sum, age: Column, types: Mapping[str, EventType]) -> Column:
    """What one event of that age adds; null where its type doesn't count."""
    if s.what == "last":
        return of_types(s.event_types, F.col("event_ts"))
    return of_types(s.event_types, _amount(s.what, types) * halved(_half_life(s), age))


def total(s: Sum, term: Column) -> Column:
    return F.max(term) if s.what == "last" else F.coalesce(F.sum(term), F.lit(0.0))


def of_types(event_types: tuple[str, ...] | None, term: Column) -> Column:
    return term if event_types is None else F.when(F.col("event_type").isin(*event_types), term)


def direct(measure: Measure, types: Mapping[str, EventType], as_of: datetime) -> dict[str, Column]:
    """Aggregates of the events themselves for a measure that isn't stored, by column name: sums,
    or for active days the instants.

    Rows without an event (stored sums) have no event_ts, and add nothing.
    """
    if measure.aggregate == "active_days":  # days of several items can be the same
        return {measure.name: F.collect_list(of_types(measure.event_types, F.col("event_ts")))}
    age = F.col("later") if isinstance(measure, EwmaEvents) else age_days(as_of, F.col("event_ts"))
    curve = curve_column(measure, age)
    names = [f"{measure.name}__{part}" for part in ("over", "under")]
    return {
        name: F.coalesce(
            F.sum(of_types(measure.event_types, _amount(what, types) * curve)), F.lit(0.0)
        )
        for name, what in zip(names, summed(measure), strict=False)
    }


def measure_value(measure: Measure, parts: Parts, as_of: datetime) -> Column:
    """A measure from its summed columns; empty in the facets that don't have it.

    Parameters
    ----------
    parts : what it is made of where it is stored, else none.
    """
    if measure.aggregate == "active_days":
        value = flushed(_active_days(measure, as_of))
    elif measure.aggregate == "last":
        last = F.col(parts[0][0].sum.name)
        value = F.when(_is_alive(measure, as_of, last), last)
    elif parts:
        value = _quotient(*map(_mixed, parts))
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


def _amount(what: str, types: Mapping[str, EventType]) -> Column:
    if what == "weight":
        return F.col("weight")
    if what == "events":
        return F.lit(1.0)
    amount = F.lit(None).cast("double")
    for name, kind in types.items():
        amount = F.when(F.col("event_type") == name, F.lit(kind.weight)).otherwise(amount)
    return amount


def _half_life(s: Sum) -> float | Column:
    """Days; the user's own are in the struct `own`, by facet."""
    if s.own is None:
        return s.half_life
    return F.coalesce(F.col("own").getField(s.own), F.lit(s.half_life))


def _mixed(parts: tuple[Part, ...]) -> Column:
    def term(part: Part) -> Column:
        value = F.lit(part.weight) * F.col(part.sum.name)
        if part.facet is None:
            return value
        return F.when(F.col("facet") == part.facet, value).otherwise(F.lit(0.0))

    first, *others = map(term, parts)
    return sum(others, first)


def _quotient(over: Column, under: Column | None = None) -> Column:
    """The sum itself, or the average where there is a sum to divide it by."""
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
    instants = F.sort_array(F.col(measure.name), asc=False)

    def first_of_day(ts: Column, at: Column) -> Column:
        return (at == 0) | (F.to_date(F.get(instants, at - 1)) != F.to_date(ts))

    latest = F.filter(instants, first_of_day)
    term = F.transform(latest, lambda ts: curve_column(measure, age_days(as_of, ts)))
    return F.aggregate(term, F.lit(0.0), lambda total, part: total + part)
