"""Times ways of doing the same: one warm-up each, then in turn, so that a slow hour hits them all.

What is compared are ratios of medians within one run; seconds of two machines or two days say
little.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console
from rich.table import Table

from ebb.config import Spark
from ebb.session import start_session

# Each writes its whole result into the folder that it is given, which isn't there yet.
Way = Callable[[Path], None]
Ways = Mapping[str, Way]
THREADS = 2


def session(name: str) -> SparkSession:
    conf = {"spark.master": f"local[{THREADS}]", "spark.driver.memory": "10g"}
    return start_session(name, Spark(shuffle_partitions=8, conf=conf))


def read(spark: SparkSession, path: Path) -> DataFrame:
    return spark.read.format("delta").load(str(path))


def write(rows: DataFrame, path: Path) -> None:
    rows.write.format("delta").mode("overwrite").save(str(path))


def seconds(ways: Ways, repeats: int, folder: Path) -> dict[str, list[float]]:
    """Wall-clock seconds of each way, one a repeat; the last results stay under `folder`."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        print("warm-up" if repeat == 0 else f"repeat {repeat} of {repeats}", flush=True)
        for name, way in ways.items():
            second = _once(way, folder / name)
            print(f"  {name}: {second:.1f} s", flush=True)
            if repeat > 0:
                taken[name].append(second)
    return taken


def _once(way: Way, path: Path) -> float:
    shutil.rmtree(path, ignore_errors=True)
    os.sync()  # or the writing left over from the way before counts against this one
    start = time.perf_counter()
    way(path)
    return time.perf_counter() - start


def ratios(
    taken: Mapping[str, list[float]], compared: Mapping[str, tuple[str, str]]
) -> dict[str, float]:
    """Median over median of each pair whose ways were both timed."""
    return {
        name: round(statistics.median(taken[one]) / statistics.median(taken[other]), 3)
        for name, (one, other) in compared.items()
        if one in taken and other in taken
    }


def report(
    title: str,
    taken: Mapping[str, list[float]],
    compared: Mapping[str, tuple[str, str]],
    facts: Mapping[str, int],
) -> None:
    """A table of the seconds, one of the ratios, and on the last line the ratios as JSON."""
    found = ratios(taken, compared)
    console = Console()
    console.print(title)
    times = Table("", "min s", "median s")
    for name, values in taken.items():
        times.add_row(name, f"{min(values):.2f}", f"{statistics.median(values):.2f}")
    console.print(times)
    against = Table("ratio of medians", "", "")
    for name, ratio in found.items():
        one, other = compared[name]
        against.add_row(name, f"{ratio:.2f}", f"{one} / {other}")
    console.print(against)
    print(json.dumps({**found, **facts}))
