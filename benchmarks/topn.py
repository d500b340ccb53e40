"""Everybody's top 50 of a factor model against Spark's ALS, `implicit`, and the product alone.

    .venv/bin/python benchmarks/topn.py [--users 20000 50000] [--items 20000 50000] [--rank 64 128]
        [--als 128 1024 4096] [--repeats 3] [--work FOLDER]
    .venv/bin/python benchmarks/topn.py --million [--users 4096] [--items 1000000] [--rank 128]

Needs the extra `bench` (`pip install -e .[bench]`). The n-th of users, items and rank make the n-th
size. Users and items are random vectors, and each user has about 50 seen items that they must not
get. All ways have 2 threads; Spark's write to a noop sink. Java takes a few turns to compile what
it runs, so those that last a second are taken five times before; ALS's last long enough by
themselves. What is timed:

- ``topn``: `top_by_factors`, rows of user, rank, place, score; factors shipped before;
- ``als 4096``: `ALSModel.recommendForAllUsers` at that block size. It can't leave out seen items,
  so it is asked for its top 50 as it is, which is less than the others do;
- ``implicit``: its `recommend`, seen items left out, to numpy arrays in this process, without
  Spark; BLAS with 1 thread and with 2, and the faster one counts;
- ``gemm``: the float32 product alone in numpy, in blocks that stay in the cache, into nowhere.

Before that the tops of ``topn`` and ``implicit`` are compared with plain numpy for some users; exit
code 1 if they differ. Prints seconds and ratios of medians, and on the last line as JSON, by size:

- als_vs_topn: seconds of ALS at its best block size / seconds of topn (10: we are 10 times faster);
- topn_vs_implicit: seconds of topn / seconds of implicit (below 1: we are faster), and
  implicit_vs_topn: the same the other way round (1.4: we are 1.4 times faster);
- topn_vs_gemm: seconds of topn / seconds of the product alone.

`--million` runs ``topn`` alone, once, on a catalogue of a million items, and says how much memory a
Python worker took at most (peak_mb, mapped factors included).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from py4j.java_gateway import JavaObject
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits
from timing import THREADS, Way, ratios, seconds, session
from tops import (
    MEMORY_MB,
    SEEN,
    WARM_UPS,
    N,
    World,
    kept,
    lists,
    peak_mb,
    to_nowhere,
    topn_of,
)

from ebb.recommend.factor_slates import plan_blocks

BLOCKS = (128, 1024, 4096)
# Users and items of a block of the product alone: the fastest of those tried.
GEMM_USERS, GEMM_ITEMS = 512, 2000
CHECKED = 200


def main() -> int:
    options = _options()
    print(_kernels())
    spark = session("benchmark of top n")
    if options.million:
        return million(spark, options)
    found = {}
    for users, items, rank in zip(options.users, options.items, options.rank, strict=True):
        world = World.random(users, items, rank)
        print(f"{world.size}, top {N}, {SEEN} seen items a user, {THREADS} threads", flush=True)
        ways = _ways(spark, world, options.als)
        wrong = _differences(spark, world)
        if wrong:
            print(wrong)
            return 1
        for name in ("topn", "implicit, blas 1", "implicit, blas 2", "gemm") * WARM_UPS:
            ways[name](Path())
        with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-topn-") as folder:
            taken = seconds(ways, options.repeats, Path(folder))
        found[world.size] = _report(world.size, taken)
        spark.catalog.clearCache()
    print(json.dumps({**found, "repeats": options.repeats}))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="*")
    parser.add_argument("--items", type=int, nargs="*")
    parser.add_argument("--rank", type=int, nargs="*")
    parser.add_argument("--als", type=int, nargs="*", default=BLOCKS, help="block sizes to time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    parser.add_argument("--million", action="store_true", help="the memory of a large catalogue")
    options = parser.parse_args()
    options.users = options.users or ([4096] if options.million else [20_000, 50_000])
    options.items = options.items or ([1_000_000] if options.million else [20_000, 50_000])
    options.rank = options.rank or ([128] if options.million else [64, 128])
    return options


# --------------------------------------------------------------------------- the ways
def _ways(spark: SparkSession, world: World, blocks: Iterable[int]) -> dict[str, Way]:
    model = _als_model(spark, world)
    top = topn_of(spark, world)

    def als(block: int) -> Way:
        # PySpark's own setter doesn't reach Java before a `transform`.
        return lambda _: to_nowhere(
            DataFrame(model.setBlockSize(block).recommendForAllUsers(N), spark)
        )

    return {
        "topn": lambda _: to_nowhere(top),
        "implicit, blas 1": lambda _: _implicit(world, 1),
        "implicit, blas 2": lambda _: _implicit(world, 2),
        "gemm": lambda _: _gemm(world),
        **{f"als {block}": als(block) for block in blocks},
    }


def _als_model(spark: SparkSession, world: World) -> JavaObject:
    """The factors as a fitted `ALSModel`, which only Java's constructor makes."""
    frames = []
    for vectors in (world.users, world.items):
        ids = pa.array(np.arange(len(vectors), dtype=np.int32))
        table = pa.table({"id": ids, "features": lists(vectors)})
        frames.append(kept(spark.createDataFrame(table).repartition(THREADS)))
    constructor = spark._jvm.org.apache.spark.ml.recommendation.ALSModel
    model = constructor("als", world.items.shape[1], *(frame._jdf for frame in frames))
    return model.setUserCol("user").setItemCol("item")


def _implicit(world: World, blas_threads: int) -> npt.NDArray[np.int32]:
    model = AlternatingLeastSquares(factors=world.items.shape[1], num_threads=THREADS)
    model.user_factors, model.item_factors = world.users, world.items
    with threadpool_limits(blas_threads, user_api="blas"):
        places, _ = model.recommend(np.arange(len(world.users)), world.seen_matrix(), N=N)
    return places


def _gemm(world: World) -> None:
    out = np.empty((GEMM_USERS, GEMM_ITEMS), dtype=np.float32)
    with threadpool_limits(THREADS, user_api="blas"):
        for first in range(0, len(world.items), GEMM_ITEMS):
            items = world.items[first : first + GEMM_ITEMS]
            for start in range(0, len(world.users), GEMM_USERS):
                users = world.users[start : start + GEMM_USERS]
                np.matmul(users, items.T, out=out[: len(users), : len(items)])


# --------------------------------------------------------------------------- checks and reports
def _differences(spark: SparkSession, world: World) -> str:
    """A sentence when some users' tops aren't those of plain numpy, in double precision."""
    some = World(world.users[:CHECKED], world.items, world.seen[:CHECKED])
    scores = some.users.astype(np.float64) @ some.items.T.astype(np.float64)
    np.put_along_axis(scores, some.seen, -np.inf, axis=1)
    expected = np.sort(scores, axis=1)[:, : -N - 1 : -1]
    rows = topn_of(spark, some).toPandas().sort_values(["user_id", "rank"])
    for name, places in (
        ("topn", rows["place"].to_numpy().reshape(-1, N)),
        ("implicit", _implicit(some, 1)),
    ):
        found = np.take_along_axis(scores, places.astype(np.int64), axis=1)
        # Items that round alike may come in the order of their places.
        if not np.allclose(found, expected, rtol=1.2e-4):
            return f"the tops of {name} aren't those of plain numpy"
    return ""


def _report(size: str, taken: dict[str, list[float]]) -> dict[str, float]:
    """Print a size's tables; returns its ratios, with the best way of each peer."""
    best = dict(taken)
    for peer in ("als", "implicit"):
        ways = [name for name in taken if name.startswith(peer)]
        if ways:
            best[peer] = taken[min(ways, key=lambda name: statistics.median(taken[name]))]
    compared = {
        "als_vs_topn": ("als", "topn"),
        "topn_vs_implicit": ("topn", "implicit"),
        "implicit_vs_topn": ("implicit", "topn"),
        "topn_vs_gemm": ("topn", "gemm"),
    }
    table = Table(size, "min s", "median s", "x topn")
    ours = statistics.median(taken["topn"])
    for name, values in taken.items():
        middle = statistics.median(values)
        table.add_row(name, f"{min(values):.2f}", f"{middle:.2f}", f"{middle / ours:.2f}")
    found = ratios(best, compared)
    lines = Table("ratio of medians", "", "")
    for name, ratio in found.items():
        lines.add_row(name, f"{ratio:.2f}", " / ".join(compared[name]))
    console = Console()
    console.print(table)
    console.print(lines)
    return found


def _kernels() -> str:
    """Which BLAS runs here; `OPENBLAS_CORETYPE` can hold it to a slow one."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    found = {f"{p['internal_api']} {p['version']} {p.get('architecture')}" for p in pools}
    return f"BLAS: {', '.join(sorted(found))}"


# --------------------------------------------------------------------------- a million items
def million(spark: SparkSession, options: argparse.Namespace) -> int:
    (users,), (items,), (rank,) = options.users, options.items, options.rank
    top = topn_of(spark, World.random(users, items, rank))
    start = time.perf_counter()
    to_nowhere(top)
    second = time.perf_counter() - start
    peak = peak_mb(spark)
    planned = plan_blocks(MEMORY_MB, items, rank, N).bytes >> 20
    table = Table(f"{users}x{items}x{rank}", "")
    table.add_row("seconds", f"{second:.1f}")
    table.add_row("a Python worker's peak, MB", f"{peak:,}")
    table.add_row("planned at most, MB", f"{planned:,}")
    Console().print(table)
    print(json.dumps({"peak_mb": peak, "planned_mb": planned, "seconds": round(second, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
