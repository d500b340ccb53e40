"""Blended scores of a block of users over all items, in numpy.

score(u, i) = sum over sources of blend_s * scaled_s(u, i), where scaled_s is the source's raw
score over its highest among the items that may be recommended to u, so at most 1. Raw scores:

- history (where repeats are allowed): max(0, sum of weight * 2^(-age / history_half_life)) over
  u's own events on i;
- neighbours: sum over u's items j of sim(j, i) * w_uj, w_uj > 0 the sum of weight * 2^(-age /
  profile_half_life), sim(j, i) where i is among the nearest of j;
- als: y_i'x_u, x_u folded in from u's decayed confidences; below a millionth of u's highest
  (negatives among them) it counts as 0, since there it is what the rounding of sums left over;
- popularity: the decayed popularity of i.

What u disliked, what may not be recommended, and (unless repeats are allowed) whatever u touched
are left out before anything is scaled. Sources beside history learn only from what u took and
didn't dislike: from the latest 1,000 items of it. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebb.models.foldin import fold_in
from ebb.recommend.catalogue import Catalogue
from ebb.recommend.histories import Doubles, History, Integers

SOURCES = ("history", "neighbours", "als", "popularity")
HISTORY, NEIGHBOURS, ALS, POPULARITY = range(4)
PROFILE_LIMIT = 1000
NOTHING = 1e-6
# Below this a highest score has decayed to nothing, and one over it is no number any more.
_TINIEST = 1e-300


@dataclass(frozen=True)
class Blending:
    """What scoring needs of the configuration.

    Attributes
    ----------
    weights : blend weight of each of `SOURCES`.
    repeat : items that the user touched may be recommended.
    floor, alpha, regularization : of the fit, `train.*`.
    """

    weights: tuple[float, float, float, float]
    repeat: bool
    floor: float
    alpha: float
    regularization: float

    def learned(self, catalogue: Catalogue, user: History) -> Integers:
        """Entries of a history that the fold-in takes: those that the fit would have taken."""
        known = np.where(catalogue.has_factors[user.items], user.confidence, 0.0)
        return user.profile_entries(known, self.floor, PROFILE_LIMIT)


@dataclass(frozen=True)
class Scores:
    """A scored block.

    Attributes
    ----------
    total : (users, items) blended score, -inf where the item is left out for the user.
    scales : (users, 4) what turns a raw score of a source into its part of `total`:
        blend_s / highest; 0 where the source says nothing.
    vectors : (users, rank) folded-in user vectors.
    """

    total: Doubles
    scales: Doubles
    vectors: Doubles


def score_block(catalogue: Catalogue, users: Sequence[History], blending: Blending) -> Scores:
    """Score every item for every user of a block.

    Returns
    -------
    Scores; a user's row is the same whatever other users are in the block, but for the last bits
    of the matrix product, which rounding takes away.
    """
    excluded = _excluded(catalogue, users, blending.repeat)
    total = np.zeros(excluded.shape)
    scales = np.zeros((len(users), len(SOURCES)))
    vectors = np.zeros((len(users), catalogue.factors.shape[1]))
    raw = np.empty(excluded.shape)
    for source, weight in enumerate(blending.weights):
        if weight == 0.0 or (source == HISTORY and not blending.repeat):
            continue
        if source == ALS:
            vectors = _vectors(catalogue, users, blending)
        _fill(raw, source, catalogue, users, vectors)
        np.copyto(raw, 0.0, where=excluded)
        highest = raw.max(axis=1, initial=0.0)
        if source == ALS:
            np.copyto(raw, 0.0, where=raw < highest[:, None] * NOTHING)
        said = highest > _TINIEST
        scales[said, source] = weight / highest[said]
        raw *= scales[:, source, None]
        total += raw
    np.copyto(total, -np.inf, where=excluded)
    return Scores(total, scales, vectors)


def neighbour_entries(
    catalogue: Catalogue, user: History
) -> tuple[Integers, npt.NDArray[np.int32], Doubles]:
    """Where the user's past meets neighbours: (entry of the history, item, sim * weight)."""
    entries = user.profile_entries(user.profile, 0.0, PROFILE_LIMIT)
    starts = catalogue.neighbour_starts[user.items[entries]]
    lengths = catalogue.neighbour_starts[user.items[entries] + 1] - starts
    before = np.cumsum(lengths) - lengths
    rows = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
    strength = catalogue.similarities[rows] * np.repeat(user.profile[entries], lengths)
    return np.repeat(entries, lengths), catalogue.neighbours[rows], strength


def _excluded(
    catalogue: Catalogue, users: Sequence[History], repeat: bool
) -> npt.NDArray[np.bool_]:
    excluded = np.tile(~catalogue.eligible, (len(users), 1))
    for row, user in enumerate(users):
        excluded[row, user.items[user.disliked] if repeat else user.items] = True
    return excluded


def _fill(
    raw: Doubles, source: int, catalogue: Catalogue, users: Sequence[History], vectors: Doubles
) -> None:
    """Write one source's raw scores of all users over all items into `raw`."""
    if source == POPULARITY:
        raw[:] = catalogue.popularity
    elif source == ALS:
        # In double precision: single precision would leave noise where scores are rounded.
        np.matmul(vectors, catalogue.factors.T.astype(np.float64), out=raw)
    elif source == HISTORY:
        raw[:] = 0.0
        for row, user in enumerate(users):
            raw[row, user.items] = np.maximum(user.history, 0.0)
    else:
        for row, user in enumerate(users):
            _, items, strength = neighbour_entries(catalogue, user)
            raw[row] = np.bincount(items, weights=strength, minlength=len(catalogue))


def _vectors(catalogue: Catalogue, users: Sequence[History], blending: Blending) -> Doubles:
    vectors = np.zeros((len(users), catalogue.factors.shape[1]))
    for row, user in enumerate(users):
        entries = blending.learned(catalogue, user)
        vectors[row] = fold_in(
            catalogue.factors,
            user.items[entries],
            user.confidence[entries],
            catalogue.gram,
            blending.alpha,
            blending.regularization,
        )
    return vectors
