"""The same interests as other people compute them, as well as each knows how.

All read the Parquet files of one Delta table and write user_id, key, n, last_ts and a column for
each window and half-life. Nothing here uses ebb.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

if TYPE_CHECKING:
    import polars as pl

DAY_MICROS = 86_400e6
_KEY = ["user_id", "key"]


@dataclass(frozen=True)
class Sums:
    """What is summed: weights within each window, weights decayed by each half-life, in days."""

    as_of: datetime
    windows: tuple[int, ...] = ()
    half_lives: tuple[int, ...] = ()
    counts: bool = False


# --------------------------------------------------------------------------- Spark
def by_groupby(events: DataFrame, sums: Sums) -> DataFrame:
    """One groupBy of conditional sums: how somebody at home in Spark writes it."""
    return _grouped(events.withColumnRenamed("item_id", "key"), sums)


def by_groupby_two_facets(events: DataFrame, items: DataFrame, sums: Sums) -> DataFrame:
    """A groupBy by item and one by category, one below the other."""
    categories = items.select("item_id", F.explode("categories").alias("key"))
    per_category = events.join(F.broadcast(categories), on="item_id", how="inner")
    facets = {"item": by_groupby(events, sums), "category": _grouped(per_category, sums)}
    return reduce(
        DataFrame.unionByName, [rows.withColumn("facet", F.lit(f)) for f, rows in facets.items()]
    )


def by_groupby_per_window(events: DataFrame, sums: Sums) -> DataFrame:
    """Everything that was ever met, and a groupBy of its own joined on for each window."""
    keyed = events.withColumnRenamed("item_id", "key")
    rows = _grouped(keyed, Sums(sums.as_of))
    for days in sums.windows:
        inside = keyed.where(_age(sums.as_of) <= days)
        window = inside.groupBy(_KEY).agg(F.sum("weight").alias(f"win_{days}d"))
        rows = rows.join(window, on=_KEY, how="left")
    return rows.na.fill(0.0, [f"win_{days}d" for days in sums.windows])


def by_smoothing(events: DataFrame, half_lives: Sequence[int]) -> DataFrame:
    """Weigh the log anew for each half-life, as RePlay's `smoothe_time` has it, and sum.

    Its now is the log's last instant, looked up for each half-life. Its lower limit of a weight
    is left out, as it changes the sums and hardly the time.
    """
    smoothed = [_smoothed(events, half_life) for half_life in half_lives]
    return reduce(lambda one, other: one.join(other, on=_KEY, how="inner"), smoothed)


def _smoothed(events: DataFrame, half_life: int) -> DataFrame:
    [[now]] = events.select(F.max(F.unix_micros("event_ts"))).collect()
    age = (F.lit(now) - F.unix_micros("event_ts")) / DAY_MICROS
    weighed = events.withColumn("weight", F.col("weight") * F.pow(F.lit(0.5), age / half_life))
    return (
        weighed.withColumnRenamed("item_id", "key")
        .groupBy(_KEY)
        .agg(F.sum("weight").alias(f"exp_{half_life}d"))
    )


def _grouped(keyed: DataFrame, sums: Sums) -> DataFrame:
    age, weight, one = _age(sums.as_of), F.col("weight"), F.lit(1.0)
    columns = _columns(sums, age, weight, "")
    if sums.counts:
        columns += _columns(sums, age, one, "count_")
    return keyed.groupBy(_KEY).agg(
        F.count(F.lit(1)).alias("n"), F.max("event_ts").alias("last_ts"), *columns
    )


def _columns(sums: Sums, age: Column, weight: Column, prefix: str) -> list[Column]:
    return [
        *(
            F.sum(F.when(age <= days, weight).otherwise(0.0)).alias(f"{prefix}win_{days}d")
            for days in sums.windows
        ),
        *(
            F.sum(weight * F.exp(age * (-math.log(2) / days))).alias(f"{prefix}exp_{days}d")
            for days in sums.half_lives
        ),
    ]


def _age(as_of: datetime) -> Column:
    return (F.unix_micros(F.lit(as_of)) - F.unix_micros("event_ts")) / DAY_MICROS


# --------------------------------------------------------------------------- without Spark
def _files_of(table: Path) -> list[str]:
    return [unquote(uri) for uri in DeltaTable(str(table)).file_uris()]


def by_duckdb(table: Path, sums: Sums, out: Path, threads: int) -> None:
    """One GROUP BY, written as Parquet."""
    import duckdb

    windows = [
        f"sum(CASE WHEN age <= {days} THEN weight ELSE 0 END) AS win_{days}d"
        for days in sums.windows
    ]
    half_lives = [
        f"sum(weight * exp(age * {-math.log(2) / days})) AS exp_{days}d" for days in sums.half_lives
    ]
    micros = _micros(sums.as_of)
    query = f"""
        SELECT user_id, item_id AS key, count(*) AS n, max(event_ts) AS last_ts,
               {", ".join([*windows, *half_lives])}
        FROM (SELECT *, ({micros} - epoch_us(event_ts)) / {DAY_MICROS} AS age
              FROM read_parquet({_files_of(table)}))
        GROUP BY ALL
    """
    out.mkdir(parents=True)
    with duckdb.connect(
        config={"threads": threads, "preserve_insertion_order": False}
    ) as connection:
        connection.execute(
            f"COPY ({query}) TO '{out / 'rows.parquet'}' (FORMAT parquet, COMPRESSION snappy)"
        )


def by_polars(table: Path, sums: Sums, out: Path, threads: int) -> None:
    """One lazy group_by through the streaming engine, written as Parquet."""
    os.environ["POLARS_MAX_THREADS"] = str(threads)  # read once, by the first import
    import polars as pl

    if pl.thread_pool_size() != threads:
        raise RuntimeError(f"polars has {pl.thread_pool_size()} threads, not {threads}")
    out.mkdir(parents=True)
    _polars_groups(pl.scan_parquet(_files_of(table)), sums).sink_parquet(
        out / "rows.parquet", compression="snappy", maintain_order=False
    )


def _polars_groups(events: pl.LazyFrame, sums: Sums) -> pl.LazyFrame:
    import polars as pl

    age = (_micros(sums.as_of) - pl.col("event_ts").dt.epoch("us")) / DAY_MICROS
    windows = {
        f"win_{days}d": pl.when(pl.col("age") <= days).then("weight").otherwise(0.0).sum()
        for days in sums.windows
    }
    half_lives = {
        f"exp_{days}d": (pl.col("weight") * (pl.col("age") * (-math.log(2) / days)).exp()).sum()
        for days in sums.half_lives
    }
    # Spark's files come with nanoseconds here, which Spark itself can't read.
    last_ts = pl.col("event_ts").max().dt.cast_time_unit("us")
    return (
        events.with_columns(age=age)
        .group_by("user_id", pl.col("item_id").alias("key"))
        .agg(n=pl.len(), last_ts=last_ts, **windows, **half_lives)
    )


# ------------------------------------------------------- Spark's tasks, another engine in them
def write_buckets(events: DataFrame, buckets: int, out: Path) -> None:
    """The events in files that each hold all of their users' events."""
    columns = ("user_id", "item_id", "event_ts", "weight")
    events.select(*columns).repartition(buckets, "user_id").write.parquet(str(out))


def by_buckets(spark: SparkSession, laid: Path, sums: Sums) -> DataFrame:
    """A task a file of `write_buckets`: read and grouped by Polars, without a shuffle."""
    files = [(str(path),) for path in sorted(laid.glob("*.parquet"))]
    spark.sparkContext.addPyFile(__file__)
    paths = spark.createDataFrame(files, "path string").repartition(len(files), "path")
    measures = [f"{curve}_{d}d double" for curve, days in
                (("win", sums.windows), ("exp", sums.half_lives)) for d in days]  # fmt: skip
    schema = ", ".join(["user_id string, key string, n long, last_ts timestamp", *measures])
    return paths.mapInArrow(partial(_group_files, sums), schema)


def _group_files(sums: Sums, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars as pl

    for batch in batches:
        for path in batch.column("path").to_pylist():
            grouped = _polars_groups(pl.scan_parquet(path), sums).collect()
            table = grouped.with_columns(pl.col("n").cast(pl.Int64)).to_arrow()
            text = {name: pa.string() for name in ("user_id", "key")}
            kinds = [(f.name, text.get(f.name, f.type)) for f in table.schema]
            kinds[3] = ("last_ts", pa.timestamp("us", tz="UTC"))
            yield from table.cast(pa.schema(kinds)).to_batches(max_chunksize=100_000)


def _micros(as_of: datetime) -> int:
    return int(as_of.timestamp() * 1_000_000)
