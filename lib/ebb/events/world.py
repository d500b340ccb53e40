"""The demo world: landing files like a real log's, and the truth behind them.

`make_world` writes, below the landing folder,

- ``events/2026-01-01.jsonl.gz`` …: one file a day of arrival (of big worlds several, -00, -01 …);
  user_id, item_id, event_type, ts, value, query, device. Some 2 % of the rows arrive one to
  five days late, 1 % are in the next day's file once more, 0.2 % are broken;
- ``items/items.jsonl.gz``: the catalogue in versions, each valid from its `valid_from` on;
- ``users/users.jsonl.gz``: everybody, those without any event too;

and the tables `world_users` and `world_items`. `world_events.py` has the intensity that events
are drawn from; `world_users` keeps its parameters, so that estimates can be held against them.
The same seed gives the same bytes, on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from ebb.config import World
from ebb.errors import RunError
from ebb.events.world_clock import DAY, Clock
from ebb.events.world_files import HadoopFiles
from ebb.events.world_items import catalogue, item_lines
from ebb.events.world_lines import event_lines
from ebb.events.world_random import Ints
from ebb.events.world_truth import WORLD_ITEMS, WORLD_USERS, item_truth, user_truth
from ebb.events.world_users import user_lines
from ebb.hashes import short_hash
from ebb.tables import Stamp, Tables

EVENTS_A_FILE = 500_000
_EVENTS_A_BATCH = 100_000
_USERS_A_TASK = 5_000
_MAKING = "_making"
_EPOCH = date(1970, 1, 1).toordinal()
Batches = Iterator[pa.RecordBatch]


def world_exists(spark: SparkSession, landing: str) -> bool:
    """Whether the landing folder holds any events file. Reads no content."""
    return bool(HadoopFiles(spark, landing).names("events"))


def make_world(spark: SparkSession, world: World, tables: Tables | None) -> None:
    """Write the landing files, and the truth where `tables` are given.

    All is written below ``_making`` first; the events' folder moves last and as one, so that a
    world with events is a whole world (on object stores, where a folder moves file by file,
    nearly so). The truth goes before it.

    Raises
    ------
    ConfigError
        When the world can't be (fewer items than categories).
    RunError
        When the landing folder holds events already.
    """
    catalogue(world)  # refuses a world that can't be, before Spark is busy with it
    files = HadoopFiles(spark, world.landing)
    if files.names("events"):
        raise RunError(
            f"{world.landing}/events holds events already; remove the folder or name another "
            f"one in world.landing"
        )
    files.delete(_MAKING)
    _write_events(spark, world, files)
    _write_lines(spark, world, files, "items", world.items, item_lines)
    _write_lines(spark, world, files, "users", world.users, user_lines)
    if tables is not None:
        _write_truth(spark, world, tables)
    for kind in ("items", "users"):
        files.delete(f"{kind}/{kind}.jsonl.gz")
        files.rename(f"{_MAKING}/{kind}.jsonl.gz", f"{kind}/{kind}.jsonl.gz")
    files.delete("events")  # an empty folder, else we wouldn't be here
    files.rename(f"{_MAKING}/events", "events")
    files.delete(_MAKING)


def arriving_lines(spark: SparkSession, world: World, partitions: int) -> DataFrame:
    """Every line of the log: day (since 1970) and shard of its file, arrived, line."""
    users = spark.range(0, world.users, 1, partitions)
    return users.mapInArrow(_event_batches(world), "day int, shard int, arrived long, line string")


def shards(world: World) -> int:
    """Files a day: as many as keep one at about `EVENTS_A_FILE` rows."""
    return int(world.users * world.events_per_user_day // EVENTS_A_FILE) + 1


def _event_batches(world: World) -> Callable[[Batches], Batches]:
    count = shards(world)
    users = max(50, int(_EVENTS_A_BATCH / (world.events_per_user_day * world.days)))

    def make(batches: Batches) -> Batches:
        for numbers in _numbers(batches, users):
            lines = event_lines(world, numbers)
            yield pa.RecordBatch.from_pydict(
                {
                    "day": (lines.arrived // DAY).astype(np.int32),
                    "shard": (lines.user % count).astype(np.int32),
                    "arrived": lines.arrived,
                    "line": pa.array(lines.line, pa.string()),
                }
            )

    return make


def _numbers(batches: Batches, most: int) -> Iterator[Ints]:
    """The ids of spark.range in pieces of at most `most`, which bounds a worker's memory."""
    for batch in batches:
        ids = batch.column(0).to_numpy()
        yield from (ids[i : i + most] for i in range(0, len(ids), most))


def _write_events(spark: SparkSession, world: World, files: HadoopFiles) -> None:
    cores = spark.sparkContext.defaultParallelism
    clock, count = Clock.of(world), shards(world)
    days = clock.last_day - clock.start // DAY + 1
    lines = arriving_lines(spark, world, max(cores, -(-world.users // _USERS_A_TASK)))
    raw = f"{_MAKING}/raw"
    (
        lines.repartition(min(days * count, max(4 * cores, 16)), "day", "shard")
        # By file, then in order of arrival. The line breaks ties: the order is total.
        .sortWithinPartitions("day", "shard", "arrived", "line")
        .select("day", "shard", "line")
        .write.partitionBy("day", "shard")
        .option("compression", "gzip")
        .option("maxRecordsPerFile", 0)
        .text(f"{world.landing.rstrip('/')}/{raw}")
    )
    for day in files.names(raw):
        for shard in files.names(f"{raw}/{day}"):
            folder = f"{raw}/{day}/{shard}"
            (part,) = files.names(folder)  # repartition sent the whole file to one task
            name = date.fromordinal(_EPOCH + int(day.removeprefix("day="))).isoformat()
            if count > 1:
                name = f"{name}-{int(shard.removeprefix('shard=')):02d}"
            files.rename(f"{folder}/{part}", f"{_MAKING}/events/{name}.jsonl.gz")


def _write_lines(
    spark: SparkSession,
    world: World,
    files: HadoopFiles,
    kind: str,
    rows: int,
    lines: Callable[[World, Ints], list[str]],
) -> None:
    """One file, in the order of the numbers, by one task."""

    def make(batches: Batches) -> Batches:
        for numbers in _numbers(batches, _USERS_A_TASK):
            yield pa.RecordBatch.from_pydict({"line": pa.array(lines(world, numbers), pa.string())})

    raw = f"{_MAKING}/{kind}"
    (
        spark.range(0, rows, 1, 1)
        .mapInArrow(make, "line string")
        .write.option("compression", "gzip")
        .text(f"{world.landing.rstrip('/')}/{raw}")
    )
    (part,) = files.names(raw)
    files.rename(f"{raw}/{part}", f"{_MAKING}/{kind}.jsonl.gz")


def _write_truth(spark: SparkSession, world: World, tables: Tables) -> None:
    for table, rows, truth in (
        (WORLD_USERS, world.users, user_truth),
        (WORLD_ITEMS, world.items, item_truth),
    ):
        partitions = -(-rows // (4 * _USERS_A_TASK))
        numbers = spark.range(0, rows, 1, partitions)
        found = numbers.mapInArrow(_per_batch(world, truth), table.schema)
        tables.replace(table, found, None, Stamp("world", None, fingerprint(world)))


def _per_batch(
    world: World, truth: Callable[[World, Ints], pa.RecordBatch]
) -> Callable[[Batches], Batches]:
    return lambda batches: (truth(world, numbers) for numbers in _numbers(batches, _USERS_A_TASK))


def fingerprint(world: World) -> str:
    """Hash of all that decides what is in a world: equal hashes, equal bytes."""
    return short_hash(world.model_dump_json(exclude={"landing"}).encode())
