"""Upkeep of the tables: old rows cut, small files put together, files that nobody needs removed.

A job of its own, for after the night, when nothing else writes; one table after the other. Each
change is one commit, so that it can be stopped at any moment and run again. None of its commits
is a night's: what was complete stays complete. It never deletes events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table as RichTable

from ebb.boxes.sequences import remove_trainings
from ebb.context import Night
from ebb.durations import format_instant
from ebb.schema import ALL, INTEREST_STATE, INTERESTS_NOW, QUARANTINE, RUNS, Table
from ebb.steps import RunLog, StepRun, logged
from ebb.tables import Stamp, Tables

# Nights write these anew, slot by slot or whole: put together, their files would last a day.
_WRITTEN_ANEW = (INTEREST_STATE, INTERESTS_NOW)
# When a row of a table that isn't sliced by as_of came to be.
_WRITTEN_AT = {RUNS.name: "started_at", QUARANTINE.name: "ingested_at"}
# So few files are read as fast as one; and the log of a run alone is no reason for another.
_FEW = 4
_MIN_SIZE = "spark.databricks.delta.optimize.minFileSize"
_MAX_SIZE = "spark.databricks.delta.optimize.maxFileSize"
# A table's own property: VACUUM goes by it, whatever it is told, and so does reading by version.
_RETENTION = "delta.deletedFileRetentionDuration"
_RETENTION_BY_DEFAULT = "interval 604800 seconds"
_COUNTS = ("rows cut", "files before", "files after", "files removed")
# A vacuum would log itself as two commits, and a version that isn't the table's last can only be
# read for as long as that property says: after a pause the stored sums could not be read.
_VACUUM_LOG = "spark.databricks.delta.vacuum.logging.enabled"
# Tasks that list a table's folder: 10,000 by default, whatever its size.
_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"


def maintain(night: Night) -> None:
    """Look after every table there is, and print what was done."""
    log = RunLog(night)
    try:
        found = {t.name: _looked_after(night, log, t) for t in ALL if night.tables.exists(t)}
        remove_trainings(night)
    finally:
        log.write()
    _print_report(night, {name: run.rows for name, run in found.items() if run.rows})


def _looked_after(night: Night, log: RunLog, table: Table) -> StepRun:
    """The upkeep of one table as a step of `runs`; where nothing had to be done, it isn't one."""
    step = Stamp(f"maintain {table.name}", night.as_of, night.config.fingerprint("maintain"))
    run = logged(night, log, step, "", lambda: _upkeep(night, table))
    if not run.rows:
        log.rows.pop()
    return run


def _upkeep(night: Night, table: Table) -> StepRun:
    tables, settings = night.tables, night.config.maintain
    # Without an as_of, and without an instant that it touched: the stamp of no night.
    stamp = Stamp("maintain", None, night.config.fingerprint("maintain"), facts={"earliest": None})
    before = _detail(tables, table)
    small = table not in _WRITTEN_ANEW and before.files > _FEW
    with tables.merging(stamp):
        cut = _cut(night, table)
        if small:
            _compact(tables, table, settings.file_mb)
        if before.remembers != _interval(settings.vacuum_after):
            _remember(tables, table, settings.vacuum_after)
    after = _detail(tables, table) if cut or small else before
    removed = _vacuum(tables, table, after.files)
    if not cut and after.files == before.files and not removed:
        return StepRun(remark="nothing to do")
    counts = (cut, before.files, after.files, removed)
    remark = "{:,} rows cut, {:,} → {:,} files, {:,} removed".format(*counts)
    return StepRun(dict(zip(_COUNTS, counts, strict=True)), remark)


# ------------------------------------------------------------------------------ rows
def _cut(night: Night, table: Table) -> int:
    """Delete the rows that are older than `maintain.keep` allows; how many there were."""
    keep: timedelta | None = getattr(night.config.maintain.keep, table.name, None)
    if keep is None:
        return 0
    rows = night.tables.read(table)
    old = F.col(_WRITTEN_AT.get(table.name, "as_of")) < F.lit(_seen_from(night, table, rows) - keep)
    count = rows.where(old).count()
    if count:  # a deletion of nothing would be a commit all the same
        night.tables.delta(table).delete(old)
    return count


def _seen_from(night: Night, table: Table, rows: DataFrame) -> datetime:
    """The instant that ages are counted from: as_of, or the last night where that is earlier.

    So a forgotten --as-of doesn't empty the tables of a shop whose last night is years ago.
    """
    if not table.sliced:
        return night.as_of
    last = rows.agg(F.max("as_of")).first()
    return min(night.as_of, last[0].astimezone(UTC)) if last and last[0] else night.as_of


# ----------------------------------------------------------------------------- files
@dataclass(frozen=True)
class _Detail:
    """Files of a table's last version, and for how long it remembers those of older ones."""

    files: int
    remembers: str


def _detail(tables: Tables, table: Table) -> _Detail:
    row = tables.delta(table).detail().select("numFiles", "properties").collect()[0]
    remembers = row["properties"].get(_RETENTION, _RETENTION_BY_DEFAULT)
    return _Detail(row["numFiles"], remembers)


def _compact(tables: Tables, table: Table, file_mb: int) -> None:
    """Put small files of a partition together; where there is but one, Delta commits nothing."""
    sizes = {_MIN_SIZE: str(file_mb << 19), _MAX_SIZE: str(file_mb << 20)}
    with _settings(tables.spark, sizes):
        tables.delta(table).optimize().executeCompaction()


def _remember(tables: Tables, table: Table, after: timedelta) -> None:
    """Have the table remember for so long which files its older versions had."""
    change = f"SET TBLPROPERTIES ('{_RETENTION}' = '{_interval(after)}')"
    tables.spark.sql(f"ALTER TABLE delta.`{tables.path(table)}` {change}")


def _interval(length: timedelta) -> str:
    return f"interval {int(length.total_seconds())} seconds"


def _vacuum(tables: Tables, table: Table, current: int) -> int:
    """Remove files that no version within `maintain.vacuum_after` needs; how many there were.

    Parameters
    ----------
    current : files of the last version. Where there are no others, nothing is looked at.
    """
    before = _stored_files(tables, table)
    if before == current:
        return 0
    tasks = tables.spark.conf.get("spark.sql.shuffle.partitions") or "1"
    settings = {_VACUUM_LOG: "false", _LISTING_TASKS: tasks}
    with _settings(tables.spark, settings), _silence(tables.spark):
        tables.delta(table).vacuum()
    return before - _stored_files(tables, table)


def _stored_files(tables: Tables, table: Table) -> int:
    """Files in the table's folder, of whatever version or of none; without those of the log."""
    hadoop = tables.spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
    folder = hadoop.Path(tables.path(table))
    system = folder.getFileSystem(tables.spark._jsc.hadoopConfiguration())
    everything, log = (
        system.getContentSummary(path).getFileCount()
        for path in (folder, hadoop.Path(folder, "_delta_log"))
    )
    return int(everything - log)


@contextmanager
def _settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings of the session inside a `with`; then what was there before."""
    before = {key: spark.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@contextmanager
def _silence(spark: SparkSession) -> Iterator[None]:
    """Keep what Delta prints about a vacuum from stdout, which is for results."""
    java = spark._jvm
    console = getattr(getattr(java.scala, "Console$"), "MODULE$")  # type: ignore[union-attr]
    before = console.out()
    nowhere = java.java.io.OutputStream.nullOutputStream()  # type: ignore[union-attr]
    console.setOutDirect(java.java.io.PrintStream(nowhere))  # type: ignore[union-attr]
    try:
        yield
    finally:
        console.setOutDirect(before)


# ---------------------------------------------------------------------------- report
def _print_report(night: Night, rows: Mapping[str, Mapping[str, int]]) -> None:
    if not rows:
        print(f"\nNothing to do: the tables are in order ({night.tables.root}).")
        return
    table = RichTable(
        title=f"Upkeep as of {format_instant(night.as_of)}",
        title_justify="left",
        caption="Files removed are those of older versions; the files columns count current ones.",
        caption_justify="left",
    )
    table.add_column("table")
    for heading in _COUNTS:
        table.add_column(heading, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{figure:,}" for figure in figures.values()))
    Console(width=None if Console().is_terminal else 140).print(table)
