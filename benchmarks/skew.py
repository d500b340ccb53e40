"""A rebuild of interests where one user, or one item, has far more events than any other.

    .venv/bin/python benchmarks/skew.py [--events 10000000] [--repeats 3] [--work FOLDER]

Three tables of as many events: no skew, one user with a tenth of all events, one item with half
of them. Each is rebuilt in the facets item and category, so that the join with the items meets
the hot one too. Prints seconds and ratios of medians (1 is as fast as without skew), and on the
last line the ratios as JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from peers import Sums
from pyspark.sql import SparkSession
from synthetic import Made, Skew, write_events, write_items
from timing import THREADS, Way, Ways, read, report, seconds, session, write

from interests import DAYS, FACETS, rebuild

SKEWS: tuple[Skew, ...] = ("none", "user", "key")
COMPARED = {
    "user_skew_vs_none": ("user", "none"),
    "key_skew_vs_none": ("key", "none"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    options = parser.parse_args()
    spark = session("benchmark of skew")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-skew-") as name:
        folder = Path(name)
        ways: Ways = {
            str(skew): _way(spark, Made(options.events, skew=skew), folder) for skew in SKEWS
        }
        taken = seconds(ways, options.repeats, folder / "results")
    title = f"{options.events:,} events, {THREADS} threads, by skew"
    report(title, taken, COMPARED, {"events": options.events, "repeats": options.repeats})
    return 0


def _way(spark: SparkSession, made: Made, folder: Path) -> Way:
    events, items = folder / f"events-{made.skew}", folder / f"items-{made.skew}"
    write_events(spark, made, events)
    write_items(spark, made, items)
    sums = Sums(made.as_of, windows=DAYS, half_lives=DAYS)
    return lambda out: write(rebuild(read(spark, events), read(spark, items), sums, FACETS), out)


if __name__ == "__main__":
    sys.exit(main())
