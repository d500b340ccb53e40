"""Everybody's top n under one factor model: users pass in Arrow batches, items lie mapped.

The items' factors are shipped once, as a `.npy` file that the Python workers of a machine map into
memory and share. No table of (user, item) pairs is made, nothing is joined, and nothing is shuffled
after scoring. Spark gives each Python worker `spark.task.cpus` BLAS threads (1 unless set
otherwise).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.errors import RunError
from ebb.recommend.topn import STRIP, TILE, top_of_product
from ebb.shipped import ship, shipped

_MB = 1 << 20
# Python, its libraries and what BLAS sets aside, before anything is loaded.
_EMPTY_WORKER = 224 * _MB
# Rows of an Arrow batch, Spark's own default, and seen items of a user, on average, at most.
_ARROW_ROWS, _SEEN = 10_000, 500
_USERS, _FEWEST_USERS, _SMALLEST_TILE = 2048, 64, 512


@dataclass(frozen=True)
class Blocks:
    """How much is scored at a time, and what a Python worker then takes at most.

    Attributes
    ----------
    users, tile : rows and columns of the product that are in memory at once.
    bytes : of a worker, the mapped factors among them though workers share those.
    """

    users: int
    tile: int
    bytes: int


@dataclass(frozen=True)
class _Pass:
    """What a worker needs to know: names of shipped arrays, and settings."""

    factors: str
    allowed: str | None
    n: int
    blocks: Blocks


def ship_array(context: SparkContext, array: npt.NDArray[np.generic]) -> str:
    """Have Spark bring an array to each executor, as a `.npy` file; returns its name."""
    return ship(context, ".npy", lambda path: np.save(path, array))


@lru_cache(maxsize=4)
def shipped_array(name: str) -> npt.NDArray[Any]:
    """Map a shipped array, read-only; on the driver or in a Python worker."""
    array: npt.NDArray[Any] = np.load(shipped(name), mmap_mode="r")
    return array


def plan_blocks(memory_mb: int, items: int, rank: int, n: int) -> Blocks:
    """The blocks that are fastest, or the largest below them that fit into `memory_mb`.

    Raises
    ------
    RunError
        When the items' factors and the smallest blocks don't fit.
    """
    # Python and the mapped items, which BLAS reads as they are; batches that come and go.
    fixed = _EMPTY_WORKER + items * (4 * rank + 1) + 4 * _ARROW_ROWS * 4 * (rank + _SEEN)
    users, tile = _USERS, max(TILE, 64 * n)
    while fixed + scoring_bytes(users, tile, items, rank, n) > memory_mb * _MB:
        if users > _FEWEST_USERS:
            users //= 2
        elif tile > _SMALLEST_TILE:
            tile //= 2
        else:
            needed = -(-(fixed + scoring_bytes(users, tile, items, rank, n)) // _MB)
            raise RunError(
                f"memory_mb is {memory_mb}, but scoring {items} items with factors of rank {rank} "
                f"needs {needed} MB in each task; set memory_mb to at least {needed} (and see that "
                "executors have it), or lower the rank"
            )
    return Blocks(users, tile, fixed + scoring_bytes(users, tile, items, rank, n))


def scoring_bytes(users: int, tile: int, items: int, rank: int, n: int) -> int:
    """What `top_of_product` takes at most beside its arguments, for users of _SEEN seen items."""
    tile, strip = min(tile, items), min(users, STRIP)
    # A score, the largest of its group, and that again while the n-th of them is looked for.
    product = strip * tile * 13
    # Items that may be recommended, where not all may: their places, and a tile of their factors.
    allowed = items * 9 + tile * rank * 4
    # Of a strip the candidates, a few times n a user; of every user the best, and what is seen.
    chosen = strip * n * 600 + users * n * 50 + users * _SEEN * 32
    return product + allowed + chosen


def top_by_factors(
    users: DataFrame,
    factors_name: str,
    n: int,
    *,
    allowed_name: str | None = None,
    memory_mb: int = 1024,
) -> DataFrame:
    """The n items with the highest products of each user, fewer only where fewer may be given.

    Parameters
    ----------
    users : user_id, factors array<float> (r,), seen array<int>: places of items that the user must
        not get, in any order. A user whose factors are null gets no rows; null `seen` is none.
    factors_name : of a shipped (m, r) float32 array, items in the order of their ids.
    allowed_name : of a shipped (m,) bool array; None where every item may be recommended.
    memory_mb : what a Python worker may take in all, with the whole of the factors.

    Returns
    -------
    DataFrame with user_id, rank from 1, place (a row of the factors), and score, rounded to 5
    significant digits; ties have the lower place first. Lazy.

    Raises
    ------
    RunError
        When the factors don't fit into `memory_mb`.
    """
    items, rank = shipped_array(factors_name).shape
    blocks = plan_blocks(memory_mb, items, rank, n)
    plan = _Pass(factors_name, allowed_name, n, blocks)
    rows = users.where(F.col("factors").isNotNull()).select(
        "user_id",
        F.col("factors").cast("array<float>").alias("factors"),
        F.coalesce(F.col("seen").cast("array<int>"), F.array().cast("array<int>")).alias("seen"),
    )
    schema = T.StructType(
        [
            T.StructField("user_id", rows.schema["user_id"].dataType),
            T.StructField("rank", T.IntegerType(), nullable=False),
            T.StructField("place", T.IntegerType(), nullable=False),
            T.StructField("score", T.FloatType(), nullable=False),
        ]
    )
    return rows.mapInArrow(partial(_score_batches, plan), schema)


def _score_batches(plan: _Pass, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The slates of one partition of users, a block at a time; runs on executors."""
    for batch in batches:
        for start in range(0, len(batch), plan.blocks.users):
            yield _score_block(plan, batch.slice(start, plan.blocks.users))


def _score_block(plan: _Pass, users: pa.RecordBatch) -> pa.RecordBatch:
    factors = shipped_array(plan.factors)
    seen = users.column("seen")
    starts = np.concatenate(([0], np.cumsum(pc.list_value_length(seen).to_numpy())))
    places, scores = top_of_product(
        _vectors(users.column("factors"), factors.shape[1]),
        factors,
        plan.n,
        allowed=None if plan.allowed is None else shipped_array(plan.allowed),
        seen_starts=starts,
        seen_places=seen.flatten().to_numpy(),
        tile=plan.blocks.tile,
    )
    found = np.flatnonzero(places >= 0)
    user, rank = np.divmod(found, plan.n)
    return pa.RecordBatch.from_arrays(
        [
            users.column("user_id").take(pa.array(user)),
            pa.array((rank + 1).astype(np.int32)),
            pa.array(places.ravel()[found].astype(np.int32)),
            pa.array(scores.ravel()[found]),
        ],
        names=["user_id", "rank", "place", "score"],
    )


def _vectors(column: pa.ListArray, rank: int) -> npt.NDArray[np.float32]:
    """(b, rank) the users' vectors, in the memory that they came in."""
    lengths = pc.list_value_length(column).to_numpy()
    if np.any(lengths != rank):
        raise ValueError(f"a user has {lengths[lengths != rank][0]} factors, items have {rank}")
    values: npt.NDArray[np.float32] = column.flatten().to_numpy()
    return values.reshape(len(column), rank)
