"""What a running job shows: the step it is in, for how long, and what came of each step.

On a terminal a spinner with a clock; in a log plain lines, and one more every half minute so
that long work is never silent. Writes to stderr: stdout is for results. Never imports Spark.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from ebb.durations import format_seconds

_HEARTBEAT_SECONDS = 30.0


@dataclass
class Step:
    """One step while it runs and after; `seconds` is filled in when it ends."""

    name: str
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    remark: str = ""

    def note(self, text: str) -> None:
        """Say in a few words what came of the step, e.g. ``"4,372 users"``; the last one counts."""
        self.remark = text

    @property
    def elapsed(self) -> str:
        return format_seconds(time.monotonic() - self.started)


class Progress:
    """Shows steps as they run and keeps a record of them.

    Parameters
    ----------
    out : where to write; None means stderr.
    terminal : True draws a spinner, False writes lines; None asks `out`.
    heartbeat : seconds between two lines about a step that still runs, in a log.

    Attributes
    ----------
    record : (step, seconds) of every step that ended well, in the order of their ends.
    failed : name of the innermost step that an exception left, or None.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        terminal: bool | None = None,
        heartbeat: float = _HEARTBEAT_SECONDS,
    ) -> None:
        self.out = out if out is not None else sys.stderr
        if terminal is None:
            terminal = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.record: list[tuple[str, float]] = []
        self.failed: str | None = None
        self._running: list[Step] = []
        self._lock = threading.Lock()
        self._spinner = _Spinner(self.out) if terminal else None
        self._heartbeat = heartbeat

    def say(self, text: str) -> None:
        """Write a line, above the spinner where there is one."""
        if self._spinner is not None:
            self._spinner.say(text)
            return
        with self._lock:
            print(text, file=self.out, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while the block runs. Steps may be nested.

        Yields
        ------
        Step
            Its `note` adds a few words to the line that closes the step.
        """
        step = Step(name)
        indent = "  " * len(self._running)
        self._running.append(step)
        if self._spinner is None:
            self.say(f"{indent}{name} … started")
        try:
            with self._alive(step, indent):
                yield step
        except BaseException as error:
            if self.failed is None:
                self.failed = name
            how = "failed" if isinstance(error, Exception) else "stopped"
            self.say(f"{indent}{name} … {how} after {step.elapsed}")
            raise
        else:
            step.seconds = time.monotonic() - step.started
            self.record.append((name, step.seconds))
            remark = f": {step.remark}" if step.remark else ""
            self.say(f"{indent}{name} … done in {format_seconds(step.seconds)}{remark}")
        finally:
            self._running.remove(step)

    @contextmanager
    def _alive(self, step: Step, indent: str) -> Iterator[None]:
        """Show that the step is still at work: the spinner's row, or a line now and then."""
        if self._spinner is not None:
            with self._spinner.row(f"{indent}{step.name}"):
                yield
            return
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._heartbeat):
                if self._running and self._running[-1] is step:
                    self.say(f"{indent}{step.name} … {step.elapsed}")

        thread = threading.Thread(target=beat, daemon=True, name=f"heartbeat of {step.name}")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class _Spinner:
    """Rich's live display: one row a running step, each with its own clock."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, force_terminal=True, highlight=False, markup=False)
        self._rows = 0
        self._live: RichProgress | None = None

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    @contextmanager
    def row(self, text: str) -> Iterator[None]:
        if self._live is None:
            self._live = RichProgress(
                TextColumn("{task.description}", markup=False),
                SpinnerColumn(),
                _Clock(),
                console=self._console,
                transient=True,
                redirect_stdout=False,  # a result piped to a file must stay on stdout
            )
            self._live.start()
        live = self._live
        task = live.add_task(text, total=None)
        self._rows += 1
        try:
            yield
        finally:
            live.remove_task(task)
            self._rows -= 1
            if self._rows == 0:
                live.stop()
                self._live = None


class _Clock(ProgressColumn):
    """The time a row has been there, in the words of every other figure of ebb."""

    def render(self, task: Task) -> Text:
        return Text(format_seconds(task.elapsed or 0.0), style="dim")
