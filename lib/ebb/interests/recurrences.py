"""Measures of many keys' events at many instants, in numpy.

Sums of exponentials follow the recurrence S_i = S_(i-1) * 2^(-gap / half_life) + w_i along a
key's events, whatever the number of instants. Every other curve is summed over the events that it
still reaches, as is one by learned half-lives, which are others at other instants. Nothing is ever
subtracted, and nothing is scaled up: a half-life of a minute over fifty years neither overflows nor
drifts. Never imports Spark.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cached_property

import numpy as np

from ebb.durations import days
from ebb.interests.curves import EwmaEvents, Own
from ebb.interests.links import (
    MICROS_A_DAY,
    Before,
    Booleans,
    Doubles,
    Integers,
    LaterEvents,
    Links,
    Rows,
)
from ebb.interests.measures import Measure
from ebb.interests.quotients import quotient


class Measured:
    """One measure of all groups, at whatever instants.

    Parameters
    ----------
    links : those of the event types that count.
    """

    def __init__(self, measure: Measure, links: Links) -> None:
        self.measure, self.links = measure, links
        self._by_event = isinstance(measure, EwmaEvents)
        self._by_day = measure.aggregate == "active_days"

    def at(self, before: Before, later: LaterEvents) -> tuple[Doubles, Booleans]:
        """Its value at each row of `before`, and where it has one.

        Instants are in microseconds since 1970.
        """
        if self.measure.aggregate == "last":
            return self._last(before)
        sums = [np.zeros(len(before.stop)) for _ in self._terms]
        quick = np.zeros(len(before.stop), dtype=np.bool_)
        if self._half_lives and self._own_half_life(before.rows) is None:
            quick = ~before.is_odd
            if self._by_event:
                quick &= later.all_count[before.rows.entity]
            self._follow(np.flatnonzero(quick & (before.stop > before.start)), before, later, sums)
        if not quick.all():
            self._add_up(np.flatnonzero(~quick), before, later, sums)
        found = quotient(*sums)
        known = ~np.isnan(found)
        return np.where(known, found, 0.0), known

    def _last(self, before: Before) -> tuple[Doubles, Booleans]:
        _, last = before.counted
        known = last >= 0
        ts = np.where(known, self.links.ts[last], 0) if len(self.links.ts) else np.zeros(len(last))
        if self.measure.reach is not None:
            known &= self.measure.at((before.rows.t - ts) / MICROS_A_DAY) > 0
        return ts.astype(np.float64), known

    def _follow(
        self, which: Integers, before: Before, later: LaterEvents, sums: list[Doubles]
    ) -> None:
        """Sums of exponentials: those just after the last event, decayed from there on."""
        last = before.stop[which] - 1
        age = self._age(before.rows, which, last, later)
        for weight, half_life, totals in self._running:
            decay = weight * np.exp2(-age / half_life)
            for values, total in zip(sums, totals, strict=True):
                now = total[last]
                if self._by_day:  # nothing later on its day is known yet
                    now += 1.0 - self.links.closes_day[last]
                values[which] += now * decay

    def _add_up(
        self, which: Integers, before: Before, later: LaterEvents, sums: list[Doubles]
    ) -> None:
        """Sums over every event that the curve reaches."""
        rows, links, reach = before.rows, self.links, self.measure.reach
        half_life = self._own_half_life(rows)
        start = before.start[which]
        if reach is not None:
            oldest = rows.t[which] - reach // timedelta(microseconds=1)
            start = np.maximum(start, links.before(rows.group[which], oldest))
        for row, link in before.counting(which, start):
            if len(row) == 0:
                continue
            age = self._age(rows, row, link, later)
            decay = self.measure.at(age) if half_life is None else np.exp2(-age / half_life[row])
            if self._by_day:
                day = links.ts[link] // MICROS_A_DAY
                decay[:-1] *= (row[1:] != row[:-1]) | (day[1:] != day[:-1])
            first = int(row[0])
            for values, term in zip(sums, self._terms, strict=True):
                found = np.bincount(row - first, term[link] * decay)
                values[first : first + len(found)] += found

    def _own_half_life(self, rows: Rows) -> Doubles | None:
        """(rows,) days; None where the curve has the same for everybody."""
        if rows.own is None or not isinstance(self.measure, Own):
            return None
        return np.where(np.isnan(rows.own), days(self.measure.half_life), rows.own)

    def _age(self, rows: Rows, row: Integers, link: Integers, later: LaterEvents) -> Doubles:
        """In the unit of the curve: days, or events."""
        if self._by_event:
            return later.of(rows.entity[row], self.links.event[link])
        return np.asarray((rows.t[row] - self.links.ts[link]) / MICROS_A_DAY)

    @cached_property
    def _terms(self) -> list[Doubles]:
        """What an event adds at age 0, to each of the sums."""
        match self.measure.aggregate:
            case "sum":
                return [self.links.weight]
            case "average":
                return [self.links.weight, self.links.type_weight]
            case _:
                return [np.ones(len(self.links.ts))]

    @property
    def _half_lives(self) -> tuple[tuple[float, float], ...]:
        if isinstance(self.measure, EwmaEvents):
            return ((self.measure.rate, math.log(2) / -math.log1p(-self.measure.rate)),)
        return self.measure.half_lives

    @cached_property
    def _running(self) -> list[tuple[float, float, list[Doubles]]]:
        """(weight, half-life, each sum just after each link) of each exponential."""
        links = self.links
        scale = 1.0 if self._by_event else float(MICROS_A_DAY)
        gap = np.diff(links.event if self._by_event else links.ts, prepend=0) / scale
        found = []
        for weight, half_life in self._half_lives:
            decay = np.exp2(-np.where(links.is_first, 0.0, gap) / half_life)
            decay[links.is_first] = 0.0
            terms = [links.closes_day] if self._by_day else self._terms
            found.append((weight, half_life, [running(term, decay) for term in terms]))
        return found


def running(terms: Doubles, decay: Doubles) -> Doubles:
    """S_i = S_(i-1) * decay_i + terms_i for all i, in log2(longest group) passes over all.

    Parameters
    ----------
    terms : (n,).
    decay : (n,) 0 to 1; 0 at the first of each group.

    Notes
    -----
    After k passes S_i holds the last 2^k terms, and decay_i the product of as many decays
    (Hillis and Steele 1986). Products of numbers up to 1 can't overflow.
    """
    total, decay = terms.copy(), decay.copy()
    firsts = np.flatnonzero(decay == 0.0)
    longest = int(np.diff(firsts, append=len(decay)).max(initial=0))
    reached = 1
    while reached < longest:
        total[reached:] += decay[reached:] * total[:-reached]
        decay[reached:] *= decay[:-reached]
        reached *= 2
    return total
