"""The metrics of `metrics.py` and `beyond_accuracy.py` as native expressions on arrays.

One row a model and user: `hits` holds the slate's hits, `slate` its items, both in the order of
their ranks. Lambdas run inside Spark; no row goes to Python.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.evaluate.beyond_accuracy import SMOOTHING
from ebb.evaluate.metrics import ideal_gain


def accuracy(hits: Column, labels: Column, k: int) -> dict[str, Column]:
    """Recall, precision, NDCG, average precision, hit rate and MRR at k.

    Parameters
    ----------
    hits : array of (rank, ...), by rank.
    labels : how many labels the user has.
    """
    ranks = F.transform(_down_to(hits, k), lambda hit: hit["rank"])
    count = F.size(ranks)
    reachable = F.least(labels, F.lit(k))
    gain = _total(ranks, lambda rank: 1.0 / F.log2(rank + 1))
    precisions = F.transform(ranks, lambda rank, place: (place + 1) / rank)
    return {
        f"recall@{k}": count / labels,
        f"precision@{k}": count / F.lit(float(k)),
        f"ndcg@{k}": gain / _ideal(reachable, k),
        f"map@{k}": _total(precisions, lambda x: x) / reachable,
        f"hit_rate@{k}": (count > 0).cast("double"),
        f"mrr@{k}": F.coalesce(1.0 / F.get(ranks, F.lit(0)), F.lit(0.0)),
    }


def serendipity(hits: Column, k: int) -> Column:
    """`beyond_accuracy.serendipity` at k; hits: array of (rank, popular_rank or null)."""
    unexpected = F.filter(
        _down_to(hits, k), lambda hit: F.coalesce(hit["popular_rank"] > k, F.lit(True))
    )
    return F.size(unexpected) / F.lit(float(k))


def item_novelty(users: Column, known: int) -> Column:
    """-log2 of the share of `known` users who had an item; by nobody counts as by one."""
    return -F.log2(F.greatest(F.coalesce(users, F.lit(0)), F.lit(1)) / F.lit(float(known)))


def novelty(slate: Column, k: int) -> Column:
    """`beyond_accuracy.novelty` at k; slate: array of (rank, novelty, ...)."""
    return _mean(_down_to(slate, k), lambda item: item["novelty"])


def category_pairs(slate: Column) -> Column:
    """Each two items with categories: array of (rank of the later, distance)."""

    def pair(one: Column, other: Column) -> Column:
        common = F.size(F.array_intersect(one["categories"], other["categories"]))
        either = F.size(one["categories"]) + F.size(other["categories"]) - common
        distance = (1.0 - common / either).alias("distance")
        return F.struct(other["rank"].alias("rank"), distance)

    return _pairs(_with_categories(slate), pair)


def item_pairs(slate: Column) -> Column:
    """Each two items that anybody had: array of (rank of the later, item_id < other_id)."""

    def pair(one: Column, other: Column) -> Column:
        ids = (one["item_id"], other["item_id"])
        least, greatest = F.least(*ids).alias("item_id"), F.greatest(*ids).alias("other_id")
        return F.struct(other["rank"].alias("rank"), least, greatest)

    return _pairs(F.filter(slate, lambda item: item["had"]), pair)


def _pairs(items: Column, pair: Callable[[Column, Column], Column]) -> Column:
    """`pair` of each two items, the one of lower rank first."""

    def with_later(kept: Column, one: Column, place: Column) -> Column:
        # `place` counts from 0 and slice from 1: the entries after this one start at place + 2.
        later = F.slice(kept, place + 2, F.size(kept))
        return F.transform(later, lambda other: pair(one, other))

    def of_all(kept: Column) -> Column:
        return F.flatten(F.transform(kept, lambda one, place: with_later(kept, one, place)))

    return _with(items, of_all)


def _with(value: Column, use: Callable[[Column], Column]) -> Column:
    """`use` of a value that is computed once, where an expression named in a lambda never is."""
    return F.get(F.transform(F.array(value), use), F.lit(0))


def pair_diversity(pairs: Column, k: int) -> Column:
    """Mean distance of the pairs down to k; pairs: array of (rank, distance)."""
    return _mean(_down_to(pairs, k), lambda pair: pair["distance"])


def calibration(slate: Column, shares: Column, k: int) -> Column:
    """`beyond_accuracy.calibration` at k; shares: array of (category, share), summing to 1."""

    def mass(category: Column, item: Column) -> Column:
        has = F.array_contains(item["categories"], category)
        return F.when(has, 1.0 / F.size(item["categories"])).otherwise(0.0)

    def divergence(listed: Column, wanted: Column) -> Column:
        p = wanted["share"]
        q = _total(listed, lambda item: mass(wanted["category"], item)) / F.size(listed)
        return p * F.log(p / ((1.0 - SMOOTHING) * q + SMOOTHING * p))

    def of_items(listed: Column) -> Column:
        known = (F.size(listed) > 0) & (F.size(shares) > 0)
        return F.when(known, _total(shares, lambda wanted: divergence(listed, wanted)))

    return _with(_with_categories(_down_to(slate, k)), of_items)


def _with_categories(slate: Column) -> Column:
    return F.filter(slate, lambda item: F.size(item["categories"]) > 0)


def _down_to(entries: Column, k: int) -> Column:
    return F.filter(entries, lambda entry: entry["rank"] <= k)


def _total(entries: Column, value: Callable[[Column], Column]) -> Column:
    return F.aggregate(entries, F.lit(0.0), lambda total, entry: total + value(entry))


def _mean(entries: Column, value: Callable[[Column], Column]) -> Column:
    """The mean of a value; null where there is no entry."""
    return _with(entries, lambda kept: F.when(F.size(kept) > 0, _total(kept, value) / F.size(kept)))


def _ideal(hits: Column, k: int) -> Column:
    gains = F.array(*[F.lit(ideal_gain(count)) for count in range(k + 1)])
    return F.get(gains, hits.cast("int"))
