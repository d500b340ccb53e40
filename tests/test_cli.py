"""From a command line to an exit code."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ebb import cli
from ebb.cli import last_midnight, run_job
from ebb.context import Night
from ebb.errors import ConfigError, RunError

CONF = """\
root: tables
run: {as_of: 2026-02-25T00:00:00Z}
events:
  sources: [{path: "landing/*.csv", format: csv}]
  types: {view: {weight: 1}}
"""


class Stage:
    """A job to call, and what became of it: the nights it was given, what was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.nights: list[Night] = []
        self.own: dict[str, Any] = {}
        self.error: BaseException | None = None

    def job(self, night: Night, **own: Any) -> None:
        self.nights.append(night)
        self.own = own
        with night.progress.step("interests"):
            if self.error is not None:
                raise self.error

    def run(self, *argv: str, name: str = "nightly") -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        code = run_job(name, self.job, "What it does.", argv)
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err


@pytest.fixture
def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Stage:
    """A folder with conf/local.yaml, where starting Spark is a mistake of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EBB_COMMAND", raising=False)
    monkeypatch.setattr(cli, "start_session", _must_not_start)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    Path("conf").mkdir()
    Path("conf/local.yaml").write_text(CONF)
    return Stage(capsys)


@pytest.fixture
def live(stage: Stage, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The same with the tests' own session, which must outlive the job."""
    monkeypatch.setattr(cli, "start_session", lambda *_: spark)
    monkeypatch.setattr(cli, "stop_session", lambda _: None)
    return stage


def _must_not_start(*_: object) -> SparkSession:
    raise AssertionError("Spark was started")


# ---------------------------------------------------------------- before Spark starts
@pytest.mark.parametrize(
    "name",
    [
        "nightly",
        "backfill",
        "ingest",
        "interests",
        "train",
        "recommend",
        "evaluate",
        "show",
        "champion",
        "search",
        "maintain",
    ],
)
def test_the_help_of_each_job_has_an_example(stage: Stage, name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        stage.run("--help", name=name)
    assert ended.value.code == 0
    out = stage.capsys.readouterr().out
    assert "What it does." in out
    assert f"examples:\n  ./spark-submit.sh {name}" in out


def test_there_is_a_file_for_each_job_and_nothing_else() -> None:
    files = list((Path(__file__).parents[1] / "jobs").glob("*.py"))
    assert {file.stem for file in files} == set(cli._EXAMPLES)
    for file in files:
        assert "__main__" in file.read_text()
        runpy.run_path(str(file), run_name="imported")  # its imports are there


def test_show_config_prints_the_configuration_and_starts_nothing(stage: Stage) -> None:
    code, out, err = stage.run("--show-config", "--root", "elsewhere", "--set", "recommend.n=3")
    assert code == 0 and err == ""
    assert out.startswith("root: elsewhere\n")
    assert "\n  n: 3\n" in out


@pytest.mark.parametrize(
    ("name", "argv", "sentence"),
    [
        ("nightly", ["--foo"], "unrecognized arguments: --foo (options of spark-submit go after"),
        ("nightly", ["--conf", "x.yaml"], "--conf x.yaml: there is no such file"),
        ("nightly", ["--set", "recommend.n=x"], '--set: recommend.n is "x", expected a whole'),
        ("nightly", ["--as-of", "2026-02-25"], 'argument --as-of: "2026-02-25": has no zone'),
        ("nightly", ["--root"], "argument --root: expected one argument"),
        ("nightly", ["--root", "/proc/x"], '--root: root is "/proc/x", which can\'t be written'),
        ("show", ["user"], "the following arguments are required: ID"),
        ("show", ["item", "5"], "invalid choice: 'item'"),
        ("show", ["user", "5", "--rerun"], "unrecognized arguments: --rerun"),
        ("backfill", ["--from", "2026-02-25T00:00:00Z"], "are required: --to"),
        (
            "backfill",
            ["--from", "2026-02-25T00:00:00Z", "--to", "2026-02-24T00:00:00Z"],
            "--from is later than --to",
        ),
        (
            "backfill",
            ["--from", "2026-02-25T00:00:00Z", "--to", "2026-02-26T00:00:00Z", "--every", "0d"],
            'argument --every: "0d": expected a duration above zero',
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    stage: Stage, name: str, argv: list[str], sentence: str
) -> None:
    code, out, err = stage.run(*argv, name=name)
    assert (code, out) == (2, "")
    assert err.startswith("ebb: ") and err.count("\n") == 1
    assert sentence in err


def test_a_mistake_in_the_file_names_it_as_it_was_written(stage: Stage) -> None:
    Path("conf/local.yaml").write_text(CONF.replace("weight", "wieght"))
    given = str(Path("conf/local.yaml").absolute())
    for argv in ([], ["--conf", given]):
        _, _, err = stage.run(*argv)
        assert err.startswith("ebb: conf/local.yaml, line 5: events.types.view.wieght is not")


# --------------------------------------------------------------------------- as_of
def test_the_last_midnight_is_that_of_utc() -> None:
    eastern = datetime.fromisoformat("2026-02-24T21:30:00-05:00")
    assert last_midnight(eastern) == datetime(2026, 2, 25, tzinfo=UTC)
    assert last_midnight(datetime(2026, 2, 25, tzinfo=UTC)) == datetime(2026, 2, 25, tzinfo=UTC)


def test_as_of_is_the_option_or_the_configuration_or_the_last_midnight(live: Stage) -> None:
    live.run("--as-of", "2026-01-02T03:00:00+03:00")
    live.run()
    Path("conf/local.yaml").write_text(CONF.replace("{as_of: 2026-02-25T00:00:00Z}", "{}"))
    before = last_midnight()
    live.run()
    option, configured, default = (night.as_of for night in live.nights)
    assert option == datetime(2026, 1, 2, tzinfo=UTC)
    assert configured == datetime(2026, 2, 25, tzinfo=UTC)
    assert default in (before, before + timedelta(days=1))


# ------------------------------------------------------------------------- running
def test_a_job_is_handed_its_night(live: Stage, tmp_path: Path) -> None:
    code, out, err = live.run("--rerun", "--root", f"{tmp_path}/r/", "--set", "recommend.n=3")
    night = live.nights[0]
    assert (code, out) == (0, "")
    assert "interests … done in" in err
    assert (night.job, night.rerun) == ("nightly", True)
    assert night.tables.root == f"{tmp_path}/r"
    assert night.config.recommend.n == 3
    assert len(night.run_id) == 32


def test_a_relative_root_is_made_absolute(live: Stage) -> None:
    live.run("--root", "tables/of mine")
    root = live.nights[0].tables.root
    assert root.startswith("/") and root.endswith("/tables/of mine")


def test_each_call_has_a_run_id_of_its_own(live: Stage) -> None:
    live.run()
    live.run()
    assert live.nights[0].run_id != live.nights[1].run_id
    assert not live.nights[0].rerun


def test_a_backfill_is_handed_its_span(live: Stage) -> None:
    live.run(
        "--from", "2026-02-01T00:00:00Z", "--to", "2026-02-03T00:00:00Z", "--every", "12h",
        name="backfill",
    )  # fmt: skip
    assert live.own == {
        "start": datetime(2026, 2, 1, tzinfo=UTC),
        "end": datetime(2026, 2, 3, tzinfo=UTC),
        "every": timedelta(hours=12),
    }


def test_show_is_handed_the_user_even_if_the_id_looks_like_an_option(live: Stage) -> None:
    live.run("user", "-8845298781299428018", name="show")
    assert live.own == {"user_id": "-8845298781299428018", "plot": None}


def test_a_plot_is_drawn_in_a_format_that_its_name_says(live: Stage) -> None:
    live.run("user", "u1", "--plot", "out/u1.html", name="show")
    assert live.own == {"user_id": "u1", "plot": Path("out/u1.html")}
    code, _, told = live.run("user", "u1", "--plot", "u1.gif", name="show")
    assert (code, '"u1.gif" ends in none of .html, .svg, .png, .pdf' in told) == (2, True)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (RunError("landing/ is gone; nothing was changed"), 1, "landing/ is gone; nothing was"),
        (ConfigError("items.columns.title names no column"), 2, "items.columns.title names no"),
        (
            ValueError("no rows"),
            1,
            "interests failed: ValueError: no rows; run again with --verbose for the stack trace",
        ),
        (KeyboardInterrupt(), 130, "interrupted; what is complete stays"),
    ],
)
def test_a_failed_run_is_one_sentence_and_an_exit_code(
    live: Stage, error: BaseException, code: int, sentence: str
) -> None:
    live.error = error
    given, out, err = live.run()
    assert (given, out) == (code, "")
    assert err.splitlines()[-1].startswith(f"ebb: {sentence}")
    assert "Traceback" not in err


def test_verbose_shows_the_stack_trace(live: Stage) -> None:
    live.error = ValueError("no rows")
    code, _, err = live.run("--verbose")
    assert code == 1
    assert "Traceback" in err and "in job" in err
    assert err.splitlines()[-1] == "ebb: interests failed: ValueError: no rows"


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt(), SystemExit(143)])
def test_spark_is_stopped_whatever_happens(
    live: Stage, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    stopped: list[SparkSession] = []
    monkeypatch.setattr(cli, "stop_session", stopped.append)
    live.error = error
    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit):
            live.run()
    else:
        live.run()
    assert len(stopped) == 1


def test_arguments_come_from_the_process_where_none_are_given(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nightly.py", "--show-config"])
    run: Callable[..., int] = run_job
    assert run("nightly", stage.job, "What it does.") == 0
