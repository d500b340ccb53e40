"""What a job shows while it runs."""

from __future__ import annotations

import io
import re
import threading

import pytest

from ebb.progress import Progress


def lines_of(out: io.StringIO) -> list[str]:
    """The lines written, with every time replaced by T."""
    return re.sub(r"\d+\.\d s", "T", out.getvalue()).splitlines()


def test_a_log_tells_the_start_and_the_end_of_each_step() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.step("interests") as step, progress.step("rank"):
        step.note("12 users")
    assert lines_of(out) == [
        "interests … started",
        "  rank … started",
        "  rank … done in T",
        "interests … done in T: 12 users",
    ]


def test_the_record_has_each_step_and_its_seconds() -> None:
    progress = Progress(io.StringIO())
    with progress.step("ingest"), progress.step("events"):
        pass
    assert [name for name, _ in progress.record] == ["events", "ingest"]
    assert all(seconds >= 0 for _, seconds in progress.record)


def test_a_failed_step_is_named_and_not_recorded() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with pytest.raises(ZeroDivisionError), progress.step("train"), progress.step("solve"):
        raise ZeroDivisionError
    assert progress.failed == "solve"
    assert progress.record == []
    assert lines_of(out)[-2:] == ["  solve … failed after T", "train … failed after T"]


def test_an_interrupted_step_is_stopped_rather_than_failed() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with pytest.raises(KeyboardInterrupt), progress.step("train"):
        raise KeyboardInterrupt
    assert lines_of(out)[-1] == "train … stopped after T"


class _Beats(io.StringIO):
    """Tells when a line about the elapsed time was written."""

    def __init__(self) -> None:
        super().__init__()
        self.beaten = threading.Event()

    def write(self, text: str) -> int:
        if re.search(r"… \d+\.\d s", text):
            self.beaten.set()
        return super().write(text)


def test_a_long_step_is_never_silent_in_a_log() -> None:
    out = _Beats()
    with Progress(out, heartbeat=0.01).step("train"):
        assert out.beaten.wait(timeout=10)


def test_a_terminal_keeps_only_the_line_that_closes_a_step() -> None:
    out = io.StringIO()
    progress = Progress(out, terminal=True)
    progress.say("rows [in]: 3")
    with progress.step("ingest") as step:
        step.note("3 rows [kept]")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", out.getvalue())
    assert plain.splitlines()[0] == "rows [in]: 3"
    assert re.fullmatch(r".*ingest … done in \d+\.\d s: 3 rows \[kept\]", plain.splitlines()[-1])
    assert "started" not in plain
