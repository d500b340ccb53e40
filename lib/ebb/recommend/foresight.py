"""What a network foresees of a user, item by item. Pure numpy; never imports Spark or torch.

The network has been asked already (`sequences.foresee`): a user's state times an item's vector is
the log of what taste gives the item, and beside it stands what items of the past get for being
taken again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ebb.recommend.catalogue import Catalogue, Doubles, Integers
from ebb.recommend.features import SEQUENCE
from ebb.recommend.pasts import Past
from ebb.recommend.topn import top_of_product


def chances_by_taste(catalogue: Catalogue, past: Past, items: Integers) -> Doubles:
    """(c,) the probability of each item as a matter of taste; 0 where the network can't tell."""
    vectors = catalogue.factors[SEQUENCE]
    if not len(past.state):
        return np.zeros(len(items))
    chances = np.exp(vectors.vectors[items] @ past.state)
    found: Doubles = np.where(vectors.is_known[items], chances, 0.0)
    return found


def chances_of(catalogue: Catalogue, past: Past, items: Integers) -> Doubles:
    """(c,) the probability that the user takes each item next, taken before or not."""
    chances = chances_by_taste(catalogue, past, items)
    if len(past.again):
        place = np.minimum(np.searchsorted(past.items, items), len(past.items) - 1)
        chances += np.where(past.items[place] == items, past.again[place], 0.0)
    return chances


def nominated_by_network(
    catalogue: Catalogue, pasts: Sequence[Past], barred: Sequence[Integers], limit: int
) -> list[Integers]:
    """Of each user the items that taste gives most, without those that are barred."""
    vectors = catalogue.factors[SEQUENCE]
    found = [np.zeros(0, dtype=np.int64) for _ in pasts]
    known = [user for user, past in enumerate(pasts) if len(past.state)]
    if not known or not vectors.is_known.any():
        return found
    best, scores = top_of_product(
        np.stack([pasts[user].state for user in known]).astype(np.float32),
        vectors.vectors,
        limit,
        allowed=catalogue.eligible & vectors.is_known,
        seen_starts=np.concatenate(([0], np.cumsum([len(barred[user]) for user in known]))),
        seen_places=np.concatenate([barred[user] for user in known]),
    )
    for user, own, values in zip(known, best, scores, strict=True):
        found[user] = own[np.isfinite(values)]
    return found
