"""The intensity of coming back, its integral, and what a user's returns say of it.

A user's rate of coming back to a key at t, in returns a day, is

    rho * [ s * k_h * sum of 2^(-(t - t_i) / h) over the key's visits i before t + (1 - s) / T ]

with k_h = ln 2 / (h (1 - 2^(-T / h))) and T a span in days: what one visit brings about within T
is rho * s, and the floor brings rho * (1 - s). It is a Hawkes process (Hawkes 1971) that begins
with a key's first visit, which is conditioned upon. Within a visit and the session gap after it
nobody can come back, by the definition of a visit: that time isn't observed, and neither is
anything from as_of on (right-censoring). Pure numpy; never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebb.forgetting.visits import Doubles, Integers, Visits


@dataclass(frozen=True)
class Returns:
    """What happened in a stretch of time, under each of g half-lives.

    Attributes
    ----------
    user : (returns,) whose return it is.
    excited : (returns, g) the sum of 2^(-age / h) at the return.
    count : (users,) returns.
    exposure : (users, g) integral of the sum over all observed time of the user's keys, days.
    days : (users,) that observed time, key by key.
    """

    user: Integers
    excited: Doubles
    count: Integers
    exposure: Doubles
    days: Doubles


def returns_in(
    visits: Visits, half_lives: Doubles, gap: float, since: float, until: float
) -> Returns:
    """Take returns and observed time within [since, until), in days since as_of.

    Parameters
    ----------
    half_lives : (g,), or (users, g) where each user has their own, days.
    gap : the session gap that visits were made with, days.
    """
    own = half_lives[visits.user] if half_lives.ndim == 2 else half_lives[None, :]
    excited = after_visits(visits, own)
    at = visits.next_start
    begin = np.maximum(visits.end + gap, since)
    end = np.maximum(np.minimum(at, until), begin)
    decayed = excited * np.exp2((visits.end - begin)[:, None] / own)
    area = decayed * (own / np.log(2.0)) * -np.expm1(np.log(2.0) * (begin - end)[:, None] / own)
    back = np.flatnonzero((at >= since) & (at < until))
    own_back = own[back] if len(own) > 1 else own
    return Returns(
        user=visits.user[back],
        excited=excited[back] * np.exp2((visits.end[back] - at[back])[:, None] / own_back),
        count=np.bincount(visits.user[back], minlength=visits.users),
        exposure=by_user(area, visits.user, visits.users),
        days=by_user(end - begin, visits.user, visits.users),
    )


def after_visits(visits: Visits, half_lives: Doubles) -> Doubles:
    """(visits, g) the sum of 2^(-age / h) over a key's visits just after each of them.

    A visit's age counts from its end. By doubling: a sum over the last 2 d visits is that over the
    last d, and what the one d places before had, decayed; log2 of the longest history steps.
    """
    total = np.ones((len(visits), half_lives.shape[1]))
    step, longest = 1, int(visits.rank.max(initial=0))
    while step <= longest:
        late = np.flatnonzero(visits.rank >= step)
        own = half_lives[late] if len(half_lives) > 1 else half_lives
        apart = visits.end[late] - visits.end[late - step]
        total[late] += np.exp2(-apart[:, None] / own) * total[late - step]
        step *= 2
    return total


def by_user(rows: Doubles, user: Integers, users: int) -> Doubles:
    """Sums of rows that are ordered by user: shape (users, ...); the same bits in any company."""
    sums = np.zeros((users, *rows.shape[1:]))
    if len(rows):
        starts = np.flatnonzero(np.diff(user, prepend=-1))
        sums[user[starts]] = np.add.reduceat(rows, starts, axis=0)
    return sums


def kernel_scale(half_lives: Doubles, span: float) -> Doubles:
    """k_h, 1 / days: scales the sum so that its integral over the span is 1 for one visit."""
    within = -np.expm1(-np.log(2.0) * span / half_lives)
    scale: Doubles = np.log(2.0) / (half_lives * within)
    return scale
