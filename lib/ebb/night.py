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
from pathlib import Path

from ebb.boxes import evaluate as evaluate_box
from ebb.boxes import features as features_box
from ebb.boxes import foretell as foretell_box
from ebb.boxes import forgetting as forgetting_box
from ebb.boxes import interests as interests_box
from ebb.boxes import labels as labels_box
from ebb.boxes import portraits as portraits_box
from ebb.boxes import slates as slates_box
from ebb.boxes import train as train_box
from ebb.boxes import vectors as vectors_box
from ebb.boxes import watch as watch_box
from ebb.boxes.choose import Decision, choose_strategy
from ebb.boxes.ranker import settings_of
from ebb.boxes.study import study, write_study
from ebb.boxes.tracked import tracked_study
from ebb.context import Night
from ebb.durations import format_instant
from ebb.evaluate.report import report_of
from ebb.evaluate.table import print_study
from ebb.events.catalogue import ingest_items
from ebb.events.ingest import Intake, ingest_events
from ebb.events.users import ingest_users
from ebb.events.world import make_world, world_exists
from ebb.foretell import learn as foretell_learn
from ebb.forgetting.measures import as_yaml, learned_curves, plot_curves, print_fits
from ebb.ranker.trees import require_xgboost
from ebb.schema import FORGETTING_CURVES, FORGETTING_FITS
from ebb.sequences import fit as sequences_fit
from ebb.steps import Outcome, RunLog, StepRun, logged
from ebb.summary import NightSummary, print_queries, print_summary
from ebb.tables import Stamp
from ebb.tracking import require_mlflow, track


def nightly(night: Night) -> None:
    """Run every box of the night and print what came of it."""
    require_extras(night)
    if night.config.foretell is not None:
        foretell_learn.require_torch()
    # A backfill's nights share one record.
    started, before = time.monotonic(), len(night.progress.record)
    with _log(night) as log:
        intake = _ingest(night, log)
        outcomes = [
            *_read_texts(night, log),
            forgetting_box.forgetting_when_due(night, log),
            interests_box.interests(night, log),
            interests_box.interests_now(night, log),
            portraits_box.portraits(night, log),
            features_box.features(night, log),
            foretell_box.foretell(night, log),
            *_judge_and_watch(night, log),
            *_models_and_slates(night, log),
        ]
    ran = any(outcome and outcome.run for outcome in outcomes)
    steps, taken = night.progress.record[before:], time.monotonic() - started
    print_summary(NightSummary.of(night, intake, ran, taken, steps))
    if ran:
        print_queries(night.tables, format_instant(night.as_of))


def require_extras(night: Night) -> None:
    """Tell what isn't installed before hours of other work, not after.

    Raises
    ------
    RunError
        When the configuration asks for a model whose extra isn't installed.
    """
    if settings_of(night) is not None:
        require_xgboost()
        require_mlflow(night)
    if night.config.train.sequences is not None:
        sequences_fit.require_torch()


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
        _read_texts(night, log)
        interests_box.interests(night, log)
        interests_box.interests_now(night, log)
        features_box.features(night, log)


def forgetting(night: Night, plot: Path | None = None) -> None:
    """Learn how fast people forget, and print the learned curves as measures to paste.

    Parameters
    ----------
    plot : where to draw the curves.
    """
    with _log(night) as log:
        _read_texts(night, log)
        forgetting_box.learn_forgetting(night, log)
    print_fits(night.tables.read_slice(FORGETTING_FITS, night.as_of))
    curves = learned_curves(night.tables.read_slice(FORGETTING_CURVES, night.as_of))
    print(as_yaml(curves) if curves else "Nobody came back to anything: there is no curve.")
    if plot is not None:
        plot_curves(curves, plot)
        print(f"Drawn: {plot}")


def train(night: Night) -> None:
    """Choose what to rank by, where no choice holds, and fit the models of the night."""
    require_extras(night)
    with _log(night) as log:
        _read_texts(night, log)
        decision, _ = choose_strategy(night, log)
        train_box.train(night, log, decision)


def recommend(night: Night) -> None:
    """Make the slates and the hot list of the night."""
    with _log(night) as log:
        decision = Decision.required(night)
        slates_box.recommend(night, log, decision)
        slates_box.write_hot_list(night, log, decision)


def evaluate(night: Night, report: Path | None = None) -> None:
    """Judge every strategy, and published slates, by what users did before as_of.

    Parameters
    ----------
    report : where the report goes; None is evaluation-<as_of>.html in the working folder.
    """
    require_mlflow(night)
    with _log(night) as log:
        _read_texts(night, log)
        _judge_and_watch(night, log)
        found = study(night)
        write_study(night, found)
    track(night, tracked_study(night, found))
    print_study(found)
    path = report or Path(f"evaluation-{night.as_of:%Y-%m-%d}.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_of(night, found), encoding="utf-8")
    print(f"Report: {path}")


def _read_texts(night: Night, log: RunLog) -> list[Outcome | None]:
    """Encode and label what is new; keys of items and slates lean on it."""
    return [vectors_box.vectors(night, log), *labels_box.labels(night, log)]


def _judge_and_watch(night: Night, log: RunLog) -> list[Outcome | None]:
    """See how the slates of the night before did, and what moved, before anything is chosen."""
    judged = evaluate_box.evaluate(night, log)
    return [judged, watch_box.watch(night, log, judged)]


def _models_and_slates(night: Night, log: RunLog) -> list[Outcome]:
    decision, _ = choose_strategy(night, log)
    return [
        train_box.train(night, log, decision),
        slates_box.recommend(night, log, decision),
        slates_box.write_hot_list(night, log, decision),
    ]


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
