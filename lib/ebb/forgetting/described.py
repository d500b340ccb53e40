"""What a user's past is like, for the mean of a prior: numbers that go with how fast one forgets.

Pure numpy; never imports Spark.
"""

from __future__ import annotations

import numpy as np

from ebb.forgetting.intensity import by_user
from ebb.forgetting.visits import Doubles, Integers, Visits

# log of returns, visits, keys, active days, tenure, recency and median gap in days; the part of
# visits that are returns; the entropy of visits over keys in nats.
FEATURES = (
    "log_returns", "log_visits", "log_keys", "log_active_days", "log_tenure", "log_recency",
    "log_median_gap", "repeat_share", "entropy",
)  # fmt: skip
_AN_HOUR = 1.0 / 24.0
_SEGMENTS = (10, 50, 250)


def describe(visits: Visits, until: float) -> Doubles:
    """(users, features) of `FEATURES`, from visits before `until`; zeros for users without any."""
    users = visits.users
    n, keys = _count(visits.user, users), _count(visits.user[visits.begins], users)
    order = np.lexsort((visits.start, visits.user))
    user, start = visits.user[order], visits.start[order]
    same = user[1:] == user[:-1]
    opens = np.append(True, ~same | (np.floor(start[1:]) != np.floor(start[:-1])))[: len(user)]
    first, last = np.full(users, until), np.full(users, -np.inf)
    np.minimum.at(first, visits.user, visits.start)
    np.maximum.at(last, visits.user, visits.end)
    tenure = until - first
    there = n > 0
    gaps = np.where(there, tenure, 1.0)
    medians = _medians(user[1:][same], np.diff(start)[same], users)
    gaps = np.where(np.isnan(medians), gaps, medians)
    counts = np.maximum(np.stack([n - keys + 1, n, keys, _count(user[opens], users)]), 1)
    ages = np.stack([tenure, until - np.where(there, last, until), gaps])
    found = np.column_stack(
        [
            *np.log(counts),
            *np.log(ages + _AN_HOUR),
            1.0 - keys / np.maximum(n, 1),
            _entropy(visits, n),
        ]
    )
    return np.where(there[:, None], found, 0.0)


def segments(described: Doubles) -> Doubles:
    """(users, segments) 1 for the activity segment that a user is in: by visits."""
    visits = np.exp(described[:, FEATURES.index("log_visits")])
    # Half a visit of slack: e^log(10) may come out a little below 10.
    place = np.searchsorted(np.array(_SEGMENTS) - 0.5, visits, side="right")
    return np.eye(len(_SEGMENTS) + 1)[place]


def _count(user: Integers, users: int) -> Integers:
    return np.bincount(user, minlength=users)


def _medians(user: Integers, gaps: Doubles, users: int) -> Doubles:
    """(users,) the median gap between visits to whatever key; NaN without one."""
    order = np.lexsort((gaps, user))
    ordered, n = gaps[order], _count(user, users)
    found = np.full(users, np.nan)
    some = n > 0
    start = (np.cumsum(n) - n)[some]
    low, high = start + (n[some] - 1) // 2, start + n[some] // 2
    found[some] = (ordered[low] + ordered[high]) / 2.0
    return found


def _entropy(visits: Visits, n: Integers) -> Doubles:
    """(users,) -sum p log p of the user's visits over keys."""
    starts = np.flatnonzero(visits.begins)
    sizes = np.diff(np.append(starts, len(visits)))
    owner = visits.user[starts]
    p = sizes / n[owner]
    return by_user(-p * np.log(p), owner, visits.users)
