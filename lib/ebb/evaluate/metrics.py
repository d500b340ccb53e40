"""What a slate was worth, against what its user then did: pure functions on one user.

Binary relevance, at a cut-off of n; every figure is from 0 to 1, more is better, and an empty slate
has 0. What a slate is like, hits or none, is in `beyond_accuracy.py`. The oracle of `slates.py`;
never imports Spark.

References
----------
Herlocker, Konstan, Terveen & Riedl (2004), Evaluating collaborative filtering recommender systems,
ACM TOIS: recall, precision and hits of a list. Järvelin & Kekäläinen (2002), Cumulated gain-based
evaluation of IR techniques, ACM TOIS: NDCG. Manning, Raghavan & Schütze (2008), Introduction to
information retrieval, chapter 8: average precision. Voorhees (1999), The TREC-8 question answering
track report: reciprocal rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def first_items(slate: Sequence[str], n: int) -> Sequence[str]:
    """The first n items of a slate.

    Raises
    ------
    ValueError
        When n is below 1, or one of them is there twice.
    """
    if n < 1:
        raise ValueError(f"n {n}: expected at least 1")
    if len(set(slate[:n])) < len(slate[:n]):
        raise ValueError("the slate repeats an item")
    return slate[:n]


def hit_ranks(slate: Sequence[str], labels: Collection[str], n: int) -> list[int]:
    """Ranks (from 1) of the slate's first n items that are among the labels; as in `recall`."""
    first, truth = first_items(slate, n), set(labels)
    if not truth:
        raise ValueError("no labels: a user who did nothing has no metrics")
    return [rank for rank, item in enumerate(first, start=1) if item in truth]


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
    return len(hit_ranks(slate, labels, n)) / len(set(labels))


def precision(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """Share of the n places that hold a label: hits / n, also of a short slate. As in `recall`."""
    return len(hit_ranks(slate, labels, n)) / n


def ndcg(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """Discounted gain sum over hits of 1 / log2(rank + 1), over that of the best possible slate.

    The best possible slate has min(|labels|, n) hits in front (Järvelin and Kekäläinen 2002,
    binary gains). Parameters and errors as in `recall`.
    """
    best = min(len(set(labels)), n)
    gain = math.fsum(1.0 / math.log2(rank + 1) for rank in hit_ranks(slate, labels, n))
    return gain / ideal_gain(best)


def average_precision(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """Sum over hits of (hits down to there / rank), over min(|labels|, n). As in `recall`.

    Its mean over users is MAP@n. Divided by what a slate of n can reach, so that the best possible
    slate has 1; trec_eval's map_cut_n divides by |labels|, which is the same up to n labels.
    """
    ranks = hit_ranks(slate, labels, n)
    precisions = (hits / rank for hits, rank in enumerate(ranks, start=1))
    return math.fsum(precisions) / min(len(set(labels)), n)


def hit_rate(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """1 when any of the first n items is a label, else 0. As in `recall`."""
    return 1.0 if hit_ranks(slate, labels, n) else 0.0


def mrr(slate: Sequence[str], labels: Collection[str], n: int) -> float:
    """1 / rank of the first hit among the first n items, 0 without one. As in `recall`."""
    ranks = hit_ranks(slate, labels, n)
    return 1.0 / ranks[0] if ranks else 0.0


def ideal_gain(hits: int) -> float:
    """Discounted gain of a slate whose first `hits` items are all labels."""
    return math.fsum(1.0 / math.log2(rank + 1) for rank in range(1, hits + 1))
