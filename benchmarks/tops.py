"""Random vectors of users and items, and everybody's top n of them, for benchmarks of scoring."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.cloudpickle import register_pickle_by_value
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix
from timing import THREADS

from ebb.recommend.factor_slates import ship_array, top_by_factors

N, SEEN = 50, 50
MEMORY_MB, WARM_UPS = 2048, 5
Floats = npt.NDArray[np.float32]
# Workers can't import this file: its functions travel as they are.
register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class World:
    """Random factors, and the items that each user has seen.

    Attributes
    ----------
    users : (u, r). items : (m, r). seen : (u, SEEN) places, a few of them twice.
    """

    users: Floats
    items: Floats
    seen: npt.NDArray[np.int32]

    @classmethod
    def random(cls, users: int, items: int, rank: int) -> World:
        rng = np.random.default_rng(7)
        return cls(
            rng.standard_normal((users, rank), dtype=np.float32),
            rng.standard_normal((items, rank), dtype=np.float32),
            rng.integers(0, items, (users, SEEN), dtype=np.int32),
        )

    @property
    def size(self) -> str:
        return f"{len(self.users)}x{len(self.items)}x{self.items.shape[1]}"

    def seen_matrix(self) -> csr_matrix:
        rows = np.repeat(np.arange(len(self.users)), SEEN)
        shape = (len(self.users), len(self.items))
        ones = np.ones(len(rows), dtype=np.float32)
        return csr_matrix((ones, (rows, self.seen.ravel())), shape=shape)


def topn_of(spark: SparkSession, world: World) -> DataFrame:
    ids = pa.array([f"u{user:07}" for user in range(len(world.users))])
    table = pa.table({"user_id": ids, "factors": lists(world.users), "seen": lists(world.seen)})
    users = kept(spark.createDataFrame(table).repartition(THREADS))
    name = ship_array(spark.sparkContext, world.items)
    return top_by_factors(users, name, N, memory_mb=MEMORY_MB)


def to_nowhere(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def lists(matrix: npt.NDArray[np.generic]) -> pa.Array:
    starts = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(matrix.ravel()))


def kept(rows: DataFrame) -> DataFrame:
    kept = rows.persist()
    kept.count()
    return kept


def peak_mb(spark: SparkSession) -> int:
    """The most memory that a Python worker ever had; Spark keeps workers for later jobs."""
    rows = spark.range(0, 64, numPartitions=8 * THREADS).mapInArrow(_peaks, "pid long, mb long")
    return max(row["mb"] for row in rows.collect())


def _peaks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    time.sleep(0.2)  # or one worker is quick enough to take all tasks
    for _ in batches:
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "mb": [kilobytes >> 10]})
