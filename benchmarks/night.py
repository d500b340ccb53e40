"""What a night costs against a rebuild, and how its cost grows with the history.

    .venv/bin/python benchmarks/night.py [--days 30 90 180 365] [--per-day 300000] [--nights 8]
        [--slots 32] [--rebuilds 3] [--no-reads] [--work FOLDER]

For each history: so many days of made-up events lie in `events` as ingests and `maintain` leave
them (a file a night for the last week, a file a week before that). One user in fifty is active a
day, drawn anew every day; 2 % of a day's rows are late, by an hour to a month, evenly in log time.

A night is the jobs `ingest` and `interests` for one day's file, until `interests_at` can be read;
the figure is the mean of consecutive nights, with their part of the `maintain` that follows them
(one went before them, too). The rebuild is the same two jobs without stored sums. Reading
everybody, and `interests_now`, are timed beside unless `--no-reads`. Prints seconds and ratios,
and on the last line the ratios as JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table
from timing import session

from ebb.config import Config
from ebb.context import Night
from ebb.events.ingest import by_bucket, user_bucket
from ebb.interests.reader import interests_at
from ebb.maintain import maintain
from ebb.night import ingest, interests
from ebb.progress import Progress
from ebb.schema import EVENTS, FILES, INTEREST_STATE, INTERESTS_NOW, USERS
from ebb.tables import Stamp, Tables

START = datetime(2025, 1, 1, tzinfo=UTC)
_ACTIVE = 0.02
_EVENTS_A_USER = 10
_ITEMS = 50_000
_TASTES = 60
_LATE = 0.02
_FINE = 1 << 30
_SMALL_FILES = 7
_DAYS_A_FILE = 7
MEASURES = [
    {"name": f"exp_{d}d", "curve": "exponential", "half_life": f"{d}d"} for d in (1, 7, 30)
] + [{"name": f"win_{d}d", "curve": "window", "length": f"{d}d"} for d in (1, 7, 30)]


@dataclass(frozen=True)
class Timed:
    """Seconds of one history."""

    days: int
    nights: list[float]
    upkeep: float  # of all these nights together
    rebuilds: list[float]
    read_all: float
    read_some: float
    now: float

    @property
    def night(self) -> float:
        return statistics.mean(self.nights) + self.upkeep / len(self.nights)

    @property
    def rebuild(self) -> float:
        return statistics.median(self.rebuilds)


def main() -> None:
    options = _options()
    spark = session("benchmark of nights")
    found = []
    for days in sorted(options.days):
        with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-night-") as name:
            found.append(time_history(spark, Path(name), days, options))
            _report(found, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, nargs="+", default=[30, 90, 180, 365])
    parser.add_argument("--per-day", type=int, default=300_000)
    parser.add_argument("--nights", type=int, default=8)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--rebuilds", type=int, default=3)
    parser.add_argument("--reads", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    return parser.parse_args()


def time_history(
    spark: SparkSession, folder: Path, days: int, options: argparse.Namespace
) -> Timed:
    tables = Tables(spark, str(folder / "root"))
    config = _config(folder, options.slots)
    said = f"{days} days x {options.per_day:,}"
    made = _timed(lambda: write_history(tables, config, days, options.per_day))
    print(f"{said}: history written in {made:.0f} s", flush=True)
    nights = [_night(tables, config, START + timedelta(days=days + n)) for n in range(20)]
    first = _timed(lambda: interests(nights[0]))
    print(f"{said}: first sums in {first:.0f} s", flush=True)
    land(spark, folder, days, options.per_day)
    _run(nights[1])  # a warm-up that isn't counted
    maintain(nights[1])
    taken = []
    for number in range(1, options.nights + 1):
        land(spark, folder, days + number, options.per_day)
        parts = [_timed(lambda: ingest(nights[number + 1])),  # noqa: B023
                 _timed(lambda: interests(nights[number + 1]))]  # noqa: B023  # fmt: skip
        taken.append(sum(parts))
        print(f"{said}: night {number}: ingest {parts[0]:.1f} s, sums {parts[1]:.1f} s", flush=True)
    upkeep = _timed(lambda: maintain(nights[options.nights + 1]))
    last = nights[options.nights + 1]
    read_some, read_all, now = _reads(tables, last.as_of) if options.reads else (0.0, 0.0, 0.0)
    print(f"{said}: upkeep {upkeep:.1f} s, read {read_some:.1f} s, {read_all:.1f} s", flush=True)
    rebuilds = []
    for number in range(options.rebuilds):
        land(spark, folder, days + options.nights + 1 + number, options.per_day)
        shutil.rmtree(tables.path(INTEREST_STATE))
        as_of = START + timedelta(days=days + options.nights + 2 + number)
        # Other tables objects: these would know the commits of the folder that is gone.
        night = _night(Tables(spark, tables.root), config, as_of)
        rebuilds.append(_timed(lambda: _run(night)))  # noqa: B023
        print(f"{said}: rebuild {rebuilds[-1]:.1f} s", flush=True)
    return Timed(days, taken, upkeep, rebuilds, read_all, read_some, now)


def _reads(tables: Tables, as_of: datetime) -> tuple[float, float, float]:
    """Seconds to read a hundred users, to read everybody, and to write `interests_now`."""
    some = tables.spark.range(100).select(_user(F.col("id") * 7).alias("user_id"))
    stamp = Stamp("interests now", as_of, "")
    return (
        _timed(lambda: _noop(interests_at(tables, as_of, some))),
        _timed(lambda: _noop(interests_at(tables, as_of))),
        _timed(lambda: tables.replace(INTERESTS_NOW, interests_at(tables, as_of), None, stamp)),
    )


def write_history(tables: Tables, config: Config, days: int, per_day: int) -> None:
    """`events`, `users` and the ledger as so many nights would have left them."""
    rows = _events(tables.spark, 0, days, per_day)
    recent = max(0, days - _SMALL_FILES)
    large = -(-recent // _DAYS_A_FILE)
    day = F.col("day")
    file = F.when(day < recent, F.floor(day / _DAYS_A_FILE)).otherwise(day - recent + large)
    laid = rows.withColumn("file", file.cast("int")).repartitionById(
        large + min(days, _SMALL_FILES), "file"
    )
    nothing = F.lit(None).cast("string")
    whole = laid.select(
        F.md5(F.col("number").cast("string")).alias("event_id"),
        *("user_id", "item_id", "event_type"),
        F.col("ts").alias("event_ts"),
        F.lit(None).cast("double").alias("value"),
        F.lit(1.0).alias("weight"),
        nothing.alias("text"),
        nothing.alias("order_id"),
        F.lit(None).cast("map<string,string>").alias("context"),
        F.lit("history").alias("source"),
        F.lit("history").alias("batch_id"),
        F.lit(0).cast("long").alias("batch"),
        user_bucket(F.col("user_id")).alias("user_bucket"),
        F.lit(START).alias("ingested_at"),
    )
    facts = {"earliest": "2024-01-01T00:00:00Z", "batch": 0, "epoch": 0}
    mapping = config.fingerprint("events")
    tables.replace(EVENTS, by_bucket(whole), None, Stamp("ingest", None, mapping, facts=facts))
    users = tables.spark.range(_users(per_day)).select(
        _user(F.col("id")).alias("user_id"),
        F.lit(START - timedelta(days=99)).alias("first_seen"),
        F.lit(None).cast("map<string,string>").alias("attributes"),
    )
    tables.replace(USERS, users, None, Stamp("ingest", None, mapping))
    ledger = tables.spark.range(days).select(
        F.md5(F.col("id").cast("string")).alias("file_id"),
        *(F.lit("history").alias(name) for name in ("source", "path", "batch_id")),
        F.lit("events").alias("kind"),
        F.lit(1).cast("long").alias("length"),
        *(F.lit(START).alias(name) for name in ("modified_at", "ingested_at")),
        F.lit(mapping).alias("mapping"),
    )
    tables.replace(FILES, ledger, None, Stamp("ingest", None, mapping))


def land(spark: SparkSession, folder: Path, day: int, per_day: int) -> None:
    """The file of one day, in the landing folder."""
    rows = _events(spark, day, 1, per_day).select("user_id", "item_id", "event_type", "ts")
    made = folder / "made"
    rows.coalesce(1).write.parquet(str(made))
    (folder / "landing").mkdir(exist_ok=True)
    next(made.glob("*.parquet")).rename(folder / "landing" / f"{day:04d}.parquet")
    shutil.rmtree(made)


def _events(spark: SparkSession, first_day: int, days: int, per_day: int) -> DataFrame:
    """number, day, user_id, item_id, event_type, ts; by hashes of the number, never random."""
    rows = spark.range(first_day * per_day, (first_day + days) * per_day, 1, max(2, days // 8))
    number = F.col("id")
    day = F.floor(number / per_day)
    active = int(_users(per_day) * _ACTIVE)
    user = F.pmod(F.xxhash64(day, F.pmod(F.xxhash64("id"), F.lit(active))), _users(per_day))
    taste = F.floor(F.pow(_uniform(2), 2.2) * _TASTES)
    item = F.pmod(F.xxhash64(user, taste), F.lit(_ITEMS))
    late = F.when(_uniform(4) < _LATE, F.pow(F.lit(720.0), _uniform(5)) * 3600).otherwise(0)
    second = day * 86_400 + F.floor(_uniform(3) * 86_400) - F.floor(late)
    return rows.select(
        number.alias("number"),
        day.alias("day"),
        _user(user).alias("user_id"),
        F.concat(F.lit("i"), item.cast("string")).alias("item_id"),
        F.lit("view").alias("event_type"),
        F.timestamp_seconds(F.lit(int(START.timestamp())) + second).alias("ts"),
    )


def _users(per_day: int) -> int:
    return int(per_day / _EVENTS_A_USER / _ACTIVE)


def _user(number: Column) -> Column:
    return F.concat(F.lit("u"), number.cast("string"))


def _uniform(draw: int) -> Column:
    return F.pmod(F.xxhash64("id", F.lit(draw)), F.lit(_FINE)) / F.lit(float(_FINE))


def _config(folder: Path, slots: int) -> Config:
    return Config.model_validate(
        {
            "root": str(folder / "root"),
            "events": {
                "sources": [{"path": str(folder / "landing"), "format": "parquet"}],
                "types": {"view": {"weight": 1}},
            },
            "interests": {"measures": MEASURES, "slots": slots, "now": False},
        }
    )


def _night(tables: Tables, config: Config, as_of: datetime) -> Night:
    return Night(tables.spark, tables, config, as_of, Progress(terminal=False), "benchmark", "run")


def _run(night: Night) -> None:
    ingest(night)
    interests(night)


def _noop(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(found: list[Timed], options: argparse.Namespace) -> None:
    table = Table(title=f"{options.per_day:,} events a day, {options.slots} slots; seconds")
    headings = (
        *("days", "night, upkeep", "min", "max", "all upkeep", "rebuild (median)", "min "),
        *("rebuild / night", "read 100 users", "read all", "interests_now"),
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for timed in found:
        figures = (
            *(timed.night, min(timed.nights), max(timed.nights), timed.upkeep, timed.rebuild),
            *(min(timed.rebuilds), timed.rebuild / timed.night, timed.read_some),
            *(timed.read_all, timed.now),
        )
        table.add_row(str(timed.days), *(f"{figure:.1f}" for figure in figures))
    Console(width=140).print(table)
    by_days = {timed.days: timed for timed in found}
    shortest, longest = by_days[min(by_days)], by_days[max(by_days)]
    result = {
        f"night_{longest.days}_vs_{shortest.days}": longest.night / shortest.night,
        "rebuild_vs_night": longest.rebuild / longest.night,
        **{f"rebuild_vs_night_{t.days}": t.rebuild / t.night for t in found},
        f"night_{longest.days}_vs_{shortest.days}_without_upkeep": (
            statistics.mean(longest.nights) / statistics.mean(shortest.nights)
        ),
    }
    if options.reads:
        result["interests_now_vs_night"] = longest.now / longest.night
        result["read_all_vs_rebuild"] = longest.read_all / longest.rebuild
    facts = {"per_day": options.per_day, "slots": options.slots, "nights": options.nights}
    print(json.dumps({**{k: round(v, 3) for k, v in result.items()}, **facts}), flush=True)


if __name__ == "__main__":
    main()
