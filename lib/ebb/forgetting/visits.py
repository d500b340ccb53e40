"""Visits: a user's events on a key, bursts put together, in days relative to as_of.

An event that follows another of the same user and key within the session gap belongs to the same
visit: turning a page, buying ten of a thing line by line, tagging one song with three words is one
occasion, and no return. Pure numpy; never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Visits:
    """Visits of some users, ordered by user, key and time.

    Attributes
    ----------
    users : how many there are, those without a visit included.
    user : (visits,) number of the user, ascending.
    key : (visits,) number of the (user, key), ascending.
    start, end : (visits,) of the first and of the last event, days since as_of (below 0 before).
    """

    users: int
    user: Integers
    key: Integers
    start: Doubles
    end: Doubles

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def rank(self) -> Integers:
        """(visits,) how many visits of the same key come before."""
        place = np.arange(len(self))
        return place - np.maximum.accumulate(np.where(self.begins, place, 0))

    @cached_property
    def begins(self) -> Booleans:
        """(visits,) whether a visit is the first of its key."""
        return np.asarray(np.diff(self.key, prepend=-1) != 0)

    @cached_property
    def next_start(self) -> Doubles:
        """(visits,) when the user came back to the key; infinite where it hasn't happened."""
        following = np.full(len(self), np.inf)
        again = ~self.begins[1:]
        following[:-1][again] = self.start[1:][again]
        return following


def visits_of(users: int, user: Integers, key: Integers, ts: Doubles, gap: float) -> Visits:
    """Put events together to visits.

    Parameters
    ----------
    user, key, ts : (events,) ordered by user, key and ts; keys are numbered across users.
    gap : days; an event later than this after the one before begins another visit.
    """
    opens = np.ones(len(ts), dtype=np.bool_)
    opens[1:] = (key[1:] != key[:-1]) | (ts[1:] - ts[:-1] > gap)
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(ts)) - 1 if len(ts) else first
    return Visits(users, user[first], key[first], ts[first], ts[last])


def latest(user: Integers, ts: Doubles, limit: int) -> Booleans:
    """(events,) whether an event is among the `limit` latest of its user; ties all count."""
    newest_first = np.lexsort((-ts, user))
    starts = np.searchsorted(user, user[newest_first])
    place = np.empty(len(user), dtype=np.int64)
    place[newest_first] = np.arange(len(user)) - starts
    kept: Booleans = place < limit
    return kept
