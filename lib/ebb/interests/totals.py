"""Sums and measures by (user, facet, key) in numpy: `snapshot.py` and `sums.py` without Spark.

Sums are taken by (user, item) first, where stored ones join in, and then once for each key that
the item stands for. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ebb.config import EventType
from ebb.interests.coding import NEVER, Integers
from ebb.interests.curves import EwmaEvents
from ebb.interests.item_keys import Keys
from ebb.interests.measures import Measure
from ebb.interests.quotients import flushed, quotient
from ebb.interests.setup import Setup
from ebb.interests.stored import Part, Parts, Sum, is_stored, summed

Doubles = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
_MICROS_A_DAY = 86_400_000_000
# Where `NEVER` would overflow: out of reach of every curve that has one.
_LONG_AGO = NEVER // 2


@dataclass(frozen=True)
class Happened:
    """Counted events on items, one entry each.

    Attributes
    ----------
    user, item, kind : places of the user, the item and the event type; kind -1 for unknown ones.
    ts : microseconds since 1970.
    later : number of the user's later events; 0 unless a measure needs it.
    is_fresh : the stored sums lack it.
    """

    user: Integers
    item: Integers
    kind: Integers
    ts: Integers
    weight: Doubles
    later: Doubles
    is_fresh: Booleans


@dataclass(frozen=True)
class Carried:
    """Stored sums, one entry a (user, item), by name of the sum, valued at the as_of.

    `last_ts` and the sums that are an instant are in microseconds, `NEVER` for none.
    """

    user: Integers
    item: Integers
    n: Integers
    last_ts: Integers
    sums: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class OwnByUser:
    """Half-lives in days that were learned of users, by facet: (users,), NaN for none."""

    by_facet: Mapping[str, Doubles]

    def of(self, s: Sum, user: Integers) -> Doubles | float:
        """By which a sum of each of some users decays."""
        if s.own is None:
            return s.half_life
        own = self.by_facet[s.own][user]
        return np.where(np.isnan(own), s.half_life, own)


@dataclass(frozen=True)
class Totals:
    """One entry a (user, key) with an event that counts: n, last_ts, and the measures by name.

    Numbers that are empty are NaN, instants `NEVER`.
    """

    user: Integers
    key: Integers
    n: Integers
    last_ts: Integers
    measures: Mapping[str, npt.NDArray[Any]]


def totals(
    events: Happened,
    stored: Carried,
    keys: Keys,
    own: OwnByUser,
    setup: Setup,
    as_of: int,
) -> Totals:
    """Measures of every user and key at `as_of` (microseconds since 1970)."""
    groups = _Groups(events, stored, keys)
    terms = _Terms(events, setup.events.types, own, as_of)
    n = groups.sum(events.is_fresh.astype(np.float64), stored.n)
    last_ts = groups.latest(np.where(events.is_fresh, events.ts, NEVER), stored.last_ts)
    sums = {
        s.name: groups.latest(terms.instants(s), stored.sums[s.name])
        if s.what == "last"
        else groups.sum(terms.stored(s), stored.sums[s.name])
        for s in setup.sums
    }
    facet = keys.facet[groups.key]
    is_in = {name: facet == place for place, name in enumerate(setup.facets)}
    parts = setup.parts
    counts = n > 0
    measures = {}
    for measure in setup.interests.measures:
        if is_stored(measure):
            value = _of_sums(measure, parts[measure.name], sums, is_in, as_of)
        else:
            value = _of_events(measure, groups, terms, as_of)
        if measure.facets is not None:
            empty = NEVER if measure.aggregate == "last" else np.nan
            has = np.logical_or.reduce([is_in[name] for name in measure.facets])
            value = np.where(has, value, empty)
        measures[measure.name] = value[counts]
    return Totals(
        groups.user[counts],
        groups.key[counts],
        np.rint(n[counts]).astype(np.int64),
        last_ts[counts],
        measures,
    )


def age_days(as_of: int, ts: Integers) -> Doubles:
    """Age of instants seen from `as_of`, from microseconds to days."""
    days: Doubles = (as_of - ts) / _MICROS_A_DAY
    return days


class _Groups:
    """Which events and stored sums belong to which (user, key).

    Entries of (user, item) are numbered as *pairs*; each pair has one *link* for each key of its
    item, and each link belongs to one group.
    """

    def __init__(self, events: Happened, stored: Carried, keys: Keys) -> None:
        base = len(keys.start)
        code = np.concatenate([events.user * base + events.item, stored.user * base + stored.item])
        pair, codes = pd.factorize(code)
        self._event_pair, self._stored_pair = np.split(pair, [len(events.user)])
        self._pairs, self._ts = len(codes), events.ts
        user, item = np.divmod(codes, base)
        self._pair_of_link, key_at = _ranged(keys.start[item], keys.start[item + 1])
        self._first_link = np.searchsorted(self._pair_of_link, np.arange(len(codes) + 1))
        base = max(1, len(keys.facet))
        code = user[self._pair_of_link] * base + keys.key[key_at]
        self._group, groups = pd.factorize(code)
        self.user, self.key = np.divmod(groups, base)

    def sum(self, of_events: Doubles, of_stored: npt.NDArray[Any] | None = None) -> Doubles:
        """Sum over the groups of a term of each event and, of what is stored, each entry."""
        by_pair = _sum_by(self._event_pair, of_events, self._pairs)
        if of_stored is not None:
            by_pair += _sum_by(self._stored_pair, of_stored, self._pairs)
        return _sum_by(self._group, by_pair[self._pair_of_link], len(self.user))

    def latest(self, of_events: Integers, of_stored: Integers) -> Integers:
        by_pair = np.full(self._pairs, NEVER)
        np.maximum.at(by_pair, self._event_pair, of_events)
        np.maximum.at(by_pair, self._stored_pair, of_stored)
        found = np.full(len(self.user), NEVER)
        np.maximum.at(found, self._group, by_pair[self._pair_of_link])
        return found

    def days(self, counts: Booleans) -> tuple[Integers, Integers]:
        """Each distinct UTC day of a group's events that count: the group, its latest instant."""
        pair, ts = _latest_of_day(self._event_pair[counts], self._ts[counts])
        day, link = _ranged(self._first_link[pair], self._first_link[pair + 1])
        return _latest_of_day(self._group[link], ts[day])


class _Terms:
    """What each event adds to each sum."""

    def __init__(
        self, events: Happened, types: Mapping[str, EventType], own: OwnByUser, as_of: int
    ) -> None:
        self._events, self._names, self._own = events, list(types), own
        self._age = age_days(as_of, events.ts)
        # The last place is that of unknown types, which kind -1 finds.
        self._type_weight = np.array([*(kind.weight for kind in types.values()), 0.0])

    def counts(self, event_types: tuple[str, ...] | None) -> Booleans:
        if event_types is None:
            return np.ones(len(self._age), dtype=np.bool_)
        own: Booleans = np.isin(self._events.kind, [self._names.index(n) for n in event_types])
        return own

    def instants(self, s: Sum) -> Integers:
        return np.where(self.counts(s.event_types) & self._events.is_fresh, self._events.ts, NEVER)

    def stored(self, s: Sum) -> Doubles:
        curve = np.exp2(-self._age / self._own.of(s, self._events.user))
        own = self.counts(s.event_types) & self._events.is_fresh
        return np.where(own, self._amount(s.what) * curve, 0.0)

    def direct(self, measure: Measure) -> list[Doubles]:
        """The term of the sum or, for an average, of its numerator and of its denominator."""
        later = isinstance(measure, EwmaEvents)
        curve = measure.at(self._events.later if later else self._age)
        own = self.counts(measure.event_types)
        return [np.where(own, self._amount(what) * curve, 0.0) for what in summed(measure)]

    def _amount(self, what: str) -> Doubles | float:
        if what == "weight":
            return self._events.weight
        return 1.0 if what == "events" else self._type_weight[self._events.kind]


def _of_events(measure: Measure, groups: _Groups, terms: _Terms, as_of: int) -> Doubles:
    """A measure that isn't stored."""
    if measure.aggregate != "active_days":
        return quotient(*(groups.sum(term) for term in terms.direct(measure)))
    group, ts = groups.days(terms.counts(measure.event_types))
    return flushed(_sum_by(group, measure.at(age_days(as_of, ts)), len(groups.user)))


def _of_sums(
    measure: Measure,
    parts: Parts,
    sums: Mapping[str, npt.NDArray[Any]],
    is_in: Mapping[str, Booleans],
    as_of: int,
) -> npt.NDArray[Any]:
    """A stored measure from its sums.

    Parameters
    ----------
    is_in : facet to whether a group is one of its.
    """
    if measure.aggregate == "last":
        last = sums[parts[0][0].sum.name]
        if measure.reach is None:
            return last
        age = age_days(as_of, np.maximum(last, _LONG_AGO))
        return np.where(measure.at(age) > 0, last, NEVER)

    def term(part: Part) -> Doubles:
        value: Doubles = part.weight * sums[part.sum.name]
        return value if part.facet is None else np.where(is_in[part.facet], value, 0.0)

    return quotient(*(np.sum([term(part) for part in mixed], axis=0) for mixed in parts))


def _sum_by(group: Integers, terms: npt.NDArray[Any], groups: int) -> Doubles:
    found: Doubles = np.bincount(group, terms, groups).astype(np.float64, copy=False)
    return found


def _latest_of_day(group: Integers, ts: Integers) -> tuple[Integers, Integers]:
    """Group and latest instant of each distinct (group, UTC day)."""
    order = np.lexsort((ts, group))
    group, ts = group[order], ts[order]
    day = ts // _MICROS_A_DAY
    is_last = np.append((group[1:] != group[:-1]) | (day[1:] != day[:-1]), True)[: len(ts)]
    return group[is_last], ts[is_last]


def _ranged(start: Integers, stop: Integers) -> tuple[Integers, Integers]:
    """All (i, place) with start[i] <= place < stop[i], by i."""
    lengths = stop - start
    which = np.repeat(np.arange(len(start)), lengths)
    before = np.cumsum(lengths) - lengths
    return which, np.arange(len(which)) + (start - before)[which]
