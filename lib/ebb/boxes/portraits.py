"""The box of portraits: asks a chat endpoint about people whose interests moved."""

from __future__ import annotations

import os
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.answers import remark_of, trouble_of
from ebb.boxes.inputs import versions
from ebb.boxes.interests import night_interests
from ebb.boxes.labels import labels_made
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.language.asking import Asker
from ebb.language.portraits import PORTRAYED, portrayed, version_of
from ebb.language.portraits_due import due, latest_portraits
from ebb.language.settings import Portraits
from ebb.schema import EVENTS, ITEMS, PORTRAITS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

_SECTIONS = ("events", "items", "interests", "language")


def portraits(night: Night, log: RunLog) -> Outcome | None:
    """Make portraits of as many people as there is a budget for, the most active first."""
    settings = night.config.language and night.config.language.portraits
    if not settings:
        return None
    version = version_of(settings)

    def work(stamp: Stamp) -> StepRun:
        with stored(_due(night, settings, version)) as people:
            rows = _asked(people, settings).select(
                F.lit(night.as_of).alias("as_of"), F.lit(version).alias("version"), "*"
            )
            written = night.tables.write_slice(PORTRAITS, rows, stamp).rows_written
            waiting = people.count() - written
        trouble = trouble_of(night.tables.read_slice(PORTRAITS, night.as_of))
        counts = {"portraits": written, "waiting": waiting, **trouble}
        return StepRun(counts, remark_of(f"{written:,} people", waiting, trouble))

    inputs = {**versions(night, EVENTS, ITEMS), **labels_made(night, night.config.facets)}
    stamp = stamp_for(night, "portraits", _SECTIONS, inputs)
    # Each answer is paid for: late input alone asks nobody again.
    return run_step(night, log, PORTRAITS, stamp, work, published=True)


def _due(night: Night, settings: Portraits, version: str) -> DataFrame:
    tables = night.tables
    return due(
        night_interests(night),
        versions_at(tables.read(ITEMS), night.as_of).select("item_id", "title"),
        latest_portraits(tables.read(PORTRAITS), night.as_of),
        night.config.interests.rank_by,
        version,
        settings,
    )


def _asked(people: DataFrame, settings: Portraits) -> DataFrame:
    asker = Asker(settings, os.environ.get(settings.key_from))
    some = people.orderBy(F.desc("activity"), "user_id").limit(settings.budget).coalesce(1)
    return some.select("user_id", "keys").mapInArrow(partial(portrayed, settings, asker), PORTRAYED)
