"""The one place that reads and writes Delta tables.

Every write carries a stamp in the commit's userMetadata: which step made it, for which as_of,
under which configuration, from which input versions. A step is complete when such a commit is
there, so a crash between a commit and anything after it loses nothing and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from ebb.durations import format_instant, parse_instant
from ebb.errors import RunError
from ebb.schema import Table
from ebb.stamps import LAST_FEW, newest_first
from ebb.stamps import Commit as Commit
from ebb.stamps import Stamp as Stamp

# Commits that move bytes around and change no row.
_UPKEEP = frozenset(
    {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "CREATE TABLE", "ADD COLUMNS"}
)
_PROPERTIES = {
    # Readers without Spark (deltalake's Arrow path) can't read deletion vectors.
    "delta.enableDeletionVectors": "false",
    # Commits are how ebb knows that a night is complete: keep them for more than a year.
    "delta.logRetentionDuration": "interval 400 days",
}


@dataclass(frozen=True)
class _History:
    """The newest commits of a table, or all of them."""

    commits: list[Commit]
    is_whole: bool

    @property
    def last(self) -> int:
        return self.commits[0].version if self.commits else -1

    def serves(self, limit: int | None) -> bool:
        return self.is_whole or (limit is not None and limit <= len(self.commits))


class Tables:
    """The tables under one root.

    Parameters
    ----------
    spark : an active session with Delta's extensions.
    root : any Hadoop URI; each table is a folder below it.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")
        self._known: dict[str, _History] = {}
        # Delta drops a commit that changes no file; here an empty night is complete as well.
        spark.conf.set("spark.databricks.delta.skipRecordingEmptyCommits", "false")

    def path(self, table: Table) -> str:
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def create(self, table: Table) -> None:
        """Make an empty table, with its comments, where there is none yet."""
        if self.exists(table):
            return
        builder = (
            DeltaTable.createIfNotExists(self.spark)
            .location(self.path(table))
            .addColumns(table.schema)
            .comment(table.comment)
        )
        if table.lies_by:
            builder = builder.partitionedBy(table.lies_by)
        properties = dict(_PROPERTIES)
        if table.skipped_by is not None:
            properties["delta.dataSkippingStatsColumns"] = ",".join(table.skipped_by)
        for key, value in properties.items():
            builder = builder.property(key, value)
        builder.execute()

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """All rows, now or as of a version; no rows where the table hasn't been written yet.

        Without a version, a frame that is computed twice sees what was written in between.
        """
        if not self.exists(table):
            return self.spark.createDataFrame([], table.schema)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def read_slice(self, table: Table, as_of: datetime) -> DataFrame:
        """The rows of one as_of of a sliced table."""
        return self.read(table).where(F.col("as_of") == F.lit(as_of))

    def write_slice(self, table: Table, rows: DataFrame, stamp: Stamp) -> Commit:
        """Replace the slice of `stamp.as_of`, atomically; rerunnable.

        The frame's columns are brought to the table's order and types; columns beyond them
        are refused unless the table `grows_columns`.
        """
        if stamp.as_of is None:
            raise ValueError(f"{table.name} is kept by as_of: the stamp needs one")
        condition = f"as_of = timestamp'{format_instant(stamp.as_of)}'"
        return self.replace(table, rows, condition, stamp)

    def replace(self, table: Table, rows: DataFrame, condition: str | None, stamp: Stamp) -> Commit:
        """Replace the rows that meet an SQL condition (None: all) by `rows`, atomically."""
        self.create(table)
        writer = (
            conform(table, rows)
            .write.format("delta")
            .mode("overwrite")
            .option("userMetadata", stamp.to_json())
        )
        if condition is not None:
            writer = writer.option("replaceWhere", condition)
        if table.grows_columns:
            # A table that is replaced whole keeps no column of measures that are gone.
            writer = writer.option("mergeSchema" if condition else "overwriteSchema", "true")
        if table.lies_by:  # or a new schema would come with no partitions at all
            writer = writer.partitionBy(table.lies_by)
        self._save(table, writer)
        return self.history(table, limit=1)[0]

    def append(
        self, table: Table, rows: DataFrame, stamp: Stamp, *, once: int | None = None
    ) -> None:
        """Add rows.

        Parameters
        ----------
        once : a number that grows from append to append of the table. A second append with the
            same or a smaller one, by a job that runs at the same time, writes nothing or fails.
        """
        self.create(table)
        writer = (
            conform(table, rows)
            .write.format("delta")
            .mode("append")
            .option("userMetadata", stamp.to_json())
        )
        if once is not None:
            writer = writer.option("txnAppId", f"ebb {table.name}").option("txnVersion", once)
        self._save(table, writer)

    def _save(self, table: Table, writer: DataFrameWriter) -> None:
        try:
            writer.save(self.path(table))
        except AnalysisException as error:
            if error.getCondition() != "DELTA_METADATA_MISMATCH":
                raise
            raise RunError(
                f"{self.path(table)} was made by another version of ebb, with other columns; move "
                "that folder away, or begin with a fresh root (--root)"
            ) from error

    def delta(self, table: Table) -> DeltaTable:
        """The table for a merge; made if it isn't there."""
        self.create(table)
        return DeltaTable.forPath(self.spark, self.path(table))

    def merging(self, stamp: Stamp) -> _CommitMetadata:
        """Context in which every commit carries the stamp: merges have no option for it."""
        return _CommitMetadata(self.spark, stamp.to_json())

    def history(self, table: Table, limit: int | None = None) -> list[Commit]:
        """Commits, newest first. One small row a commit: it grows with nights, not with data.

        Read once for as long as no commit follows the last one known: a night asks some thirty
        times, and each reading is a Spark job.
        """
        known = self._known.get(table.name)
        if known is None or not known.serves(limit) or not self._is_last(table, known.last):
            if not self.exists(table):
                return []
            known = self._known[table.name] = self._read_history(table, limit)
        return known.commits[:limit]

    def latest_as_of(self, table: Table, until: datetime) -> datetime | None:
        """The latest as_of up to and including `until` that a slice was written for, if any."""
        stamps = [commit.stamp for commit in self.history(table)]
        known = [stamp.as_of for stamp in stamps if stamp and stamp.as_of]
        return max((as_of for as_of in known if as_of <= until), default=None)

    def _read_history(self, table: Table, limit: int | None) -> _History:
        delta = DeltaTable.forPath(self.spark, self.path(table))
        wanted = None if limit is None else max(limit, LAST_FEW)
        commits = delta.history(wanted) if wanted else delta.history()
        columns = ("version", "operation", "timestamp", "userMetadata", "operationMetrics")
        found = [
            Commit(
                r.version,
                r.operation,
                r.timestamp.astimezone(UTC),
                Stamp.from_json(r.userMetadata),
                r.operationMetrics or {},
            )
            for r in commits.select(*columns).collect()
        ]
        return _History(found, is_whole=wanted is None or len(found) < wanted)

    def _is_last(self, table: Table, version: int) -> bool:
        """Whether the log has that version and none after it (Delta's protocol names its files)."""
        hadoop = self.spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
        here, after = (
            hadoop.Path(f"{self.path(table)}/_delta_log/{number:020d}.json")
            for number in (version, version + 1)
        )
        system = here.getFileSystem(self.spark._jsc.hadoopConfiguration())
        return bool(system.exists(here) and not system.exists(after))

    def newest_first(self, table: Table) -> Iterator[Commit]:
        """Commits, newest first, read by and by."""
        return newest_first(lambda limit: self.history(table, limit))

    def commit_of(self, table: Table, step: str, as_of: datetime) -> Commit | None:
        """The latest commit that a step made for an as_of, or None."""
        for commit in self.newest_first(table):
            stamp = commit.stamp
            if stamp and stamp.step == step and stamp.as_of == as_of:
                return commit
        return None

    def version_before(self, table: Table, as_of: datetime) -> int:
        """The latest version that changed anything known before `as_of`; -1 for none.

        Ingests note the earliest instant that they touched (`facts["earliest"]`): a commit of
        later events alone leaves an earlier night as complete as it was. A commit by somebody
        else counts, since what it touched is unknown.
        """
        for commit in self.newest_first(table):
            if commit.operation in _UPKEEP:
                continue
            earliest = commit.stamp.facts.get("earliest") if commit.stamp else ""
            if earliest is None:
                continue
            if earliest == "" or parse_instant(earliest) < as_of:
                return commit.version
        return -1


class _CommitMetadata:
    """Sets the session's commit metadata inside a `with` and puts back what was there."""

    _KEY = "spark.databricks.delta.commitInfo.userMetadata"

    def __init__(self, spark: SparkSession, text: str) -> None:
        self.spark, self.text = spark, text
        self.before: str | None = None

    def __enter__(self) -> None:
        self.before = self.spark.conf.get(self._KEY, None)
        self.spark.conf.set(self._KEY, self.text)

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            self.spark.conf.unset(self._KEY)
        else:
            self.spark.conf.set(self._KEY, self.before)


def conform(table: Table, rows: DataFrame) -> DataFrame:
    """Bring a frame to the table's column order and types.

    Raises
    ------
    ValueError
        When columns are missing, or there are some that the table doesn't declare.
    """
    missing = [f.name for f in table.schema if f.name not in rows.columns]
    extra = [c for c in rows.columns if c not in table.schema.names]
    if missing or (extra and not table.grows_columns):
        raise ValueError(
            f"{table.name}: missing columns {missing}, undeclared columns {extra}; "
            f"given {rows.columns}"
        )
    given = {field.name: field.dataType for field in rows.schema}
    declared = [
        F.col(f.name) if given[f.name] == f.dataType else F.col(f.name).cast(f.dataType)
        for f in table.schema
    ]
    return rows.select(*declared, *extra)
