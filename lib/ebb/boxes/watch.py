"""The box that watches: whether inputs moved since the latest choice, whether slates got worse.

What it finds is told in the summary, kept in `drift`, and makes the choice anew where
`recommend.choose.on_drift` says so. It changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.inputs import versions
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.schema import (
    CHOICES,
    DRIFT,
    EVALUATIONS,
    EVENTS,
    ITEM_FEATURES,
    ITEMS,
    USER_FEATURES,
    Table,
)
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.tables import Commit, Stamp
from ebb.watch.inputs import mixes, numbers_of_items, numbers_of_users
from ebb.watch.series import Course, course_of
from ebb.watch.stability import DRIFTED, STEADY, binned, stability, values_of

_STEP = "watch"
_SECTIONS = ("events", "items", "interests", "features", "watch")
METRIC = "metric"


def watch(night: Night, log: RunLog, judged: Outcome | None) -> Outcome | None:
    """Hold the night's inputs against the latest choice's, and the latest judged slates against
    those before.

    Parameters
    ----------
    judged : how the slates of the night before were judged.
    """
    reference = _reference(night)
    if reference is None:
        night.progress.say(f"{_STEP} … nothing earlier to compare with yet")
        return None

    def work(stamp: Stamp) -> StepRun:
        course = course_at(night)
        found = [tuple(row) for row in _stability(night, reference).collect()]
        rows: list[tuple[Any, ...]] = [
            (night.as_of, of, name, reference.as_of, psi, None, None, count, level)
            for of, name, psi, count, level in found
        ]
        if course is not None:
            level = DRIFTED if course.is_drop else STEADY
            rows.append(
                (night.as_of, METRIC, _metric(night), reference.as_of, None, course.value,
                 course.usual, course.nights, level)
            )  # fmt: skip
        drifted = sorted(f"{row[1]}.{row[2]}" for row in rows if row[-1] == DRIFTED)
        facts = {**stamp.facts, "drifted": drifted}
        listed = night.spark.createDataFrame(rows, DRIFT.schema).coalesce(1)
        commit = night.tables.write_slice(DRIFT, listed, replace(stamp, facts=facts))
        return StepRun({"drift": commit.rows_written}, ", ".join(drifted) or "nothing drifted")

    inputs = {
        **versions(night, EVENTS, ITEMS),
        "choices": reference.version,
        "evaluations": judged.commit.version if judged else -1,
    }
    return run_step(night, log, DRIFT, stamp_for(night, _STEP, _SECTIONS, inputs), work)


def drifted_at(night: Night) -> tuple[str, ...]:
    """The inputs that drifted, and the metrics that dropped, as the night's watch found."""
    commit = night.tables.commit_of(DRIFT, _STEP, night.as_of)
    return tuple(commit.stamp.facts["drifted"]) if commit and commit.stamp else ()


def course_at(night: Night) -> Course | None:
    """How the latest judged slates did beside those of the nights before them."""
    settings = night.config.watch
    rows = (
        night.tables.read(EVALUATIONS)
        .where(
            (F.col("as_of") < F.lit(night.as_of))
            & (F.col("of") == "published")
            & (F.col("metric") == _metric(night))
        )
        .groupBy("as_of")
        .pivot("model", ["ebb", "popularity"])
        .agg(F.first("value"))
        .where(F.col("ebb").isNotNull() & F.col("popularity").isNotNull())
        .orderBy(F.desc("as_of"))
        .limit(settings.nights + 1)
        .collect()[::-1]
    )
    return course_of([r["ebb"] for r in rows], [r["popularity"] for r in rows], settings)


@dataclass(frozen=True)
class _Reference:
    """What the night is held against: an as_of, and the version of the commit that names it."""

    as_of: datetime
    version: int


def _reference(night: Night) -> _Reference | None:
    """The latest choice before the night, else the earliest features, within `watch.reference`."""
    choices = _earlier(night, CHOICES, "choose")
    described = _earlier(night, ITEM_FEATURES, "features")
    return max(choices, key=_by_as_of, default=None) or min(described, key=_by_as_of, default=None)


def _by_as_of(one: _Reference) -> datetime:
    return one.as_of


def _earlier(night: Night, table: Table, step: str) -> list[_Reference]:
    """What a step left for earlier as_of; of one as_of the version that stands."""
    since = night.as_of - night.config.watch.reference
    found: dict[datetime, Commit] = {}
    for commit in night.tables.newest_first(table):
        stamp = commit.stamp
        if stamp and stamp.as_of and stamp.step == step and since <= stamp.as_of < night.as_of:
            found.setdefault(stamp.as_of, commit)
    return [_Reference(as_of, commit.version) for as_of, commit in found.items()]


def _stability(night: Night, reference: _Reference) -> DataFrame:
    tables, config = night.tables, night.config
    events = tables.read(EVENTS)
    catalogue = versions_at(tables.read(ITEMS), night.as_of).select("item_id", "categories")
    dates = (night.as_of, reference.as_of)
    bins = mixes(events, catalogue, *dates, config.watch.window, config.events.shown)
    if config.features is not None:
        watched = {
            USER_FEATURES: numbers_of_users(config.features, config.facets),
            ITEM_FEATURES: numbers_of_items(),
        }
        for table, numbers in watched.items():
            rows = tables.read(table).where(F.col("as_of").isin(*dates))
            sides = rows.withColumn("is_now", F.col("as_of") == F.lit(night.as_of))
            bins = bins.unionByName(binned(values_of(sides, table.name, numbers)))
    return stability(bins, config.watch).orderBy("of", "name")


def _metric(night: Night) -> str:
    return f"ndcg@{night.config.recommend.n}"
