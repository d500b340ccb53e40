"""The night, one function a box: ingest, interests, train, recommend, hot list, evaluate.

Each reads what it needs from the tables, writes its own, and is skipped when that is there
already, so that a rerun after a crash goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes import evaluate as evaluate_box
from ebb.boxes import features as features_box
from ebb.boxes import interests as interests_box
from ebb.boxes.inputs import counted_events, made_by, versions
from ebb.context import Night
from ebb.durations import format_instant
from ebb.events.catalogue import ingest_items
from ebb.events.ingest import Intake, ingest_events
from ebb.events.users import ingest_users
from ebb.events.world import make_world, world_exists
from ebb.models.popularity import popularity
from ebb.models.train import train_models
from ebb.recommend.eligible import eligible_items, items_at, repeat_allowed, users_to_score
from ebb.recommend.hot_list import hot_list
from ebb.recommend.slates import make_slates
from ebb.schema import (
    EVENTS,
    HOT_LIST,
    ITEM_FACTORS,
    ITEMS,
    MODELS,
    NEIGHBOURS,
    RECOMMENDATIONS,
    USERS,
)
from ebb.steps import Outcome, RunLog, StepRun, logged, run_step, stamp_for
from ebb.storage import stored
from ebb.summary import NightSummary, print_queries, print_summary
from ebb.tables import Stamp

_TRAIN = ("events", "items", "train", "recommend")
_RECOMMEND = ("events", "items", "users", "train", "recommend")
_HOT_LIST = ("events", "items", "recommend", "hot_list")


def nightly(night: Night) -> None:
    """Run every box of the night and print what came of it."""
    started = time.monotonic()
    with _log(night) as log:
        intake = _ingest(night, log)
        outcomes = [
            interests_box.interests(night, log),
            interests_box.interests_now(night, log),
            features_box.features(night, log),
            _train(night, log),
            _recommend(night, log),
            _hot_list(night, log),
            evaluate_box.evaluate(night, log),
        ]
    ran = any(outcome and outcome.run for outcome in outcomes)
    print_summary(NightSummary.of(night, intake, ran, time.monotonic() - started))
    if ran:
        print_queries(night.tables, format_instant(night.as_of))


def backfill(night: Night, start: datetime, end: datetime, every: timedelta) -> None:
    """Run the nights of `start`, `start` + `every`, … up to and including `end`."""
    as_of = start
    while as_of <= end:
        night.progress.say(f"night of {format_instant(as_of)}")
        nightly(replace(night, as_of=as_of))
        as_of += every


def ingest(night: Night) -> None:
    """Take in what has landed."""
    with _log(night) as log:
        _ingest(night, log)


def interests(night: Night) -> None:
    """Compute the interests of the night."""
    with _log(night) as log:
        interests_box.interests(night, log)
        interests_box.interests_now(night, log)
        features_box.features(night, log)


def train(night: Night) -> None:
    """Fit the models of the night."""
    with _log(night) as log:
        _train(night, log)


def recommend(night: Night) -> None:
    """Make the slates and the hot list of the night."""
    with _log(night) as log:
        _recommend(night, log)
        _hot_list(night, log)


def evaluate(night: Night) -> None:
    """Judge the slates of the night before by what users did until as_of."""
    with _log(night) as log:
        evaluate_box.evaluate(night, log)


@contextmanager
def _log(night: Night) -> Iterator[RunLog]:
    log = RunLog(night)
    try:
        yield log
    finally:
        log.write()


# --------------------------------------------------------------------------- the boxes
def _ingest(night: Night, log: RunLog) -> Intake:
    _make_world(night, log)
    found: list[Intake] = []

    def work() -> StepRun:
        intake = ingest_events(night.tables, night.config)
        items = ingest_items(night.tables, night.config, night.as_of)
        users = ingest_users(night.tables, night.config, again=intake.again is not None)
        found.append(intake)
        rows = {
            **intake.counts(),
            "items read": items.read,
            "items quarantined": items.refused,
            "users read": users.users,
            "users quarantined": users.refused,
        }
        remark = (
            f"{intake.read:,} rows read, {intake.inserted:,} inserted, "
            f"{intake.repeated:,} repeated, {intake.quarantined:,} quarantined"
            if intake.files
            else "no new files"
        )
        if intake.again:
            remark += f"; everything was read again, since {intake.again}"
        return StepRun(rows, remark)

    stamp = Stamp("ingest", night.as_of, night.config.fingerprint("events"))
    logged(night, log, stamp, "", work)
    if not found[0].files:
        log.rows.pop()
    return found[0]


def _make_world(night: Night, log: RunLog) -> None:
    world = night.config.world
    if world is None or world_exists(night.spark, world.landing):
        return

    def work() -> StepRun:
        make_world(night.spark, world, night.tables)
        return StepRun(remark=f"{world.users:,} users, {world.days} days, in {world.landing}")

    logged(night, log, Stamp("demo world", night.as_of, ""), "the landing folder was empty", work)


def _train(night: Night, log: RunLog) -> Outcome:
    tables = night.tables

    def work(stamp: Stamp) -> StepRun:
        models = train_models(counted_events(night), night.as_of, night.config, stamp.inputs)
        try:
            for table, rows in (
                (NEIGHBOURS, models.neighbours),
                (ITEM_FACTORS, models.item_factors),
            ):
                fitted = night.spark.createDataFrame([], table.schema) if rows is None else rows
                tables.write_slice(table, fitted, stamp)
            # The registry comes last: its commit says that the models are all there.
            commit = tables.write_slice(MODELS, models.registry, stamp)
        finally:
            models.release()
        return StepRun({"models": commit.rows_written}, f"{commit.rows_written} models")

    inputs = versions(night, EVENTS, ITEMS)
    stamp = stamp_for(night, "train", _TRAIN, inputs)
    # Published slates came from these models: late events count from the next night on.
    return run_step(night, log, MODELS, stamp, work, published=True)


def _recommend(night: Night, log: RunLog) -> Outcome:
    tables, settings = night.tables, night.config.recommend
    inputs = versions(night, EVENTS, ITEMS, USERS)
    inputs["models"] = made_by(night, MODELS, "train").version

    def work(stamp: Stamp) -> StepRun:
        with stored(counted_events(night)) as events:
            return slates_of(events, stamp)

    def slates_of(events: DataFrame, stamp: Stamp) -> StepRun:
        repeats = repeat_allowed(events, night.as_of, settings)
        models = tables.read_slice(MODELS, night.as_of)
        version = models.agg(F.max("version")).first()
        slates = make_slates(
            events,
            users_to_score(tables.read(USERS), events, night.as_of, settings),
            items_at(tables.read(ITEMS), events, night.as_of, settings.block),
            popularity(events, night.as_of, settings.popularity.half_life),
            night.as_of,
            settings,
            night.config.train,
            repeat=repeats.allowed,
            neighbours=tables.read_slice(NEIGHBOURS, night.as_of),
            item_factors=tables.read_slice(ITEM_FACTORS, night.as_of),
            model_version=(version[0] if version else None) or "none",
        )
        facts = {**stamp.facts, "repeat": repeats.allowed, "repeat_share": repeats.share}
        commit = tables.write_slice(RECOMMENDATIONS, slates, replace(stamp, facts=facts))
        shown = "allowed" if repeats.allowed else "left out"
        why = f" ({repeats.share:.0%} of recent takes were)" if repeats.share is not None else ""
        return StepRun(
            {"recommendations": commit.rows_written},
            f"{commit.rows_written:,} rows; repeats are {shown}{why}",
        )

    stamp = stamp_for(night, "recommend", _RECOMMEND, inputs)
    return run_step(night, log, RECOMMENDATIONS, stamp, work, published=True)


def _hot_list(night: Night, log: RunLog) -> Outcome:
    tables, settings = night.tables, night.config.recommend

    def work(stamp: Stamp) -> StepRun:
        events = counted_events(night)
        eligible = eligible_items(tables.read(ITEMS), events, night.as_of, settings.block)
        rows = hot_list(events, eligible, night.as_of, night.config.hot_list, settings)
        listed = rows.withColumn("as_of", F.lit(night.as_of))
        commit = tables.write_slice(HOT_LIST, listed, stamp)
        return StepRun({"hot list": commit.rows_written}, f"{commit.rows_written:,} rows")

    inputs = versions(night, EVENTS, ITEMS)
    stamp = stamp_for(night, "hot list", _HOT_LIST, inputs)
    return run_step(night, log, HOT_LIST, stamp, work, published=True)
