"""What a training set of the ranker costs against one rebuild of interests from the same events.

    .venv/bin/python benchmarks/training_set.py [--days 30] [--per-day 300000] [--windows 5]
        [--users 1000] [--negatives 200] [--models neighbours] [--repeats 3] [--work FOLDER]

The events are those of benchmarks/night.py. The rebuild computes everybody's interests, three
windows and three half-lives, from all events, and writes them to Delta. The training set is that
of the last label windows of a day each: so many users of each, of each user so many candidates not
taken, with every feature that the blend and the ranker see, written to `training_sets`. Models
are fitted at each window's beginning before the clock starts, and how long that takes is told
apart: a night fits them for its choice, whether there is a ranker or not. It gathers the items'
side and the labels of each window for its choice, too: `rows` is what the training set costs where
these are there already, as they are in a night, and `training set` what it costs where they aren't.
Prints seconds and ratios of medians, and on the last line the ratios as JSON.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from night import MEASURES, START, write_history
from timing import Way, report, seconds, session, write

from ebb.boxes.choose import Grounds, grounds_at
from ebb.boxes.ranker import write_examples
from ebb.boxes.windows import Outlook, Seen, seen_at
from ebb.config import Config
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.interests.counted import counted
from ebb.interests.snapshot import interests_from_events
from ebb.progress import Progress
from ebb.ranker.settings import Ranker
from ebb.schema import EVENTS, ITEMS, TRAINING_SETS
from ebb.tables import Stamp, Tables

COMPARED = {
    "rows_vs_rebuild": ("rows", "rebuild"),
    "training_set_vs_rebuild": ("training set", "rebuild"),
}


def main() -> None:
    options = _options()
    spark = session("benchmark of training sets")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-training-set-") as name:
        folder = Path(name)
        config = _config(folder, options)
        tables = Tables(spark, config.root)
        write_history(tables, config, options.days, options.per_day)
        as_of = START + timedelta(days=options.days)
        progress = Progress(terminal=False)
        night = Night(spark, tables, config, as_of, progress, "benchmark", "run")
        grounds = grounds_at(night)
        with ExitStack() as stack:
            start = time.perf_counter()
            seen = _fitted(night, grounds, options.windows, stack)
            fits = time.perf_counter() - start
            gathered = _outlooks(grounds, seen)
            ways: dict[str, Way] = {
                "rebuild": lambda path: _rebuild(night, path),
                "rows": lambda _: _write(gathered),
                "training set": lambda _: _write(_outlooks(grounds, seen)),
            }
            taken = seconds(ways, options.repeats, folder / "results")
        rows = tables.read(TRAINING_SETS).count()
        events = options.days * options.per_day
        print(f"{rows:,} rows of {len(seen)} windows; their models were fitted in {fits:.0f} s")
        facts = {"events": events, "rows": rows, "windows": len(seen), "repeats": options.repeats}
        report(f"{rows:,} rows over {events:,} events", taken, COMPARED, facts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-day", type=int, default=300_000)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--negatives", type=int, default=200)
    parser.add_argument("--models", nargs="*", default=["neighbours"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    return parser.parse_args()


def _config(folder: Path, options: argparse.Namespace) -> Config:
    ranker = {
        "windows": options.windows,
        "users": options.users,
        "negatives": options.negatives,
    }
    return Config.model_validate(
        {
            "root": str(folder / "root"),
            "events": {
                "sources": [{"path": str(folder / "landing"), "format": "parquet"}],
                "types": {"view": {"weight": 1}},
            },
            "interests": {"measures": MEASURES},
            "train": {"models": options.models, "ranker": ranker},
            # A hundred nominees of each source leave more than 200 that weren't taken.
            "recommend": {"choose": {"horizon": "1d"}, "candidates": 100},
        }
    )


def _fitted(night: Night, grounds: Grounds, windows: int, stack: ExitStack) -> list[Seen]:
    """What could be seen at the beginning of each window, models fitted."""
    chosen = [*grounds.windows, *grounds.further][:windows]
    lives = grounds.columns.half_lives
    return [stack.enter_context(seen_at(night, lives, window)) for window in chosen]


def _rebuild(night: Night, path: Path) -> None:
    config, tables, as_of = night.config, night.tables, night.as_of
    rows = interests_from_events(
        counted(tables.read(EVENTS), config.events, as_of),
        versions_at(tables.read(ITEMS), as_of),
        config.facets,
        config.interests,
        config.events.types,
        as_of,
    )
    write(rows, path)


def _outlooks(grounds: Grounds, seen: list[Seen]) -> list[Outlook]:
    return [one.outlook(grounds.columns) for one in seen]


def _write(outlooks: list[Outlook]) -> None:
    for place, one in enumerate(outlooks):
        night = one.seen.night
        stamp = Stamp("training set", night.as_of, "")
        write_examples(one, night.config.train.ranker or Ranker(), stamp, is_first=place == 0)


if __name__ == "__main__":
    main()
