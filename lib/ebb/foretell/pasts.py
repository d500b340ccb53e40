"""What a user's past with a key is like at an instant, in numbers. Pure numpy; never imports Spark.

Time is counted in periods back from the instant. What lies before it makes the figures, what lies
in the period after it the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ebb.forgetting.visits import latest

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

# Of the decayed sums, in periods; infinity is the sum itself.
HALF_LIVES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, np.inf)
# Of a user's events before an instant so many, the latest, are looked at: what a robot costs.
MOST_EVENTS = 20_000
# What is added to both sums of a share, so that one that has faded has a logarithm.
_FAINT = 1e-3
CHANNELS = 3
FEATURES = 3 * len(HALF_LIVES) + 6


@dataclass(frozen=True)
class Events:
    """Events of some groups, a group being a user at an instant; by group and key, in any order
    within.

    Attributes
    ----------
    groups : how many there are.
    group : (events,) number of the group, ascending.
    key : (events,) number of the (group, key), ascending.
    age : (events,) periods before the instant; 0 and below is the period after it.
    weight : (events,) above 0.
    """

    groups: int
    group: Integers
    key: Integers
    age: Doubles
    weight: Doubles

    def where(self, kept: Booleans) -> Events:
        return Events(
            self.groups, self.group[kept], self.key[kept], self.age[kept], self.weight[kept]
        )


@dataclass(frozen=True)
class Pasts:
    """A row each key that a group had met, by group and key.

    Attributes
    ----------
    group, key : (rows,) numbers as `Events` has them.
    features : (rows, FEATURES); see `pasts_of`.
    steps : (rows, steps, CHANNELS) of the latest periods, the oldest first: log(1 + weight on the
        key), log(1 + weight on all keys), and whether the user was there yet.
    label : (rows,) weight on the key in the period after the instant.
    """

    group: Integers
    key: Integers
    features: Singles
    steps: Singles
    label: Doubles

    def __len__(self) -> int:
        return len(self.group)

    def where(self, kept: Booleans | Integers) -> Pasts:
        return Pasts(*(getattr(self, field.name)[kept] for field in fields(self)))

    @cached_property
    def starts(self) -> Integers:
        """(groups + 1,) row at which each group that has rows begins, and the number of rows."""
        return np.append(np.flatnonzero(np.diff(self.group, prepend=-1)), len(self))

    @property
    def groups(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def numbered(self) -> Integers:
        """(rows,) of each the number of its group among those that have rows."""
        return np.repeat(np.arange(self.groups), np.diff(self.starts))

    @staticmethod
    def joined(parts: Sequence[Pasts]) -> Pasts:
        """One after the other, their groups numbered on."""
        shifts = np.cumsum([0, *(int(part.group[-1]) + 1 if len(part) else 0 for part in parts)])
        groups = [part.group + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
        names = [field.name for field in fields(Pasts) if field.name != "group"]
        others = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return Pasts(group=np.concatenate(groups), **others)


def pasts_of(events: Events, steps: int) -> Pasts:
    """Describe what each group had met.

    Features, with x_h = Σ weight · 2^(-age / h) over the key's events and X_h the same over all of
    the user's, for each h of `HALF_LIVES`: log(1 + x_h); log((x_h + ε) / (X_h + ε));
    log(1 + X_h); then of the ages in periods of the last and first event on the key, and of the
    user's, log(1 + age); log(1 + number of periods with the key); log(number of keys).

    Parameters
    ----------
    steps : periods of `Pasts.steps`.
    """
    before = events.age > 0
    known = events.where(before)
    known = known.where(latest(known.group, -known.age, MOST_EVENTS))
    opens = np.flatnonzero(np.diff(known.key, prepend=-1))
    group, key = known.group[opens], known.key[opens]
    user_opens = np.flatnonzero(np.diff(group, prepend=-1))
    user = np.cumsum(np.diff(group, prepend=-1) != 0) - 1

    decayed = _sums(known.weight[:, None] * 2.0 ** (-known.age[:, None] / HALF_LIVES), opens)
    whole = _sums(decayed, user_opens)[user]
    last, first = _least(known.age, opens), -_least(-known.age, opens)
    user_last, user_first = _least(last, user_opens)[user], -_least(-first, user_opens)[user]
    periods, own, everything = _by_period(known, opens, user_opens, user, steps)
    keys = np.bincount(user, minlength=len(user_opens))[user]
    features = np.column_stack(
        [
            np.log1p(decayed),
            np.log(decayed + _FAINT) - np.log(whole + _FAINT),
            np.log1p(whole),
            np.log1p(np.column_stack([last, first, user_last, user_first, periods])),
            np.log(keys),
        ]
    )
    was_there = np.arange(steps, 0, -1) <= np.floor(user_first)[:, None] + 1
    read = np.stack([np.log1p(own), np.log1p(everything), was_there], axis=2)
    label = _labels(events.where(~before), key)
    return Pasts(group, key, features.astype(np.float32), read.astype(np.float32), label)


def _by_period(
    known: Events, opens: Integers, user_opens: Integers, user: Integers, steps: int
) -> tuple[Integers, Doubles, Doubles]:
    """Periods with the key (rows,); weight on the key and on all keys (rows, steps)."""
    row = np.cumsum(np.diff(known.key, prepend=-1) != 0) - 1
    back = np.ceil(known.age).astype(np.int64) - 1
    furthest = int(back.max(initial=0)) + 1
    pairs = np.unique(row * furthest + back)
    periods = np.bincount(pairs // furthest, minlength=len(opens)).astype(np.int64)
    recent = back < steps
    place = row[recent] * steps + (steps - 1 - back[recent])
    own = _by_number(place, known.weight[recent], len(opens) * steps).reshape(len(opens), steps)
    return periods, own, _sums(own, user_opens)[user]


def _labels(after: Events, key: Integers) -> Doubles:
    """(rows,) weight after the instant on each of some keys."""
    size = int(max(key.max(initial=-1), after.key.max(initial=-1))) + 1
    return _by_number(after.key, after.weight, size)[key]


def _by_number(numbers: Integers, values: Doubles, size: int) -> Doubles:
    """(size,) sum of the values of each number."""
    found: Doubles = np.bincount(numbers, values, size).astype(np.float64)
    return found


def _sums(values: Doubles, opens: Integers) -> Doubles:
    return np.add.reduceat(values, opens, axis=0) if len(opens) else values


def _least(values: Doubles, opens: Integers) -> Doubles:
    return np.minimum.reduceat(values, opens) if len(opens) else values
