"""What a user's past is about: the decayed mean of its items' text vectors. Pure numpy.

Its dot product with an item's vector is the mean cosine of the item with the past, each past item
speaking by its age, times the same number for all items. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebb.recommend.catalogue import Catalogue, Doubles, Factors, Integers
from ebb.recommend.features import CONTENT
from ebb.recommend.pasts import Past
from ebb.recommend.topn import top_of_product


@dataclass(frozen=True)
class Gist:
    """What a past is about.

    Attributes
    ----------
    items : (e,) places of the past's items that have a vector. entries : (e,) of the past.
    parts : (e, p) how much of the mean each is under each half-life of the profile.
    means : (p, r) of their vectors; zeros without any.
    """

    items: Integers
    entries: Integers
    parts: Doubles
    means: Doubles

    def at(self, vectors: Factors, wanted: Integers) -> Doubles:
        """(len(wanted), p) likeness of items to the past; 0 for those without a vector."""
        likeness: Doubles = vectors.vectors[wanted] @ self.means.T
        return likeness


def gist_of(vectors: Factors, past: Past, entries: Integers, profile: Doubles) -> Gist:
    """The gist of a past.

    Parameters
    ----------
    entries : those of the past that speak. profile : (k, p) how much each entry of the past does.
    """
    own = entries[vectors.is_known[past.items[entries]]]
    items, spoken = past.items[own], profile[own]
    total = spoken.sum(axis=0)
    parts = spoken / np.where(total > 0, total, 1.0)
    return Gist(items, own, parts, parts.T @ vectors.vectors[items].astype(np.float64))


def nominated_by_gist(
    catalogue: Catalogue, pasts: Sequence[Past], gists: Sequence[Gist], limit: int
) -> list[Integers]:
    """Of each user the items most like their past, without those of the past itself."""
    vectors = catalogue.factors[CONTENT]
    if not vectors.is_known.any():
        return [np.zeros(0, dtype=np.int64) for _ in pasts]
    # By the longest half-life that isn't flat: it knows most and still forgets.
    means = np.stack([gist.means[max(0, len(gist.means) - 2)] for gist in gists])
    best, scores = top_of_product(
        means.astype(np.float32),
        vectors.vectors,
        limit,
        allowed=catalogue.eligible & vectors.is_known,
        seen_starts=np.concatenate(([0], np.cumsum([len(past.items) for past in pasts]))),
        seen_places=np.concatenate([past.items for past in pasts]),
    )
    return [own[values > 0] for own, values in zip(best, scores, strict=True)]
