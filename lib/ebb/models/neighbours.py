"""Items that the same people take: a shrunk cosine, flat and decayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.arrow import whole_groups
from ebb.models.co_taken import KINDS, CoTaken
from ebb.recommend.settings import Neighbours
from ebb.rounding import significant_array

MODELS = {"flat": "neighbours_flat", "decayed": "neighbours"}
WEIGHTS = "model string, item int, other int, rank int, weight double"
WEIGHTS_ARROW = pa.schema(
    [
        ("model", pa.string()),
        ("item", pa.int32()),
        ("other", pa.int32()),
        ("rank", pa.int32()),
        ("weight", pa.float64()),
    ]
)
Doubles = npt.NDArray[np.float64]
_ROWS_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class _Plan:
    """What a worker needs: of each kind, the items' norms and the doubt; how many are kept."""

    norms: dict[str, Doubles]
    doubt: dict[str, float]
    neighbours: int


def nearest_items(sums: CoTaken, settings: Neighbours) -> DataFrame:
    """The nearest items of each item.

    s_ij = sum_u w_ui w_uj / (|w_i| |w_j| + shrinkage * m), |w_i| = sqrt(sum_u w_ui^2), with m the
    mean of w^2, and w_ui 1 (flat) or 2^(-age / half_life) (decayed).

    Returns
    -------
    DataFrame of model, item_id, neighbour_id, rank (1, 2, ... `neighbours` at most), weight (s_ij,
    rounded to 6 significant digits before ranking; ties by neighbour_id). An item that nobody took
    together with another has no row. Brings the items' norms to the driver.
    """
    sizes = sums.sizes.toArrow()
    items = sizes.column("item").to_numpy()
    norms = {kind: np.zeros(int(items.max(initial=-1)) + 1) for kind in KINDS}
    for kind in KINDS:
        norms[kind][items] = np.sqrt(sizes.column(kind).to_numpy())
    doubt = {kind: settings.shrinkage * sums.mean_square[kind] for kind in KINDS}
    plan = _Plan(norms, doubt, settings.neighbours)
    here, there = (
        F.struct(F.col(a).alias("item"), F.col(b).alias("other"), *KINDS)
        for a, b in (("item", "other"), ("other", "item"))
    )
    directed = sums.dots.select(F.inline(F.array(here, there)))
    nearest = (
        directed.repartition("item")
        .sortWithinPartitions("item")
        .mapInArrow(partial(_nearest_batches, plan), WEIGHTS)
    )
    return named(nearest, sums.codes)


def named(coded: DataFrame, codes: DataFrame) -> DataFrame:
    """model, item_id, neighbour_id, rank, weight from the codes item and other."""
    others = codes.select(F.col("item").alias("other"), F.col("item_id").alias("neighbour_id"))
    return (
        coded.join(F.broadcast(codes), on="item", how="inner")
        .join(F.broadcast(others), on="other", how="inner")
        .select("model", "item_id", "neighbour_id", "rank", "weight")
    )


def _nearest_batches(plan: _Plan, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for table in whole_groups(batches, ("item",), _ROWS_AT_ONCE):
        item, other = (table.column(name).to_numpy() for name in ("item", "other"))
        for kind in KINDS:
            norms = plan.norms[kind]
            size = norms[item] * norms[other] + plan.doubt[kind]
            dots = table.column(kind).to_numpy()
            # 0 where the product underflows.
            cosine = np.divide(dots, size, out=np.zeros(len(dots)), where=size > 0)
            yield _largest(MODELS[kind], item, other, cosine, plan.neighbours)


def _largest(
    model: str,
    item: npt.NDArray[np.int32],
    other: npt.NDArray[np.int32],
    weight: Doubles,
    most: int,
) -> pa.RecordBatch:
    """The `most` largest weights above 0 of each item; ties by the other item."""
    positive = np.flatnonzero(weight > 0)
    item, other = item[positive], other[positive]
    rounded = significant_array(weight[positive])
    # Codes are in the order of the ids: a tie by code is a tie by neighbour_id.
    order = np.lexsort((other, -rounded, item))
    starts = np.searchsorted(item[order], item[order])
    rank = np.arange(len(order)) - starts + 1
    kept = order[rank <= most]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([model] * len(kept), pa.string()),
            pa.array(item[kept]),
            pa.array(other[kept]),
            pa.array(rank[rank <= most].astype(np.int32)),
            pa.array(rounded[kept]),
        ],
        schema=WEIGHTS_ARROW,
    )
