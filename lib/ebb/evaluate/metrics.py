"""What a slate was worth, against what its user then did: pure functions on one user.

Binary relevance, at a cut-off of n. The oracle of `slates.py`; never imports Spark.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def _hits(slate: Sequence[str], labels: Collection[str], n: int) -> list[int]:
    """Ranks (from 1) of the slate's first n items that are among the labels."""
    if n < 1:
        raise ValueError(f"n {n}: expected at least 1")
    truth = set(labels)
    if not truth:
        raise ValueError("no labels: a user who did nothing has no metrics")
    if len(set(slate[:n])) < len(slate[:n]):
        raise ValueError("the slate repeats an item")
    return [rank for rank, item in enumerate(slate[:n], start=1) if item in truth]


def recall(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """Share of the labels that the first n items hold: hits / |labels|.

    Parameters
    ----------
    slate : item ids, best first, none twice; may be empty or shorter than n.
    labels : what the user then did; at least one item, each counted once.

    Raises
    ------
    ValueError
        When there are no labels, n is below 1, or the slate repeats an item.
    """
    return len(_hits(slate, labels, n)) / len(set(labels))


def ndcg(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """Discounted gain sum over hits of 1 / log2(rank + 1), over that of the best possible slate.

    The best possible slate has min(|labels|, n) hits in front (Järvelin and Kekäläinen 2002,
    binary gains). Parameters and errors as in `recall`.
    """
    best = min(len(set(labels)), n)
    gain = math.fsum(1.0 / math.log2(rank + 1) for rank in _hits(slate, labels, n))
    return gain / ideal_gain(best)


def hit_rate(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """1 when any of the first n items is a label, else 0. As in `recall`."""
    return 1.0 if _hits(slate, labels, n) else 0.0


def mrr(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """1 / rank of the first hit among the first n items, 0 without one. As in `recall`."""
    ranks = _hits(slate, labels, n)
    return 1.0 / ranks[0] if ranks else 0.0


def ideal_gain(hits: int) -> float:
    """Discounted gain of a slate whose first `hits` items are all labels."""
    return math.fsum(1.0 / math.log2(rank + 1) for rank in range(1, hits + 1))
