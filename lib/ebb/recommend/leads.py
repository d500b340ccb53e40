"""What a user's past leads on to: by item models, by the keys of items, by factors. Pure numpy.

Of each source two things are asked: what it nominates (its best items, of all), and what it says
of given candidates. Never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebb.models.foldin import fold_in
from ebb.recommend.catalogue import Catalogue, Doubles, Factors, Integers, Sparse
from ebb.recommend.pasts import Past

# Of an ardent user the latest so many items speak.
PROFILE_LIMIT = 500
_KEYS, _OF_A_KEY, _NEWEST_OF_A_KEY = 3, 20, 10
# An array of so many places a term is still quicker than sorting the terms.
_DENSE = 16


@dataclass(frozen=True)
class Led:
    """Scores of an item model for one user, under each half-life of the profile.

    Attributes
    ----------
    items : (k,) places, ascending. scores : (k, p).
    entry, other, strength : (e,) the terms that they are sums of: entry of the past, place of the
        item it leads to, weight of the model.
    """

    items: Integers
    scores: Doubles
    entry: Integers
    other: Integers
    strength: Doubles

    def at(self, wanted: Integers) -> Doubles:
        """(len(wanted), p) scores of items, 0 for those it doesn't lead to."""
        found = np.zeros((len(wanted), self.scores.shape[1]))
        if len(self.items):
            place = np.minimum(np.searchsorted(self.items, wanted), len(self.items) - 1)
            is_there = self.items[place] == wanted
            found[is_there] = self.scores[place[is_there]]
        return found


def led_on(
    model: Sparse, past: Past, entries: Integers, profile: Doubles, with_itself: bool
) -> Led:
    """Sum over a user's items j of profile_j * weight(j, i), for each item i.

    Parameters
    ----------
    entries : those of the past that speak. profile : (k, p) how much each entry of the past does,
        under each half-life.
    with_itself : an item leads to itself too, with weight 1.
    """
    own = past.items[entries]
    which, at = model.of(own)
    other, strength = model.entries[at].astype(np.int64), model.weights[at]
    if with_itself:
        which = np.concatenate([which, np.arange(len(own))])
        other, strength = np.concatenate([other, own]), np.append(strength, np.ones(len(own)))
    entry = entries[which]
    items, scores = _summed(other, strength[:, None] * profile[entry], len(model.starts) - 1)
    return Led(items, scores, entry, other, strength)


def _summed(places: Integers, terms: Doubles, count: int) -> tuple[Integers, Doubles]:
    """The distinct places, ascending, and the sums of their terms, column by column.

    Parameters
    ----------
    places : (e,) below `count`. terms : (e, p).
    """
    if count > _DENSE * len(places):
        found, target = np.unique(places, return_inverse=True)
    else:  # an array of all places is quicker than sorting
        is_there = np.zeros(count, dtype=bool)
        is_there[places] = True
        found, target = np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[places]
    sums = np.empty((len(found), terms.shape[1]))
    for column in range(terms.shape[1]):
        sums[:, column] = np.bincount(target, terms[:, column], len(found))
    return found, sums


def best_of(items: Integers, scores: Doubles, limit: int) -> Integers:
    """The items of the highest scores above 0, `limit` at most, in any order; ties by item."""
    positive = np.flatnonzero(scores > 0)
    if len(positive) <= limit:
        few: Integers = items[positive]
        return few
    own = scores[positive]
    least = np.partition(own, len(own) - limit)[len(own) - limit]
    above = positive[own > least]
    chosen: Integers = np.concatenate([above, positive[own == least][: limit - len(above)]])
    best: Integers = items[chosen]
    return best


def best_of_each(items: Integers, scores: Doubles, limit: int) -> Integers:
    """The items that are among the best of any column, as `best_of` has it; each once, in order.

    Parameters
    ----------
    scores : (k, p), of items (k,).
    """
    wanted = scores > 0
    if len(items) > limit:
        # Among those not above 0 the least of the best may lie: then all above 0 are wanted.
        least = np.partition(scores, len(items) - limit, axis=0)[len(items) - limit]
        above, equal = scores > least, scores == least
        room = limit - above.sum(axis=0)
        wanted &= above | (equal & (np.cumsum(equal, axis=0) <= room))
    best: Integers = items[wanted.any(axis=1)]
    return best


@dataclass(frozen=True)
class Taste:
    """A user's shares of the keys of one facet, under each half-life of the profile.

    Attributes
    ----------
    keys : (k,) numbers, ascending. shares : (k, p), each column adds up to 1 (or is 0).
    last_ts : (k,) when last, microseconds since 1970.
    """

    keys: Integers
    shares: Doubles
    last_ts: Integers

    def at(self, keys_of: Sparse, wanted: Integers) -> Doubles:
        """(len(wanted), p) affinity: the mean share of an item's keys, 0 without any."""
        found = np.zeros((len(wanted), self.shares.shape[1]))
        if not len(self.keys):
            return found
        which, at = keys_of.of(wanted)
        number = keys_of.entries[at]
        place = np.minimum(np.searchsorted(self.keys, number), len(self.keys) - 1)
        is_there = self.keys[place] == number
        mass = np.where(is_there, keys_of.weights[at], 0.0)
        for column in range(found.shape[1]):
            terms = mass * self.shares[place, column]
            found[:, column] = np.bincount(which, terms, len(wanted))
        return found


def taste_of(keys_of: Sparse, past: Past, entries: Integers, profile: Doubles) -> Taste:
    """Shares of the keys of a user's items, an item's mass split evenly over its keys."""
    which, at = keys_of.of(past.items[entries])
    keys, target = np.unique(keys_of.entries[at].astype(np.int64), return_inverse=True)
    shares = np.empty((len(keys), profile.shape[1]))
    for column in range(profile.shape[1]):
        terms = keys_of.weights[at] * profile[entries[which], column]
        shares[:, column] = np.bincount(target, terms, len(keys))
    total = shares.sum(axis=0)
    last_ts = np.zeros(len(keys), dtype=np.int64)
    np.maximum.at(last_ts, target, past.last_ts[entries[which]])
    return Taste(keys, shares / np.where(total > 0, total, 1.0), last_ts)


def nominated_by_taste(catalogue: Catalogue, facet: str, taste: Taste) -> Integers:
    """Popular and new items of the keys that a user cares most for; ties by key."""
    if not len(taste.keys):
        return np.zeros(0, dtype=np.int64)
    # By the longest half-life that isn't flat: it knows most and still forgets.
    column = max(0, taste.shares.shape[1] - 2)
    dearest = np.lexsort((taste.keys, -taste.shares[:, column]))[:_KEYS]
    found = []
    for key in taste.keys[dearest]:
        popular, newest = catalogue.of_key(facet, int(key))
        found += [popular[:_OF_A_KEY], newest[:_NEWEST_OF_A_KEY]]
    return np.concatenate(found)


def folded_in(
    factors: Factors, past: Past, ratings: Doubles, alpha: float, regularization: float,
    floor: float,
) -> tuple[Doubles, Integers]:  # fmt: skip
    """A user's vector under a factor model, and the entries of the past that it was solved from.

    Parameters
    ----------
    ratings : (k,) the user's decayed weights, one an entry of the past.
    """
    entries = past.latest_taken(
        PROFILE_LIMIT, factors.is_known[past.items] & (ratings >= floor) & (ratings > 0)
    )
    vector = fold_in(
        factors.vectors, past.items[entries], ratings[entries], factors.gram, alpha, regularization
    )
    return vector, entries
