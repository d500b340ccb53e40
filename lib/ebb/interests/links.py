"""Events linked with the keys that they count for, and what of them comes before an instant.

Everything is an array over many users at once, searched and never looped over. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).max)
MICROS_A_DAY = 86_400_000_000
_PAIRS = 1 << 21


@dataclass(frozen=True)
class Log:
    """Events of some users, ordered by user, then by (ts, event_id).

    Attributes
    ----------
    user : (events,) number of the user, ascending.
    ts, born, dies : (events,) microseconds since 1970; the event counts at t where born < t <= dies
        (`lives.py`).
    """

    user: Integers
    ts: Integers
    born: Integers
    dies: Integers

    @cached_property
    def clock(self) -> Clock:
        return Clock(self.ts)

    @cached_property
    def places(self) -> Integers:
        return self.clock.places(self.user, self.ts)

    def before(self, user: Integers, t: Integers) -> Integers:
        """Place just behind the last event before t of each user of `user`."""
        found: Integers = np.searchsorted(self.places, self.clock.places(user, t))
        return found

    @cached_property
    def odd(self) -> Integers:
        """Places of the events that don't count at every instant after their own."""
        return np.flatnonzero((self.born > self.ts) | (self.dies < NEVER))


class Clock:
    """Makes one number of (group, instant), so that one search finds a place among groups."""

    def __init__(self, instants: Integers) -> None:
        ordered = np.sort(instants)  # np.unique hashes, which takes many times as long
        self._instants = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]

    def places(self, group: Integers, t: Integers) -> Integers:
        """Ordered as (group, t), as far as the instants tell apart what lies between them."""
        ticks = np.searchsorted(self._instants, t)
        return np.asarray(group * (len(self._instants) + 1) + ticks, dtype=np.int64)


@dataclass(frozen=True)
class Links:
    """Events on the keys that they count for, ordered by group, then as the log is.

    A group is a user's key. As an item changes categories, an event is linked with several, each
    for a time of its own.

    Attributes
    ----------
    group : (links,) number of the group, ascending.
    event : (links,) place of the event in the log.
    ts, born, dies : (links,) microseconds since 1970; it counts at t where born < t <= dies.
    kind : (links,) number of the event type.
    weight, type_weight : (links,) a * v and a.
    """

    group: Integers
    event: Integers
    ts: Integers
    born: Integers
    dies: Integers
    kind: Integers
    weight: Doubles
    type_weight: Doubles

    def where(self, kept: Booleans) -> Links:
        return Links(*(getattr(self, field.name)[kept] for field in fields(self)))

    @cached_property
    def _clock(self) -> Clock:
        return Clock(self.ts)

    @cached_property
    def _places(self) -> Integers:
        return self._clock.places(self.group, self.ts)

    def before(self, group: Integers, t: Integers) -> Integers:
        """Place just behind the last link before t of each group; 0 for the group -1."""
        found: Integers = np.searchsorted(self._places, self._clock.places(group, t))
        return found

    def start(self, group: Integers) -> Integers:
        """Place of the first link of each group, or where it would be."""
        return self._starts[np.minimum(group + 1, len(self._starts) - 1)]

    def is_odd(self, group: Integers) -> Booleans:
        """Whether a group has a link that doesn't count at every instant after its event's."""
        none: Booleans = np.zeros(len(group), dtype=np.bool_)
        return np.asarray(np.isin(group, self._odd)) if len(self._odd) else none

    @cached_property
    def _odd(self) -> Integers:
        return np.unique(self.group[(self.born > self.ts) | (self.dies < NEVER)])

    @cached_property
    def _starts(self) -> Integers:
        """Of the groups -1, 0, 1, ... and the one after the last."""
        last = int(self.group[-1]) if len(self.group) else -1
        return np.searchsorted(self.group, np.arange(-1, last + 2))

    @cached_property
    def is_first(self) -> Booleans:
        """Whether a link is the first of its group."""
        return np.asarray(np.diff(self.group, prepend=-1) != 0)

    @cached_property
    def closes_day(self) -> Doubles:
        """1 where the group's next link lies on another UTC day, or there is none; else 0."""
        day = self.ts // MICROS_A_DAY
        closes = np.ones(len(day))
        closes[:-1] = (day[1:] != day[:-1]) | self.is_first[1:]
        return closes


@dataclass(frozen=True)
class Rows:
    """(group, instant) to be told about.

    Attributes
    ----------
    group : (rows,) number of the group, -1 where there is none.
    t : (rows,) the instant, microseconds since 1970.
    entity : (rows,) number of the (user, instant) it belongs to, ascending.
    own : (rows,) the user's own half-life in the group's facet at the instant, days; NaN where none
        was learned. None where no measure asks for it.
    """

    group: Integers
    t: Integers
    entity: Integers
    own: Doubles | None = None


class Before:
    """The links that come before each row, from the place `start` up to before `stop`."""

    def __init__(self, links: Links, rows: Rows) -> None:
        self.links, self.rows = links, rows
        self.start = links.start(rows.group)
        self.stop = links.before(rows.group, rows.t)
        self.is_odd = links.is_odd(rows.group)

    @cached_property
    def counted(self) -> tuple[Integers, Integers]:
        """How many links count at each row, and the place of the latest of them (-1 if none)."""
        n = self.stop - self.start
        last = np.where(n > 0, self.stop - 1, -1)
        odd = np.flatnonzero(self.is_odd)
        n[odd], last[odd] = 0, -1
        for row, link in self.counting(odd, self.start[odd]):
            n += np.bincount(row, minlength=len(n))
            last[row] = link  # of equal rows the last assignment stays
        return n, last

    def counting(self, which: Integers, start: Integers) -> Iterator[tuple[Integers, Integers]]:
        """(row, link) of the links from `start` on that count, for each row of `which`."""
        for place, link in ragged(start, self.stop[which]):
            row = which[place]
            t = self.rows.t[row]
            counts = (self.links.born[link] < t) & (t <= self.links.dies[link])
            yield row[counts], link[counts]


class LaterEvents:
    """How many of a user's events that count at an instant come after a given one.

    Parameters
    ----------
    user, t : (entities,) whose events, and at which instant.
    """

    def __init__(self, log: Log, user: Integers, t: Integers) -> None:
        self._log, self._user, self._t = log, user, t
        self._base = len(log.ts) + 1

    def of(self, entity: Integers, event: Integers) -> Doubles:
        gone = np.searchsorted(self._gone, (entity + 1) * self._base) - np.searchsorted(
            self._gone, entity * self._base + event, side="right"
        )
        return (self._end[entity] - 1 - event - gone).astype(np.float64)

    @cached_property
    def all_count(self) -> Booleans:
        """(entities,) whether every event before the instant counts, and always has."""
        return np.equal(*self._odd)

    @cached_property
    def _end(self) -> Integers:
        return self._log.before(self._user, self._t)

    @cached_property
    def _odd(self) -> tuple[Integers, Integers]:
        """From where to where in `log.odd` each entity's own events before its instant lie."""
        start = np.searchsorted(self._log.user, self._user)
        return np.searchsorted(self._log.odd, start), np.searchsorted(self._log.odd, self._end)

    @cached_property
    def _gone(self) -> Integers:
        """(entity, event) of the events that don't count at the instant, as one number each."""
        gone = [np.zeros(0, dtype=np.int64)]
        for entity, place in ragged(*self._odd):
            event, t = self._log.odd[place], self._t[entity]
            counts = (self._log.born[event] < t) & (t <= self._log.dies[event])
            gone.append((entity * self._base + event)[~counts])
        return np.concatenate(gone)


def ragged(
    start: Integers, stop: Integers, at_once: int = _PAIRS
) -> Iterator[tuple[Integers, Integers]]:
    """All (row, place) with start[row] <= place < stop[row], ordered, some `at_once` at a time.

    A single row is never split.
    """
    lengths = np.maximum(stop - start, 0)
    ends = np.cumsum(lengths)
    low = 0
    while low < len(lengths):
        room = (ends[low - 1] if low else 0) + at_once
        high = max(low + 1, int(np.searchsorted(ends, room, side="right")))
        own = lengths[low:high]
        if own.any():
            before = np.cumsum(own) - own
            place = np.arange(own.sum()) + np.repeat(start[low:high] - before, own)
            yield np.repeat(np.arange(low, high), own), place
        low = high
