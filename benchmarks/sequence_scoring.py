"""Everybody's top 50 by a network's vectors as they lie in Delta, against `benchmarks/topn.py`.

    .venv/bin/python benchmarks/sequence_scoring.py [--users 20000 50000] [--items 20000 50000]
        [--rank 64 128] [--repeats 3] [--work FOLDER]

The n-th of users, items and rank make the n-th size; the vectors are two
longer than that, as a network's of that dimension are. They are random, and each user has about 50
seen items that they must not get. Both ways score with `top_by_factors` to a noop sink:

- ``topn``: as in `benchmarks/topn.py`: the users' vectors are in Spark's storage already;
- ``delta``: the users' vectors are read from the slice in `user_vectors`, and what they have seen
  is joined to them.

Either way the items' vectors were shipped before; reading them from `item_factors` and shipping
them is timed beside. Before that the tops of some users are compared; exit code 1 if they differ.
Prints on the last line as JSON, by size:

- delta_vs_topn: seconds of delta / seconds of topn, of the same pairs of user and item;
- million_users: seconds that delta takes for a million users; items: of bringing the items' side;
- peak_mb: the most memory that a scoring worker took, and planned_mb that it may take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from timing import THREADS, Way, ratios, seconds, session
from tops import MEMORY_MB, WARM_UPS, N, World, kept, lists, peak_mb, to_nowhere, topn_of

from ebb.recommend.factor_slates import plan_blocks, ship_array, top_by_factors
from ebb.recommend.features import SEQUENCE
from ebb.schema import ITEM_FACTORS, USER_VECTORS
from ebb.spread import spread_by_user
from ebb.tables import Stamp, Tables

AS_OF, CHECKED = datetime(2026, 1, 1, tzinfo=UTC), 200


def main() -> int:
    options = _options()
    spark = session("benchmark of scoring by a network's vectors")
    found = {}
    for users, items, rank in zip(options.users, options.items, options.rank, strict=True):
        world = World.random(users, items, rank + 2)
        print(f"{world.size}, top {N}, {THREADS} threads", flush=True)
        with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-scoring-") as folder:
            figures = _compared(spark, world, Path(folder), options.repeats)
        if figures is None:
            print("the tops by vectors from Delta aren't those by vectors in memory")
            return 1
        found[world.size] = figures
        spark.catalog.clearCache()
    print(json.dumps({**found, "repeats": options.repeats}))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="*", default=[20_000, 50_000])
    parser.add_argument("--items", type=int, nargs="*", default=[20_000, 50_000])
    parser.add_argument("--rank", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    return parser.parse_args()


def _compared(
    spark: SparkSession, world: World, folder: Path, repeats: int
) -> dict[str, float] | None:
    tables = Tables(spark, str(folder / "root"))
    _write(tables, world)
    seen = pa.table({"user_id": _ids("u", len(world.users)), "seen": lists(world.seen)})
    known = kept(spark.createDataFrame(seen).repartition(THREADS))
    start = time.perf_counter()
    name = _shipped_items(tables)
    gathered = time.perf_counter() - start
    in_memory = topn_of(spark, world)
    ways: dict[str, Way] = {
        "topn": lambda _: to_nowhere(in_memory),
        "delta": lambda _: to_nowhere(_top(tables, known, name)),
    }
    if not _are_alike(in_memory, _top(tables, known, name)):
        return None
    for way in (*ways.values(),) * WARM_UPS:
        way(Path())
    taken = seconds(ways, repeats, folder / "results")
    items, rank = world.items.shape
    return {
        **ratios(taken, {"delta_vs_topn": ("delta", "topn")}),
        "million_users": round(statistics.median(taken["delta"]) * 1e6 / len(world.users), 1),
        "items": round(gathered, 2),
        "peak_mb": peak_mb(spark),
        "planned_mb": plan_blocks(MEMORY_MB, items, rank, N).bytes >> 20,
    }


def _are_alike(one: DataFrame, other: DataFrame) -> bool:
    """Whether some users have the same best scores; blocks of other users round otherwise."""
    some = F.col("user_id") < f"u{CHECKED:07}"
    scores = [
        rows.where(some).orderBy("user_id", "rank").toPandas()["score"].to_numpy()
        for rows in (one, other)
    ]
    return len(scores[0]) == len(scores[1]) and np.allclose(*scores, rtol=1.2e-4)


def _write(tables: Tables, world: World) -> None:
    """Both sides' vectors, as a night with a network leaves them."""
    for table, key, vectors in (
        (ITEM_FACTORS, "item_id", world.items),
        (USER_VECTORS, "user_id", world.users),
    ):
        rows = pa.table({key: _ids(key[0], len(vectors)), "factors": lists(vectors)})
        frame = tables.spark.createDataFrame(rows).repartition(THREADS)
        whole = frame.select(
            F.lit(AS_OF).alias("as_of"), F.lit(SEQUENCE).alias("model"), *frame.columns
        )
        tables.write_slice(table, whole, Stamp("benchmark", AS_OF, "c"))


def _ids(prefix: str, many: int) -> pa.Array:
    return pa.array([f"{prefix}{place:07}" for place in range(many)])


def _shipped_items(tables: Tables) -> str:
    """Read the items' vectors, in the order of their ids, and bring them to the executors."""
    rows = tables.read_slice(ITEM_FACTORS, AS_OF).where(F.col("model") == SEQUENCE)
    table = rows.select("item_id", "factors").toArrow().sort_by("item_id").combine_chunks()
    vectors = table.column("factors").combine_chunks().flatten().to_numpy()
    matrix = np.ascontiguousarray(vectors.reshape(len(table), -1))
    return ship_array(tables.spark.sparkContext, matrix)


def _top(tables: Tables, seen: DataFrame, name: str) -> DataFrame:
    vectors = tables.read_slice(USER_VECTORS, AS_OF).where(F.col("model") == SEQUENCE)
    users = spread_by_user(vectors.join(seen, on="user_id", how="left"))
    return top_by_factors(users, name, N, memory_mb=MEMORY_MB)


if __name__ == "__main__":
    sys.exit(main())
