"""Random nights that crash between any two commits: interests read == interests rebuilt?

    .venv/bin/python benchmarks/crashes.py [--nights 60] [--seed 1] [--work FOLDER]

A night lands a file of random events (a quarter of them late by up to a month, returns, dislikes,
rows of earlier files again) and runs the jobs `ingest` and `interests`, and now and then
`maintain`. Before a random one of its commits, or right after it, the night dies, up to three
times; then it is run again. After every night the interests of a random as_of, stored sums and
all, are compared with a rebuild from the distinct events landed, whose ids and counts are checked
in plain Python first. Prints a line a night and, last, the counts of runs as JSON; exit code 1 at
the first difference.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import Row
from timing import session

from ebb.config import Config
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.interests.counted import counted
from ebb.interests.reader import interests_at
from ebb.interests.snapshot import interests_from_events
from ebb.maintain import maintain
from ebb.night import ingest, interests
from ebb.progress import Progress
from ebb.schema import EVENTS, ITEMS
from ebb.tables import Tables

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_USERS, _ITEMS, _EVENTS_A_NIGHT = 40, 12, 150
_LATE, _AGAIN, _CRASHED, _UPKEEP = 0.25, 0.1, 0.6, 0.15
_MOST_CRASHES = 3
_CLOSE = 1e-9
_KINDS = ("view", "view", "view", "buy", "buy", "return", "dislike")
_MEASURES: list[dict[str, Any]] = [
    {"name": "exp_2d", "curve": "exponential", "half_life": "2d"},
    {"name": "exp_30d", "curve": "exponential", "half_life": "30d"},
    {"name": "mean", "curve": "exponential", "half_life": "5d", "aggregate": "average"},
    {"name": "bought", "curve": "window", "length": "60d", "aggregate": "last",
     "event_types": ["buy"]},
    {"name": "win_7d", "curve": "window", "length": "7d"},
    {"name": "line", "curve": "linear", "horizon": "10d"},
    {"name": "days", "curve": "window", "length": "9d", "aggregate": "active_days"},
]  # fmt: skip


class CrashError(BaseException):
    """A process that dies: no handler of errors may catch it."""


@dataclass
class Crashes:
    """Lets a commit fail, before it is made or right after, and counts the commits."""

    at: int = -1
    after: bool = False
    seen: int = 0

    @contextmanager
    def around(self, tables: Tables) -> Iterator[None]:
        """Count the commits made through `tables`, and crash at the one that is due."""
        replace, append, delta = tables.replace, tables.append, tables.delta
        self.seen = 0

        def wrapped(work: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                self.seen += 1
                if self.seen == self.at and not self.after:
                    raise CrashError
                result = work(*args, **kwargs)
                if self.seen == self.at:
                    raise CrashError
                return result

            return call

        names = {"replace": wrapped(replace), "append": wrapped(append), "delta": wrapped(delta)}
        for name, work in names.items():
            setattr(tables, name, work)
        try:
            yield
        finally:
            for name in names:
                delattr(tables, name)


@dataclass
class Run:
    """What a run has done so far."""

    nights: int = 0
    crashes: int = 0
    repeats: int = 0
    upkeep: int = 0
    compared_rows: int = 0
    landed: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    options = parser.parse_args()
    spark = session("random nights with crashes")
    run, draw = Run(), random.Random(options.seed)
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-crashes-") as name:
        tables = Tables(spark, str(Path(name) / "root"))
        for number in range(1, options.nights + 1):
            wrong = one_night(tables, Path(name), number, draw, run)
            print(f"night {number}: {wrong or 'equal'}; {run.crashes} crashes so far", flush=True)
            if wrong:
                return 1
    counts = {name: value for name, value in vars(run).items() if isinstance(value, int)}
    print(json.dumps({**counts, "events": len(set(run.landed)), "seed": options.seed}))
    return 0


def one_night(tables: Tables, folder: Path, number: int, draw: random.Random, run: Run) -> str:
    """Land, run (and crash, and run again), compare; returns the first difference in words."""
    config = _config(tables, folder)
    land(folder, number, draw, run)
    night = Night(
        tables.spark, tables, config, START + number * DAY, Progress(terminal=False), "crashes", "x"
    )
    for _ in range(_MOST_CRASHES):
        if draw.random() > _CRASHED:
            break
        crashes = Crashes(at=draw.randrange(1, 8), after=draw.random() < 0.5)
        try:
            with crashes.around(tables):
                _jobs(night)
        except CrashError:
            run.crashes += 1
            tables = Tables(tables.spark, tables.root)  # a new process knows nothing
            night = Night(
                tables.spark, tables, config, night.as_of, night.progress, "crashes", "again"
            )
    _jobs(night)
    if draw.random() < _UPKEEP:
        maintain(night)
        run.upkeep += 1
    if draw.random() < _AGAIN:
        _jobs(night)
        run.repeats += 1
    run.nights += 1
    as_of = (
        night.as_of if draw.random() < 0.6 else night.as_of - draw.randrange(1, 40 * 24) * DAY / 24
    )
    return difference(tables, config, max(as_of, START + DAY / 2), run)


def _jobs(night: Night) -> None:
    ingest(night)
    interests(night)


def land(folder: Path, number: int, draw: random.Random, run: Run) -> None:
    """The file of one night; some of its lines were in earlier files."""
    (folder / "events").mkdir(exist_ok=True)
    if number == 1:
        items = [{"item_id": f"i{n}", "category": f"c{n % 3}"} for n in range(_ITEMS)]
        (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    lines = [_line(number, draw) for _ in range(_EVENTS_A_NIGHT)]
    if run.landed:
        lines += draw.sample(run.landed, k=min(10, len(run.landed)))
    draw.shuffle(lines)
    (folder / "events" / f"{number:04d}.jsonl").write_text("".join(lines))
    run.landed += lines


def _line(number: int, draw: random.Random) -> str:
    when = START + (number - 1) * DAY + draw.random() * DAY
    if draw.random() < _LATE:
        when -= math.exp(draw.random() * math.log(30)) * DAY
    kind = draw.choice(_KINDS)
    line = {
        "user_id": f"u{int(_USERS * draw.random() ** 2)}",
        "item_id": f"i{draw.randrange(_ITEMS)}",
        "event_type": kind,
        "ts": when.isoformat(),
        "value": draw.choice([1, 2, 5]) if kind in ("buy", "return") else None,
    }
    return json.dumps(line) + "\n"


def difference(tables: Tables, config: Config, as_of: datetime, run: Run) -> str:
    """The first difference of what is read and what is rebuilt, in words; empty if none."""
    events = tables.read(EVENTS)
    count, landed = events.count(), len(set(run.landed))
    if count != landed:
        return f"{count} events in the table, {landed} distinct ones landed"
    rebuilt = interests_from_events(
        counted(events, config.events, as_of),
        versions_at(tables.read(ITEMS), as_of),
        config.facets,
        config.interests,
        config.events.types,
        as_of,
    )
    found, expected = (
        {(r["user_id"], r["facet"], r["key"]): r for r in rows.collect()}
        for rows in (interests_at(tables, as_of), rebuilt)
    )
    run.compared_rows += len(expected)
    if found.keys() != expected.keys():
        return f"as of {as_of}: keys differ: {sorted(found.keys() ^ expected.keys())[:3]}"
    wrong = (key for key, row in expected.items() if not _same(row, found[key]))
    first = next(wrong, None)
    return f"as of {as_of}: {expected[first]} was read as {found[first]}" if first else ""


def _same(one: Row, other: Row) -> bool:
    return all(
        math.isclose(value, other[name], rel_tol=_CLOSE, abs_tol=_CLOSE)
        if isinstance(value, float) and isinstance(other[name], float)
        else value == other[name]
        for name, value in one.asDict().items()
    )


def _config(tables: Tables, folder: Path) -> Config:
    return Config.model_validate(
        {
            "root": tables.root,
            "events": {
                "sources": [
                    {
                        "path": str(folder / "events"),
                        "format": "jsonl",
                        "columns": {"value": "value"},
                    }
                ],
                "types": {
                    "view": {"weight": 1},
                    "buy": {"weight": 3, "value": {"transform": "log1p"}},
                    "return": {"effect": "cancel", "cancels": ["buy"]},
                    "dislike": {"weight": -2, "effect": "negative"},
                },
            },
            "items": {
                "path": str(folder / "items.jsonl"),
                "format": "jsonl",
                "columns": {"categories": "category"},
            },
            "interests": {
                "measures": _MEASURES,
                "rank_by": "exp_2d",
                "slots": 4,
                "now": False,
            },
        }
    )


if __name__ == "__main__":
    sys.exit(main())
