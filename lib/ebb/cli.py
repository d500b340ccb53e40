"""From a command line to a job's exit code: arguments, configuration, session, errors.

0 is success, 2 a mistake in arguments or configuration (told before Spark starts), 1 a failed
run, 130 an interrupted one. Knows nothing of what jobs do.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from ebb.config import Config
from ebb.config_file import load_config, show_config
from ebb.context import Night
from ebb.durations import parse_duration, parse_instant
from ebb.errors import ConfigError, EbbError
from ebb.failures import one_sentence
from ebb.progress import Progress
from ebb.session import absolute, start_session, stop_session
from ebb.tables import Tables

_DEFAULT_CONF = "conf/local.yaml"
_DRAWN = (".html", ".svg", ".png", ".pdf")
_EXIT_FAILED, _EXIT_INTERRUPTED, _EXIT_TERMINATED = 1, 130, 143


# What --plot of a job draws.
_PICTURES = {"show": "the user's interests over time", "forgetting": "the learned curves"}
# What follows ./spark-submit.sh in each job's --help.
_EXAMPLES = {
    "nightly": (
        "nightly",
        "nightly --conf conf/online_retail.yaml --as-of 2011-11-20T00:00:00Z",
        "nightly --root s3a://bucket/ebb -- --master yarn --num-executors 8",
    ),
    "backfill": ("backfill --from 2026-02-01T00:00:00Z --to 2026-02-07T00:00:00Z",),
    "ingest": ("ingest --conf conf/online_retail.yaml",),
    "interests": (
        "interests --as-of 2026-02-25T00:00:00Z --set 'interests.measures[0].half_life=3d'",
    ),
    "forgetting": (
        "forgetting --plot warehouse/curves.html",
        "forgetting --conf conf/online_retail.yaml --as-of 2011-12-09T00:00:00Z",
    ),
    "train": ("train --set train.als.rank=64",),
    "recommend": ("recommend --set recommend.n=20",),
    "evaluate": (
        "evaluate",
        "evaluate --conf conf/online_retail.yaml --as-of 2011-12-09T00:00:00Z "
        "--set evaluate.horizon=20d --set evaluate.nights=3 --report retail.html",
    ),
    "champion": (
        "champion",
        "champion --rollback",
        "champion --rollback 3f1c5a0b9d2e7a46",
    ),
    "search": (
        "search",
        "search --conf conf/online_retail.yaml --as-of 2011-12-09T00:00:00Z "
        "--set search.trials=50 --set search.time=3h",
        "search --set 'search.parameters={recommend.candidates: [20, 40, 80]}'",
    ),
    "maintain": ("maintain", "maintain --set maintain.keep.recommendations=30d"),
    "show": (
        "show user u000042 --plot warehouse/u000042.html",
        "show user 17850 --conf conf/online_retail.yaml",
    ),
}


def run_job(
    name: str, job: Callable[..., None], summary: str | None, argv: Sequence[str] | None = None
) -> int:
    """Run one job from the command line.

    Parameters
    ----------
    name : of the job, as in ``./spark-submit.sh NAME``.
    job : called with the Night, and by keyword with the job's own arguments: `start`, `end`
        and `every` of backfill, `user_id` and `plot` of show, `plot` of forgetting.
    summary : what the job does, in a line, for its `--help`.
    argv : arguments after the job's name; None means the process's.

    Returns
    -------
    int
        The exit code.
    """
    progress = Progress()
    try:
        options, own = _parse(name, summary, argv)
        config = _configured(options)
        as_of = options.as_of or config.run.as_of or last_midnight()
        if options.show_config:
            print(show_config(config), end="")
            return 0
    except EbbError as error:
        _tell(str(error))
        return error.exit_code
    if options.verbose:
        progress = Progress(terminal=False)
    return _run(name, lambda night: job(night, **own), config, as_of, options, progress)


def last_midnight(now: datetime | None = None) -> datetime:
    """The last UTC midnight: what a night without an as_of is for."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _configured(options: argparse.Namespace) -> Config:
    path = Path(options.conf)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())  # as people would write it, in errors
    return load_config(path, sets=options.set, root=options.root)


def _run(
    name: str,
    job: Callable[[Night], None],
    config: Config,
    as_of: datetime,
    options: argparse.Namespace,
    progress: Progress,
) -> int:
    """Run a job inside a session of its own, and end the session whatever happens."""
    spark = None
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with progress.step("start Spark"):
            spark = start_session(f"ebb {name}", config.spark, options.verbose)
        tables = Tables(spark, absolute(spark, config.root))
        rerun = getattr(options, "rerun", False)
        job(Night(spark, tables, config, as_of, progress, name, uuid.uuid4().hex, rerun))
        return 0
    except KeyboardInterrupt:
        _tell("interrupted; what is complete stays, and the same command goes on from there")
        return _EXIT_INTERRUPTED
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        step = progress.failed or name
        expected = isinstance(error, EbbError)
        _tell(str(error) if expected else one_sentence(error, step, options.verbose))
        return error.exit_code if isinstance(error, EbbError) else _EXIT_FAILED
    finally:
        if spark is not None:
            stop_session(spark)


def _terminated(_signal: int, _frame: object) -> NoReturn:
    """A scheduler's stop: leave through the same door as everything else."""
    raise SystemExit(_EXIT_TERMINATED)


def _tell(text: str) -> None:
    """Write an error to stderr, one line a sentence."""
    for line in text.splitlines():
        print(f"ebb: {line}", file=sys.stderr)
    with suppress(OSError):
        sys.stderr.flush()


# ------------------------------------------------------------------------- arguments
class _Parser(argparse.ArgumentParser):
    """argparse that tells mistakes as every other part of ebb does."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            message += " (options of spark-submit go after --)"
        raise ConfigError(f"{message}; {self.prog} --help shows how")


def _checked(read: Callable[[object], Any]) -> Callable[[str], Any]:
    """Turn a reader of config values into one for argparse, its message kept."""

    def value(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f'"{text}": {error}') from None

    return value


def _drawing(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _DRAWN:
        raise argparse.ArgumentTypeError(f'"{text}" ends in none of {", ".join(_DRAWN)}')
    return path


def _parse(
    name: str, summary: str | None, argv: Sequence[str] | None
) -> tuple[argparse.Namespace, dict[str, datetime | timedelta | str | Path | None]]:
    """The common options, and the job's own arguments by the names of its parameters."""
    options = _parser(name, summary).parse_args(argv)
    options.as_of = getattr(options, "as_of", None)
    if name == "backfill":
        if options.start > options.end:
            raise ConfigError("--from is later than --to; expected the earlier as_of first")
        return options, {"start": options.start, "end": options.end, "every": options.every}
    if name == "show":
        return options, {"user_id": options.user_id, "plot": options.plot}
    if name == "forgetting":
        return options, {"plot": options.plot}
    if name == "evaluate":
        return options, {"report": options.report}
    if name == "champion":
        return options, {"rollback": options.rollback}
    return options, {}


def _parser(name: str, summary: str | None) -> _Parser:
    command = os.environ.get("EBB_COMMAND", "./spark-submit.sh")
    parser = _Parser(
        prog=f"{command} {name}",
        description=summary,
        epilog="\n".join(["examples:", *(f"  {command} {line}" for line in _EXAMPLES[name])]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if name == "show":
        parser.add_argument("what", choices=["user"], help="what to show")
        parser.add_argument("user_id", metavar="ID", help="the user, as the source writes it")
    if name in _PICTURES:
        parser.add_argument(
            "--plot",
            type=_drawing,
            metavar="FILE",
            help=f"draw {_PICTURES[name]}: .html, .svg, .png or .pdf",
        )
    if name == "evaluate":
        parser.add_argument(
            "--report",
            type=Path,
            metavar="FILE",
            help="write a report of one HTML file (default: evaluation-<as_of>.html)",
        )
    if name == "champion":
        parser.add_argument(
            "--rollback",
            nargs="?",
            const="",
            metavar="VERSION",
            help="rank by this version, or without one by what ranked before, until the next "
            "choice",
        )
    if name == "backfill":
        _add_span(parser)
    else:
        parser.add_argument(
            "--as-of",
            type=_checked(parse_instant),
            metavar="INSTANT",
            help="everything strictly before it is known, nothing else is "
            "(default: run.as_of, else the last UTC midnight)",
        )
    parser.add_argument(
        "--conf", default=_DEFAULT_CONF, metavar="FILE", help=f"default: {_DEFAULT_CONF}"
    )
    parser.add_argument("--root", metavar="URI", help="where the tables are, instead of root")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrule one setting, e.g. recommend.n=20; may be repeated",
    )
    if name not in ("champion", "maintain", "search", "show"):
        parser.add_argument("--rerun", action="store_true", help="redo steps that are complete")
    parser.add_argument("--verbose", action="store_true", help="Spark's log and stack traces")
    parser.add_argument(
        "--show-config",
        action="store_true",
        help="print the configuration with every default, and do nothing",
    )
    return parser


def _add_span(parser: argparse.ArgumentParser) -> None:
    instant = _checked(parse_instant)
    parser.add_argument(
        "--from", dest="start", type=instant, required=True, metavar="INSTANT", help="first as_of"
    )
    parser.add_argument(
        "--to", dest="end", type=instant, required=True, metavar="INSTANT", help="last as_of"
    )
    parser.add_argument(
        "--every",
        type=_checked(parse_duration),
        default=timedelta(days=1),
        metavar="DURATION",
        help="from one as_of to the next (default: 1d)",
    )
