"""Sixty nights of a small shop, upkeep every week: what grows with the nights, and what doesn't.

    .venv/bin/python benchmarks/sixty_nights.py [--nights 60] [--work FOLDER]

300 users do 2,000 things a day with 100 items; each night is the jobs `ingest` and `interests`
(with `interests_now`), and every seventh is followed by `maintain`. Every tenth night, files are
counted and readings timed (medians of 3): everybody's interests to a noop sink, and one user's.
Prints them as a table, and as the last line the ratios of night 60 to night 20 as JSON: files of
all tables, everybody's reading, and the nights themselves (medians of the ten up to each).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Table
from timing import session

from ebb.config import Config
from ebb.context import Night
from ebb.interests.reader import interests_at
from ebb.maintain import maintain
from ebb.night import ingest, interests
from ebb.progress import Progress
from ebb.schema import ALL
from ebb.tables import Tables

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
USERS, ITEMS, EVENTS_A_DAY = 300, 100, 2_000
_WEEK, _EVERY, _REPEATS = 7, 10, 3
_FIRST, _LAST = 20, 60


@dataclass(frozen=True)
class Seen:
    """What was found after a night: files by table, and seconds."""

    night: int
    files: dict[str, int]
    read_all: float
    read_one: float
    night_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nights", type=int, default=_LAST)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    options = parser.parse_args()
    spark = session("benchmark of sixty nights")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-nights-") as name:
        found = run_nights(Tables(spark, str(Path(name) / "root")), Path(name), options.nights)
    _report(found)


def run_nights(tables: Tables, folder: Path, nights: int) -> list[Seen]:
    config, draw = _config(tables, folder), random.Random(7)
    taken: list[float] = []
    found: list[Seen] = []
    for number in range(1, nights + 1):
        land(folder, number, draw)
        progress = Progress(terminal=False)
        as_of = START + number * DAY
        night = Night(tables.spark, tables, config, as_of, progress, "benchmark", f"{number}")
        taken.append(_seconds(lambda: ingest(night)) + _seconds(lambda: interests(night)))  # noqa: B023
        if number % _WEEK == 0:
            maintain(night)
        if number % _EVERY == 0 or number == nights:
            found.append(look(tables, number, as_of, statistics.median(taken[-_EVERY:])))
            print(found[-1], flush=True)
    return found


def look(tables: Tables, number: int, as_of: datetime, night_seconds: float) -> Seen:
    one = tables.spark.createDataFrame([("u7",)], "user_id string")
    files = {
        table.name: int(tables.delta(table).detail().collect()[0]["numFiles"])
        for table in ALL
        if tables.exists(table)
    }
    return Seen(
        number,
        files,
        _median(lambda: _noop(interests_at(tables, as_of))),
        _median(lambda: interests_at(tables, as_of, one).collect()),
        night_seconds,
    )


def land(folder: Path, day: int, draw: random.Random) -> None:
    """The file of one day, and before the first the catalogue."""
    (folder / "events").mkdir(exist_ok=True)
    items = [{"item_id": f"i{n}", "category": f"c{n % 10}"} for n in range(ITEMS)]
    if day == 1:
        (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    midnight = START + (day - 1) * DAY
    lines = [
        {
            "user_id": f"u{draw.randrange(USERS)}",
            "item_id": f"i{int(ITEMS * draw.random() ** 2)}",
            "event_type": draw.choice(["view", "view", "view", "buy"]),
            "ts": (midnight + draw.random() * DAY).isoformat(),
        }
        for _ in range(EVENTS_A_DAY)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "events" / f"{day:03d}.jsonl").write_text(text)


def _config(tables: Tables, folder: Path) -> Config:
    measures = [
        {"name": "exp_7d", "curve": "exponential", "half_life": "7d"},
        {"name": "exp_30d", "curve": "exponential", "half_life": "30d"},
        {"name": "win_7d", "curve": "window", "length": "7d"},
    ]
    return Config.model_validate(
        {
            "root": tables.root,
            "events": {
                "sources": [{"path": str(folder / "events"), "format": "jsonl"}],
                "types": {"view": {"weight": 1}, "buy": {"weight": 3}},
            },
            "items": {
                "path": str(folder / "items.jsonl"),
                "format": "jsonl",
                "columns": {"categories": "category"},
            },
            "interests": {"measures": measures, "rank_by": "exp_7d"},
        }
    )


def _noop(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(_REPEATS))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(found: list[Seen]) -> None:
    table = Table(
        title=f"{USERS} users, {EVENTS_A_DAY:,} events a day, upkeep every {_WEEK} nights"
    )
    table.add_column("after night")
    for seen in found:
        table.add_column(str(seen.night), justify="right")
    for name in found[-1].files:
        table.add_row(f"files of {name}", *(str(seen.files.get(name, 0)) for seen in found))
    table.add_row("files", *(str(_files(seen)) for seen in found))
    table.add_row("everybody's interests, s", *(f"{seen.read_all:.2f}" for seen in found))
    table.add_row("one user's interests, s", *(f"{seen.read_one:.2f}" for seen in found))
    table.add_row("a night, s", *(f"{seen.night_seconds:.2f}" for seen in found))
    Console(width=140).print(table)
    by_night = {seen.night: seen for seen in found}
    figures: dict[str, Callable[[Seen], float]] = {
        "files": _files,
        "read": lambda seen: seen.read_all,
        "night": lambda seen: seen.night_seconds,
    }
    known = _FIRST in by_night and _LAST in by_night
    ratios = {
        f"{name}_{_LAST}_vs_{_FIRST}": round(of(by_night[_LAST]) / of(by_night[_FIRST]), 3)
        if known
        else None
        for name, of in figures.items()
    }
    print(json.dumps(ratios), flush=True)


def _files(seen: Seen) -> int:
    return sum(seen.files.values())


if __name__ == "__main__":
    main()
