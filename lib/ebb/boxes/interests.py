"""The boxes of interests: the stored sums brought up a night, and the table `interests_now`."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame

from ebb.boxes.forgetting import half_lives_held
from ebb.boxes.inputs import versions
from ebb.boxes.labels import labels_made, sections_of_keys
from ebb.context import Night
from ebb.durations import format_instant
from ebb.interests.reader import interests_at
from ebb.interests.state import bring_up
from ebb.schema import EVENTS, INTEREST_STATE, INTERESTS_NOW, ITEMS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.tables import Stamp

_SECTIONS = ("events", "items", "interests")


def interests(night: Night, log: RunLog) -> Outcome:
    """Bring the stored sums up; what they still lack is read from events when they are read."""

    def work(stamp: Stamp) -> StepRun:
        commit, remark = bring_up(night.tables, night.config, stamp)
        return StepRun({"interest_state": commit.rows_written}, remark)

    sections = (*_SECTIONS, *sections_of_keys(night))
    inputs = {**versions(night, EVENTS), **half_lives_held(night)}
    stamp = stamp_for(night, "interests", sections, inputs)
    return run_step(night, log, INTEREST_STATE, stamp, work)


def interests_now(night: Night, log: RunLog) -> Outcome | None:
    """Write everybody's interests as of the night, unless the table holds a later night."""
    if not night.config.interests.now:
        return None
    tables, held = night.tables, _held(night)
    if held and held > night.as_of:
        night.progress.say(f"interests now … kept as of {format_instant(held)}")
        return None

    def work(stamp: Stamp) -> StepRun:
        rows = interests_at(tables, night.as_of)
        top = night.config.interests.top
        kept = rows if top is None else rows.where(rows["rank"] <= top)
        commit = tables.replace(INTERESTS_NOW, kept, None, stamp)
        return StepRun({"interests_now": commit.rows_written}, f"{commit.rows_written:,} rows")

    inputs = inputs_of_interests(night)
    stamp = stamp_for(night, "interests now", (*_SECTIONS, *sections_of_keys(night)), inputs)
    return run_step(night, log, INTERESTS_NOW, stamp, work)


def inputs_of_interests(night: Night) -> dict[str, int]:
    """The versions of what the night's interests are read from."""
    return {
        **versions(night, EVENTS, ITEMS),
        **labels_made(night, night.config.facets),
        **half_lives_held(night),
    }


def night_interests(night: Night) -> DataFrame:
    """Everybody's interests of the night, every key: from `interests_now` where it has them."""
    settings = night.config.interests
    if settings.now and settings.top is None and _held(night) == night.as_of:
        return night.tables.read(INTERESTS_NOW)
    return interests_at(night.tables, night.as_of)


def _held(night: Night) -> datetime | None:
    """The night whose interests `interests_now` holds."""
    stamps = (commit.stamp for commit in night.tables.newest_first(INTERESTS_NOW))
    return next((s.as_of for s in stamps if s and s.step == "interests now"), None)
