"""A full rebuild of interests against a plain groupBy, DuckDB, Polars, and the usual detours.

    .venv/bin/python benchmarks/interests.py [--events 10000000] [--repeats 3] [--work FOLDER]
        [--peers duckdb polars per_window smoothing buckets]

Each way reads the events' Delta table, sums three windows and three half-lives a user and item
(beside the number of events and the latest), and writes its result: Spark a Delta table, DuckDB
and Polars a Parquet file. All have 2 threads and the same events. Rows and totals of all are
compared first: if they differ, that is all that it says, with exit code 1. Prints seconds and
ratios of medians (1 is as fast, 2 takes twice as long), and on the last line the ratios as JSON.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from peers import (
    Sums,
    by_buckets,
    by_duckdb,
    by_groupby,
    by_groupby_per_window,
    by_groupby_two_facets,
    by_polars,
    by_smoothing,
    write_buckets,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from synthetic import TYPES, Made, write_events, write_items
from timing import THREADS, Way, Ways, read, report, seconds, session, write

from ebb.interests.measures import Interests
from ebb.interests.snapshot import interests_from_events

PEERS = ("duckdb", "polars", "per_window", "smoothing", "buckets")
DAYS = (1, 7, 30)
FACETS = ("item", "category")
BUCKETS = 8
_MEASURE = re.compile(r"n|(count_)?(win|exp)_\d+d")
COMPARED = {
    "rebuild_vs_groupby": ("rebuild", "plain"),
    "sums_vs_groupby": ("sums", "plain"),
    "two_facets_vs_groupby": ("two-facets", "plain"),
    "two_facets_vs_two_groupbys": ("two-facets", "plain-two-facets"),
    "rebuild_vs_duckdb": ("rebuild", "duckdb"),
    "rebuild_vs_polars": ("rebuild", "polars"),
    "sums_vs_duckdb": ("sums", "duckdb"),
    "sums_vs_polars": ("sums", "polars"),
    "long_ids_vs_short": ("rebuild-long-ids", "rebuild"),
    "buckets_vs_groupby": ("buckets", "plain"),
    "buckets_and_layout_vs_groupby": ("buckets-and-layout", "plain"),
    "smoothing_vs_one_pass": ("smoothing", "three-half-lives"),
    "groupby_per_window_vs_one_pass": ("per_window", "three-windows"),
}
# What must come to the same: every way after the first of a row against that first.
EQUAL = (
    ("plain", "rebuild", "sums", "duckdb", "polars", "rebuild-long-ids", "buckets"),
    ("plain-two-facets", "two-facets"),
    ("per_window", "three-windows"),
    ("three-half-lives", "smoothing"),
)


def main() -> int:
    options = _options()
    spark = session("benchmark of interests")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-interests-") as name:
        folder = Path(name)
        for ids in ("short", "long"):
            made = Made(options.events, ids=ids)
            write_events(spark, made, folder / f"events-{ids}")
            write_items(spark, made, folder / f"items-{ids}")
        made = Made(options.events)
        ways = _ways(spark, made, folder, options.peers)
        taken = seconds(ways, options.repeats, folder / "results")
        wrong = _differences(spark, folder / "results", list(ways))
    if wrong:
        print("\n".join(wrong))
        return 1
    title = f"{made.events:,} events of {made.users:,} users, {THREADS} threads"
    report(title, taken, COMPARED, {"events": made.events, "repeats": options.repeats})
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    return parser.parse_args()


def _ways(spark: SparkSession, made: Made, folder: Path, peers: Sequence[str]) -> Ways:
    short, items = folder / "events-short", read(spark, folder / "items-short")
    six = Sums(made.as_of, windows=DAYS, half_lives=DAYS)
    twelve = replace(six, counts=True)
    windows, half_lives = replace(six, half_lives=()), replace(six, windows=())

    def on_spark(rows: Callable[[DataFrame], DataFrame], events: Path = short) -> Way:
        return lambda out: write(rows(read(spark, events)), out)

    long_items = read(spark, folder / "items-long")
    ours: Ways = {
        "plain": on_spark(lambda events: by_groupby(events, six)),
        "rebuild": on_spark(lambda events: rebuild(events, items, six)),
        "sums": on_spark(lambda events: sums_alone(events, items, six)),
        "plain-two-facets": on_spark(lambda events: by_groupby_two_facets(events, items, twelve)),
        "two-facets": on_spark(lambda events: rebuild(events, items, twelve, FACETS)),
        "rebuild-long-ids": on_spark(
            lambda events: rebuild(events, long_items, six), folder / "events-long"
        ),
        "three-windows": on_spark(lambda events: sums_alone(events, items, windows)),
        "three-half-lives": on_spark(lambda events: sums_alone(events, items, half_lives)),
    }
    others: Ways = {
        "duckdb": lambda out: by_duckdb(short, six, out, THREADS),
        "polars": lambda out: by_polars(short, six, out, THREADS),
        "per_window": on_spark(lambda events: by_groupby_per_window(events, windows)),
        "smoothing": on_spark(lambda events: by_smoothing(events, DAYS)),
    }
    if "buckets" in peers:
        laid = folder / "buckets"
        write_buckets(read(spark, short), BUCKETS, laid)

        def with_layout(out: Path) -> None:
            write_buckets(read(spark, short), BUCKETS, out / "laid")
            write(by_buckets(spark, out / "laid", six), out / "sums")

        others = {
            **others,
            "buckets": lambda out: write(by_buckets(spark, laid, six), out),
            "buckets-and-layout": with_layout,
        }
    found = [name for name in others if name.removesuffix("-and-layout") in peers]
    return {**ours, **{name: others[name] for name in found}}


def rebuild(
    events: DataFrame, items: DataFrame, sums: Sums, facets: tuple[str, ...] = ("item",)
) -> DataFrame:
    """Ours, all of it: the measures, share and rank."""
    measures = [
        {"name": f"{prefix}{name}", "aggregate": aggregate, **curve}
        for prefix, aggregate in (("", "sum"), ("count_", "count"))[: 1 + sums.counts]
        for name, curve in _curves(sums).items()
    ]
    by_week = measures[1]["name"]
    settings = Interests.model_validate({"measures": measures, "rank_by": by_week})
    return interests_from_events(events, items, facets, settings, TYPES, sums.as_of)


def _curves(sums: Sums) -> dict[str, dict[str, str]]:
    windows = {f"win_{d}d": {"curve": "window", "length": f"{d}d"} for d in sums.windows}
    half_lives = {
        f"exp_{d}d": {"curve": "exponential", "half_life": f"{d}d"} for d in sums.half_lives
    }
    return {**half_lives, **windows}


def sums_alone(events: DataFrame, items: DataFrame, sums: Sums) -> DataFrame:
    """Ours without what compares a user's keys; Spark leaves out whatever is only for that."""
    rows = rebuild(events, items, sums).drop("share", "rank", "drift", "trend")
    plan = rows._jdf.queryExecution().optimizedPlan().toString()
    if re.search(r"\bWindow\b", plan):
        raise RuntimeError(f"a window is left in the plan of the sums alone:\n{plan}")
    return rows


def _differences(spark: SparkSession, results: Path, ways: Sequence[str]) -> list[str]:
    """A sentence for each result that isn't what the first of its row of EQUAL has."""
    compared = {way for row in EQUAL for way in row}
    totals = {way: _totals(spark, results / way) for way in ways if way in compared}
    return [
        f"{way} and {first} differ in {column}: {totals[way][column]}, {totals[first][column]}"
        for first, *rest in EQUAL
        for way in rest
        if way in totals and first in totals
        for column in sorted(totals[way].keys() & totals[first].keys())
        if not math.isclose(totals[way][column], totals[first][column], rel_tol=_tolerance(way))
    ]


def _tolerance(way: str) -> float:
    # Smoothing takes the last event for now, which is a little before as_of.
    return 1e-2 if way == "smoothing" else 1e-6


def _totals(spark: SparkSession, path: Path) -> dict[str, float]:
    """The rows of a result, and the sum of each of its measures."""
    is_delta = (path / "_delta_log").exists()
    rows = read(spark, path) if is_delta else spark.read.parquet(str(path))
    summed = [F.sum(name).alias(name) for name in rows.columns if _MEASURE.fullmatch(name)]
    totals = rows.agg(F.count(F.lit(1)).alias("rows"), *summed).first()
    return {} if totals is None else {name: float(x) for name, x in totals.asDict().items()}


if __name__ == "__main__":
    sys.exit(main())
