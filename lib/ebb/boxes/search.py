"""The job `search`: tries settings on rolling nights before as_of, and judges the best.

A trial's value is the mean NDCG of what the choice would have been under its settings, on each of
some nights. The latest nights are kept aside for the verdict. Every trial is a row of `trials` as
soon as it is finished, and the same search goes on from there. It never edits a configuration.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from ebb.boxes.choose import SECTIONS
from ebb.boxes.foretell import SECTIONS as FORETOLD
from ebb.boxes.foretold_nights import foretold_nights
from ebb.boxes.inputs import versions
from ebb.boxes.rolling import Nights, means_on, nights_of
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import EbbError, RunError
from ebb.hashes import short_hash
from ebb.schema import EVENTS, ITEMS, TRIALS
from ebb.search.loop import Asked, Course
from ebb.search.proposals import require_optuna
from ebb.search.settings import Parameter, Range
from ebb.search.shown import print_search
from ebb.search.space import (
    Parameters,
    default_parameters,
    is_of_foretelling,
    with_parameters,
)
from ebb.search.trials import Trial, best_of
from ebb.search.verdict import BEST, PRESENT, Verdict, verdict_on
from ebb.steps import RunLog, StepRun, logged
from ebb.tables import Stamp

_STEP = "search"


def search(night: Night) -> None:
    """Try settings within the budget, hold the best against the present ones, print both."""
    require_optuna()
    parameters = night.config.search.parameters or default_parameters(night.config)
    if not parameters:
        raise RunError("there is nothing to search by default here; name search.parameters")
    log = RunLog(night)
    found: list[tuple[Course, Verdict, str]] = []

    def work() -> StepRun:
        study = _Study.of(night, parameters)
        course = study.course(parameters)
        course.run()
        verdict = study.verdict(course.trials)
        found.append((course, verdict, study.rolling.measure))
        return StepRun({"trials": len(course.trials) - 1}, verdict.sentence)

    config = night.config.fingerprint(*_sections(parameters))
    try:
        logged(night, log, Stamp(_STEP, night.as_of, config), "", work)
    finally:
        log.write()
    ((course, verdict, measure),) = found
    print_search(course.trials.values(), verdict, measure)


@dataclass(frozen=True)
class _Study:
    """What trials have in common: the nights that they are tried on, and the stamp of their rows.

    Attributes
    ----------
    name : in `trials`.
    """

    night: Night
    rolling: Nights
    name: str
    stamp: Stamp

    @staticmethod
    def of(night: Night, parameters: Mapping[str, Parameter]) -> _Study:
        with night.progress.step("look at the nights") as shown:
            of_foretelling = is_of_foretelling(parameters)
            rolling = foretold_nights(night) if of_foretelling else nights_of(night)
            shown.note(f"{len(rolling.nights)} to try on, {len(rolling.aside)} kept aside")
        read = versions(night, EVENTS, ITEMS)
        name = _name(night, parameters, rolling, read)
        config = night.config.fingerprint(*rolling.sections)
        return _Study(
            night, rolling, name, Stamp(_STEP, night.as_of, config, read, {"study": name})
        )

    def course(self, parameters: Mapping[str, Parameter]) -> Course:
        """The search, with the trials that were finished before."""
        night = self.night
        rows = night.tables.read(TRIALS).where(F.col("study") == self.name).orderBy("number")
        known = {row["number"]: Trial.of_row(row.asDict()) for row in rows.collect()}
        if known:
            night.progress.say(f"{len(known)} trials of this search are there already")
        settings = night.config.search
        return Course(parameters, settings, night.progress, self.run_trials, self.keep, known)

    def run_trials(self, asked: Asked) -> Iterator[Trial]:
        """Run some at the same time; each when it is finished."""
        if len(asked) == 1:
            yield from (self._tried(number, one) for number, one in asked.items())
            return
        with ThreadPoolExecutor(len(asked)) as pool:
            # Wrapped anew for each: threads must not share the properties of Spark's jobs.
            running = [
                pool.submit(inheritable_thread_target(self.night.spark)(self._tried), number, one)
                for number, one in asked.items()
            ]
            try:
                yield from (done.result() for done in as_completed(running))
            except BaseException:
                self.night.spark.sparkContext.cancelAllJobs()  # or the others are waited for
                raise

    def _tried(self, number: int, parameters: Parameters) -> Trial:
        began, hashed, by_night, refused = time.monotonic(), "", {}, None
        try:
            config = with_parameters(self.night.config, parameters)
            hashed = config.fingerprint(*self.rolling.sections)
            by_night = means_on(self.rolling, config)
        except EbbError as error:
            if not parameters:  # the present configuration: nothing can be compared with it
                raise
            refused = str(error)
        return Trial(number, parameters, by_night, time.monotonic() - began, hashed, refused)

    def keep(self, trial: Trial) -> None:
        """Add its row to `trials`."""
        row = trial.to_row(self.night.as_of, self.name, self.stamp.inputs)
        rows = self.night.spark.createDataFrame([row], TRIALS.schema).coalesce(1)
        self.night.tables.append(TRIALS, rows, self.stamp)

    def verdict(self, trials: Mapping[int, Trial]) -> Verdict:
        """The best trial against the present configuration, on the nights kept aside."""
        best = best_of(trials.values())
        if not best.number:
            return verdict_on(best, None)
        present = self.night.config
        configs = {BEST: with_parameters(present, best.parameters), PRESENT: present}
        with self.night.progress.step("judge the best on what was kept aside"):
            parts = [
                self.rolling.judged(config, self.rolling.aside).assign(model=model)
                for model, config in configs.items()
            ]
        return verdict_on(best, pd.concat(parts))


def _name(
    night: Night, parameters: Mapping[str, Parameter], rolling: Nights, read: Mapping[str, int]
) -> str:
    """Hash of all that the trials of a study hang on: which those are, and how each does."""
    settings = night.config.search
    content = {
        "as_of": format_instant(night.as_of),
        "config": night.config.fingerprint(*rolling.sections),
        "nights": [[format_instant(w.as_of), format_instant(w.until)] for w in rolling.nights],
        "users": night.config.evaluate.users,
        "parameters": {key: _as_content(one) for key, one in parameters.items()},
        "method": [settings.method, settings.seed, settings.at_once],
        "versions": dict(read),
    }
    return short_hash(json.dumps(content, sort_keys=True).encode())


def _sections(parameters: Mapping[str, Parameter]) -> tuple[str, ...]:
    """Of the configuration, that trials hang on."""
    return FORETOLD if is_of_foretelling(parameters) else SECTIONS


def _as_content(parameter: Parameter) -> object:
    return parameter.model_dump(mode="json") if isinstance(parameter, Range) else list(parameter)
