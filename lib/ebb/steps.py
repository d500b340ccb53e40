"""Running a step of a night: skip it when it is complete, say why when it isn't, log what ran.

A step is complete when its table has a commit for that as_of made under the same configuration
from the same input. The log (`runs`) decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ebb.context import Night
from ebb.schema import RUNS, Table
from ebb.tables import Commit, Stamp

COMPLETE = "already complete"


@dataclass
class StepRun:
    """What a step did: its rows by name, and a few words for people."""

    rows: dict[str, int] = field(default_factory=dict)
    remark: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a step ended: the commit that holds its output, and what ran (None: nothing had to)."""

    commit: Commit
    run: StepRun | None


@dataclass
class RunLog:
    """Rows of `runs` of one call of a job, written together at its end."""

    night: Night
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, step: str, started: float, status: str, *, run: StepRun, stamp: Stamp, message: str
    ) -> None:
        self.rows.append(
            {
                "run_id": self.night.run_id,
                "job": self.night.job,
                "step": step,
                "as_of": self.night.as_of,
                "status": status,
                "started_at": datetime.fromtimestamp(started, UTC),
                "seconds": time.time() - started,
                "rows": run.rows,
                "config": stamp.config,
                "versions": dict(stamp.inputs),
                "message": message,
            }
        )

    def write(self) -> None:
        """Append what ran; a call that found everything complete leaves no trace."""
        if not self.rows:
            return
        spark, tables = self.night.spark, self.night.tables
        stamp = Stamp("log", self.night.as_of, "")
        tables.append(RUNS, spark.createDataFrame(self.rows, RUNS.schema).coalesce(1), stamp)
        self.rows.clear()


def stamp_for(
    night: Night, step: str, sections: tuple[str, ...], inputs: Mapping[str, int]
) -> Stamp:
    """The stamp of a step under the night's configuration; it keeps a hash of each section."""
    hashes = {section: night.config.fingerprint(section) for section in sections}
    return Stamp(
        step, night.as_of, night.config.fingerprint(*sections), inputs, {"sections": hashes}
    )


def run_step(
    night: Night,
    log: RunLog,
    table: Table,
    stamp: Stamp,
    work: Callable[[Stamp], StepRun],
    *,
    published: bool = False,
) -> Outcome:
    """Run `work` unless `table` holds its output already.

    Parameters
    ----------
    table : the table whose commit means that the step is complete: the last one it writes.
    stamp : what the step would write now.
    work : does it and writes `table` under that stamp.
    published : people may have seen the output, so late input alone doesn't rewrite it.
    """
    as_of = stamp.as_of
    if as_of is None:
        raise ValueError(f"step {stamp.step} is kept by as_of: its stamp needs one")
    done = night.tables.commit_of(table, stamp.step, as_of)
    why = why_run(done, stamp, rerun=night.rerun)
    if done is not None and why is None:
        night.progress.say(f"{stamp.step} … {COMPLETE}")
        return Outcome(done, None)
    if done is not None and published and why is not None and why.cause == "input":
        night.progress.say(f"{stamp.step} … published before its input changed; --rerun redoes it")
        return Outcome(done, None)
    message = str(why or "")
    if done is not None:
        night.progress.say(f"{stamp.step}: {message}")
    run = logged(night, log, stamp, message, lambda: work(stamp))
    commit = night.tables.commit_of(table, stamp.step, as_of)
    if commit is None:
        raise RuntimeError(f"step {stamp.step} wrote nothing to {table.name}")
    return Outcome(commit, run)


def logged(
    night: Night, log: RunLog, stamp: Stamp, message: str, work: Callable[[], StepRun]
) -> StepRun:
    """Run a step under the progress display and note how it ended."""
    started = time.time()
    with night.progress.step(stamp.step) as shown:
        try:
            run = work()
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"[:1000]
            log.add(stamp.step, started, "failed", run=StepRun(), stamp=stamp, message=failure)
            raise
        shown.note(run.remark)
    log.add(stamp.step, started, "done", run=run, stamp=stamp, message=message)
    return run


@dataclass(frozen=True)
class Why:
    """Why a step runs; as text, a sentence's end for people."""

    cause: Literal["first", "configuration", "input", "asked"]
    moved: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ", ".join(self.moved)
        return {
            "first": "first run for this as_of",
            "configuration": f"rebuilt, since the configuration changed: {listed}",
            "input": f"rebuilt, since its input changed: {listed}",
            "asked": "rebuilt, as --rerun asks",
        }[self.cause]


def why_run(done: Commit | None, stamp: Stamp, *, rerun: bool) -> Why | None:
    """The reason to run a step; None when it is complete."""
    if done is None or done.stamp is None:
        return Why("first")
    before = done.stamp
    if before.config != stamp.config:
        was, now = before.facts.get("sections", {}), stamp.facts.get("sections", {})
        return Why("configuration", tuple(sorted(n for n in now if was.get(n) != now[n])))
    if rerun:
        return Why("asked")
    moved = sorted(name for name in stamp.inputs if before.inputs.get(name) != stamp.inputs[name])
    return Why("input", tuple(moved)) if moved else None
