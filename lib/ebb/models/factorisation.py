"""Implicit ALS on decayed confidence, fitted by MLlib. Users are folded in later: `foldin.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.models.pairs import item_codes, user_codes
from ebb.recommend.settings import Als
from ebb.rounding import significant
from ebb.storage import stored

# More pairs than this are worth more than two blocks, and than bit-for-bit equal factors.
_PAIRS_A_BLOCK = 5_000_000


@dataclass(frozen=True)
class FittedAls:
    """A fitted factorisation.

    Attributes
    ----------
    item_factors : item_id, factors (array of `rank` floats).
    user_factors : user_id, factors, as MLlib left them; scoring folds users in instead.
    metrics : users, items, pairs: the sizes of what was fitted.
    """

    item_factors: DataFrame
    user_factors: DataFrame
    metrics: Mapping[str, float]
    _stored: tuple[DataFrame, ...] = ()

    def release(self) -> None:
        """Free what the fit keeps in Spark's storage, once the factors are written."""
        for frame in self._stored:
            frame.unpersist()


def fit_als(weights: DataFrame, settings: Als) -> FittedAls | None:
    """Fit preference 1 with confidence 1 + alpha * r, r the decayed weight of user and item.

    Parameters
    ----------
    weights : user_id, item_id, weight (r); one row a pair.

    Returns
    -------
    The fit, or None when no pair's weight reaches `settings.floor`: there is nothing to learn
    from. Runs jobs; call `release` when its frames are written.

    Notes
    -----
    Pairs below the floor are left out, since to the objective an event decayed to nothing would
    still be a positive. r is rounded to 6 significant digits and the input sorted into one
    partition and two blocks, so that neither the order of the events nor the number of threads
    moves a bit of the factors. Above 5 million pairs more blocks share the work, whose sums come
    in any order: then equal to about 1e-5 of their size.
    """
    rated = weights.select(
        "user_id", "item_id", significant(F.col("weight")).alias("rating")
    ).where(F.col("rating") >= settings.floor)
    with stored(rated) as pairs:
        count = pairs.count()
        if count == 0:
            return None
        users = user_codes(pairs)
        items = item_codes(pairs).persist(StorageLevel.MEMORY_AND_DISK)
        # MLlib breaks on input that changes between its passes: stored first.
        with stored(_ratings(pairs, users, items, _blocks(count))) as ratings:
            ratings.count()
            model = _als(settings, _blocks(count)).fit(ratings)
    return FittedAls(
        item_factors=_named(model.itemFactors, items, "item"),
        user_factors=_named(model.userFactors, users, "user"),
        metrics={
            "users": float(users.count()),
            "items": float(items.count()),
            "pairs": float(count),
        },
        _stored=(users, items),
    )


def _blocks(pairs: int) -> int:
    return max(2, math.ceil(pairs / _PAIRS_A_BLOCK))


def _ratings(pairs: DataFrame, users: DataFrame, items: DataFrame, blocks: int) -> DataFrame:
    """user, item (ints), rating; laid out in the same way whatever order the events came in."""
    coded = (
        pairs.join(users, on="user_id", how="inner")
        .join(items, on="item_id", how="inner")
        .select("user", "item", F.col("rating").cast("float"))
    )
    spread = coded.repartition(1) if blocks == 2 else coded.repartition(blocks, "user")
    return spread.sortWithinPartitions("user", "item")


def _als(settings: Als, blocks: int) -> ALS:
    return ALS(
        userCol="user",
        itemCol="item",
        ratingCol="rating",
        implicitPrefs=True,
        nonnegative=False,
        rank=settings.rank,
        maxIter=settings.iterations,
        regParam=settings.regularization,
        alpha=settings.alpha,
        seed=settings.seed,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        # Intermediate factors are stored; a checkpoint would need a folder of its own.
        checkpointInterval=-1,
    )


def _named(factors: DataFrame, codes: DataFrame, side: str) -> DataFrame:
    """MLlib's factors under the ids of the source."""
    numbered = factors.select(F.col("id").alias(side), F.col("features").alias("factors"))
    return numbered.join(codes, on=side, how="inner").select(f"{side}_id", "factors")
