"""The last step: from a user's best-scored items to the slate. Pure numpy.

Items are picked one by one. MMR (Carbonell and Goldstein 1998) takes off what an item has in
common with those above it; calibration (Steck 2018) keeps the slate's keys near the user's shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebb.recommend.catalogue import Booleans, Doubles, Integers
from ebb.recommend.settings import Rerank

# Of the user's own shares in what the slate's are compared with: no logarithm of 0.
_SMOOTHING = 0.01


@dataclass(frozen=True)
class Pool:
    """The best-scored items of a user, the best first.

    Attributes
    ----------
    scores : (k,) weighted sums of features.
    keys : (k, c) an item's mass over the keys that occur: rows add up to 1, or 0 without a key.
    shares : (c,) the user's shares of the same keys; may add up to less than 1.
    """

    scores: Doubles
    keys: Doubles
    shares: Doubles


def reranked(pool: Pool, n: int, settings: Rerank) -> Integers:
    """The rows of the pool that make the slate, in its order: n, or all where there are fewer."""
    count = min(n, len(pool.scores))
    gain = _gain(pool, settings)
    free = np.ones(len(pool.scores), dtype=bool)
    has = pool.keys > 0
    times = np.zeros(has.shape[1])
    picked: list[int] = []
    while len(picked) < count:
        open_to = free
        if settings.most_a_key is not None:
            within = free & ~(has & (times >= settings.most_a_key)).any(axis=1)
            # A slate is filled up even where the limit leaves too few.
            open_to = within if within.any() else free
        values = np.where(open_to, gain(picked), -np.inf)
        best = int(values.argmax())  # of equal ones the first, which scores most
        picked.append(best)
        free[best] = False
        times += has[best]
    return np.array(picked, dtype=np.int64)


def _gain(pool: Pool, settings: Rerank) -> Callable[[list[int]], Doubles]:
    """What picking each item next is worth, given what is picked."""
    span = np.ptp(pool.scores) if len(pool.scores) else 0.0
    relevance = (pool.scores - pool.scores.min(initial=np.inf)) / (span or 1.0)
    if settings.method == "none" or settings.strength == 0.0:
        return lambda _: relevance
    part = 1.0 - settings.strength
    if settings.method == "mmr":
        alike = similarity(pool.keys > 0)

        def against_picked(picked: list[int]) -> Doubles:
            nearest = alike[:, picked].max(axis=1, initial=0.0)
            gained: Doubles = part * relevance - settings.strength * nearest
            return gained

        return against_picked

    def towards_shares(picked: list[int]) -> Doubles:
        mass = (pool.keys[picked].sum(axis=0) + pool.keys) / (len(picked) + 1)
        gained: Doubles = part * relevance - settings.strength * divergence(pool.shares, mass)
        return gained

    return towards_shares


def similarity(has: Booleans) -> Doubles:
    """(k, k) Jaccard similarity of rows' sets; 0 where either is empty."""
    sets = has.astype(np.float64)
    both = sets @ sets.T
    sizes = sets.sum(axis=1)
    either = sizes[:, None] + sizes - both
    alike: Doubles = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return alike


def divergence(shares: Doubles, mass: Doubles) -> Doubles:
    """KL(p || (1 - s) q + s p) with s = 0.01, for each row q of `mass`; p are `shares`."""
    known = shares > 0
    p = shares[known]
    q = (1.0 - _SMOOTHING) * mass[:, known] + _SMOOTHING * p
    found: Doubles = (p * np.log(p / q)).sum(axis=1)
    return found
