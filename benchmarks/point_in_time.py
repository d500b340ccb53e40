"""Features at a million instants against one rebuild of interests from the same events.

    .venv/bin/python benchmarks/point_in_time.py [--events 10000000] [--instants 1000000]
        [--repeats 3] [--work FOLDER]

Each way reads the events' Delta table, computes three windows and three half-lives a user and
item, and counts the rows through a noop sink. The rebuild is `interests_from_events` at one as_of,
a groupBy; the features are those at instants drawn over the whole span, once for a key that comes
with each (``asked keys``), once for every key that the user had met (``all keys``). A feature must
cost far less than a rebuild an instant; what is reported is how many rebuilds all of them cost.
Before that the features at the rebuild's own as_of are compared with it; exit code 1 if they
differ. Prints seconds and ratios of medians, and on the last line the ratios as JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import timedelta
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from synthetic import START, TYPES, Made, write_events, write_items
from timing import THREADS, Way, read, report, seconds, session

from ebb.config import Config
from ebb.interests.measures import ExponentialMeasure, Interests, Measure, WindowMeasure
from ebb.interests.point_in_time import features_at
from ebb.interests.snapshot import interests_from_events

DAYS = (1, 7, 30)
COMPARED = {
    "features_vs_rebuild": ("all keys", "rebuild"),
    "asked_features_vs_rebuild": ("asked keys", "rebuild"),
}
CLOSE = 1e-9


def main() -> int:
    options = _options()
    spark = session("benchmark of point-in-time features")
    made, settings = Made(options.events), _settings()
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-point-in-time-") as name:
        folder = Path(name)
        write_events(spark, made, folder / "events")
        write_items(spark, made, folder / "items")
        write_entities(spark, made, options.instants, folder)
        wrong = _differences(spark, made, settings, folder)
        print(f"{wrong:,} rows differ from the rebuild", flush=True)
        ways = _ways(spark, made, settings, folder)
        taken = seconds(ways, options.repeats, folder / "results")
    title = f"{options.instants:,} instants over {made.events:,} events, {THREADS} threads"
    facts = {"events": made.events, "instants": options.instants, "repeats": options.repeats}
    report(title, taken, COMPARED, facts)
    return 1 if wrong else 0


def write_entities(spark: SparkSession, made: Made, instants: int, folder: Path) -> None:
    """Instants of users, and in another table the same with an item that the user has met."""
    users = read(spark, folder / "events").select("user_id", "item_id", "event_id")
    # Every so many-th event's user, at an instant that has nothing to do with the event.
    every = max(1, made.events // instants)
    second = F.pmod(F.xxhash64("event_id"), F.lit(made.days * 86_400))
    drawn = users.where(F.col("event_id").cast("long") % every == 0).select(
        "user_id",
        F.timestamp_seconds(F.lit(int(START.timestamp())) + second).alias("instant"),
        F.lit("item").alias("facet"),
        F.col("item_id").alias("key"),
    )
    drawn.write.format("delta").save(str(folder / "asked"))
    drawn.select("user_id", "instant").write.format("delta").save(str(folder / "instants"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--instants", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    return parser.parse_args()


def _settings() -> Config:
    measures: list[Measure] = [
        *(WindowMeasure(name=f"win_{d}d", curve="window", length=timedelta(days=d)) for d in DAYS),
        *(
            ExponentialMeasure(name=f"exp_{d}d", curve="exponential", half_life=timedelta(days=d))
            for d in DAYS
        ),
    ]
    sources = [{"path": "-", "format": "delta"}]
    return Config.model_validate(
        {
            "root": "-",
            "events": {"sources": sources, "types": {n: t.model_dump() for n, t in TYPES.items()}},
            "interests": Interests(measures=tuple(measures), rank_by="exp_7d"),
        }
    )


def _ways(spark: SparkSession, made: Made, settings: Config, folder: Path) -> dict[str, Way]:
    def to_nowhere(rows: DataFrame) -> None:
        rows.write.format("noop").mode("overwrite").save()

    def features(entities: str) -> DataFrame:
        return _features(spark, read(spark, folder / entities), settings, folder)

    return {
        "rebuild": lambda _: to_nowhere(_rebuild(spark, made, settings, folder)),
        "asked keys": lambda _: to_nowhere(features("asked")),
        "all keys": lambda _: to_nowhere(features("instants")),
    }


def _rebuild(spark: SparkSession, made: Made, settings: Config, folder: Path) -> DataFrame:
    return interests_from_events(
        read(spark, folder / "events"),
        read(spark, folder / "items"),
        settings.facets,
        settings.interests,
        settings.events.types,
        made.as_of,
    )


def _features(
    spark: SparkSession, entities: DataFrame, settings: Config, folder: Path
) -> DataFrame:
    return features_at(
        entities, read(spark, folder / "events"), read(spark, folder / "items"), settings
    )


def _differences(spark: SparkSession, made: Made, settings: Config, folder: Path) -> int:
    """Rows of a hundredth of the users that aren't the same at the rebuild's as_of."""
    some = F.pmod(F.xxhash64("user_id", F.lit(11)), F.lit(100)) == 0
    users = read(spark, folder / "instants").where(some).select("user_id").distinct()
    entities = users.withColumn("instant", F.lit(made.as_of))
    ours = _features(spark, entities, settings, folder)
    theirs = _rebuild(spark, made, settings, folder).join(users, on="user_id", how="left_semi")
    own = ["user_id", "facet", "key"]
    both = ours.alias("ours").join(theirs.alias("theirs"), on=own, how="full")
    columns = [f"{kind}_{d}d" for kind in ("win", "exp") for d in DAYS]
    differ = reduce(Column.__or__, (_differ(name) for name in ["n", *columns]))
    return both.where(differ).count()


def _differ(name: str) -> Column:
    ours, theirs = F.col(f"ours.{name}"), F.col(f"theirs.{name}")
    near = F.abs(ours - theirs) <= F.lit(CLOSE) * F.greatest(F.abs(theirs), F.lit(1.0))
    return ~F.coalesce(near, F.lit(False))


if __name__ == "__main__":
    sys.exit(main())
