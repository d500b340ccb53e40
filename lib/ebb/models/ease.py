"""EASE: the linear item-to-item model with the smallest error, in closed form (Steck 2019).

With G the Gram matrix of users by items and P = (G + lambda I)^-1, B = I - P / diag(P) (columns
divided) is the B that minimises |X - XB|^2 + lambda |B|^2 with a diagonal of zeros. Spark sums G;
the driver inverts it, for as many items as `ease.memory_mb` has room for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.linalg.lapack import dpotrf, dpotri

from ebb.models.co_taken import KINDS, CoTaken
from ebb.models.neighbours import WEIGHTS, named
from ebb.recommend.settings import Ease
from ebb.rounding import significant_array

MODELS = {"flat": "ease_flat", "decayed": "ease"}
Doubles = npt.NDArray[np.float64]
# Both Gram matrices, and at most two more while one is inverted.
_MATRICES = 4


@dataclass(frozen=True)
class EaseWeights:
    """The largest weights of each item.

    Attributes
    ----------
    rows : model, item_id (taken), neighbour_id (whose score it moves), rank, weight.
    items, left_out : how many items take part, and how many had no room.
    """

    rows: DataFrame
    items: int
    left_out: int


def fit_ease(sums: CoTaken, settings: Ease) -> EaseWeights:
    """Fit both kinds of EASE on the items of the greatest decayed size, ties by item.

    Runs jobs: it brings the sums of those items' pairs to the driver, `memory_mb` at most.
    """
    most = math.isqrt(settings.memory_mb * 2**20 // (8 * _MATRICES))
    largest = sums.sizes.orderBy(F.desc("decayed"), F.asc("item")).limit(most)
    sizes = largest.toPandas().sort_values("item")
    items = sizes["item"].to_numpy()
    if len(items) < 2:
        rows = sums.codes.sparkSession.createDataFrame([], WEIGHTS)
        return EaseWeights(named(rows, sums.codes), 0, 0)
    dots = _dots_among(sums, items)
    found = [
        _weights(
            MODELS[kind],
            items,
            ease_matrix(
                _gram(sizes, dots, items, kind), settings.regularization * sums.mean_square[kind]
            ),
            settings.weights,
        )
        for kind in KINDS
    ]
    rows = sums.codes.sparkSession.createDataFrame(pd.concat(found), WEIGHTS)
    return EaseWeights(named(rows, sums.codes), len(items), sums.sizes.count() - len(items))


def ease_matrix(gram: Doubles, regularization: float) -> Doubles:
    """B of EASE.

    Parameters
    ----------
    gram : (n, n) X'X, changed in place.
    regularization : lambda, above 0.

    Returns
    -------
    (n, n); score_i = sum_j x_j B[j, i].
    """
    gram.flat[:: len(gram) + 1] += regularization
    inverse = _inverse(gram)
    weights: Doubles = np.divide(inverse, -np.diag(inverse), out=gram)
    np.fill_diagonal(weights, 0.0)
    return weights


def _inverse(gram: Doubles) -> Doubles:
    """Of a positive definite matrix, by Cholesky: 3/8 of what elimination costs."""
    factor, failed = dpotrf(gram, lower=1)
    if failed:
        raise ValueError("EASE: X'X and lambda I aren't positive definite together")
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    is_above = np.tri(len(gram), k=-1, dtype=bool).T
    np.copyto(inverse, inverse.T, where=is_above)
    found: Doubles = inverse
    return found


def _dots_among(sums: CoTaken, items: npt.NDArray[np.int32]) -> pd.DataFrame:
    session = sums.dots.sparkSession
    chosen = session.createDataFrame(pd.DataFrame({"item": items}), "item int")
    both = sums.dots.join(F.broadcast(chosen), on="item", how="left_semi").join(
        F.broadcast(chosen.withColumnRenamed("item", "other")), on="other", how="left_semi"
    )
    dots: pd.DataFrame = both.select("item", "other", *KINDS).toArrow().to_pandas()
    return dots


def _gram(
    sizes: pd.DataFrame, dots: pd.DataFrame, items: npt.NDArray[np.int32], kind: str
) -> Doubles:
    gram = np.zeros((len(items), len(items)))
    one, two = np.searchsorted(items, dots["item"]), np.searchsorted(items, dots["other"])
    gram[one, two] = gram[two, one] = dots[kind].to_numpy()
    np.fill_diagonal(gram, sizes[kind].to_numpy())
    return gram


def _weights(model: str, items: npt.NDArray[np.int32], weights: Doubles, most: int) -> pd.DataFrame:
    """The largest weights of each row, by size; ties by item."""
    most = min(most, len(items) - 1)
    sizes = np.abs(weights)
    places = np.sort(np.argpartition(-sizes, most - 1, axis=1)[:, :most], axis=1)
    kept = significant_array(np.take_along_axis(weights, places, axis=1))
    order = np.argsort(-np.abs(kept), axis=1, kind="stable")
    kept = np.take_along_axis(kept, order, axis=1)
    others = items[np.take_along_axis(places, order, axis=1)]
    row, rank = np.nonzero(kept)
    return pd.DataFrame(
        {
            "model": model,
            "item": items[row],
            "other": others[row, rank],
            "rank": (rank + 1).astype(np.int32),
            "weight": kept[row, rank],
        }
    )
