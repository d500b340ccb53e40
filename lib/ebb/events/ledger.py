"""The ledger of files taken in: what is new since the last run, and what was read otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.events.listing import Source, list_files
from ebb.schema import FILES
from ebb.tables import Stamp, Tables


@dataclass(frozen=True)
class Arrivals:
    """What there is to read.

    Attributes
    ----------
    files : file_id, path, length, modified_at, source, name (of the source) of files to read.
    paths : source name to its files to read, in order.
    reason : why files taken in before are read again, or None where only new ones are.
    """

    files: DataFrame
    paths: dict[str, list[str]]
    reason: str | None

    @property
    def count(self) -> int:
        return sum(len(paths) for paths in self.paths.values())


def new_files(tables: Tables, sources: list[Source], mapping: str) -> Arrivals:
    """Files of event sources that aren't in the ledger; all if their configuration changed.

    Raises
    ------
    RunError
        When there is and was no file at all; or when the configuration changed but a file
        taken in under the old one is no longer there to be read again.
    """
    kind = sources[0].kind
    found, taken = _found(tables, sources), _taken(tables, kind)
    known = taken.select("file_id", F.col("path").alias("taken_path"), "mapping")
    # One look at both sides: what is new, and what was read under another configuration.
    differs = ~F.col("mapping").eqNullSafe(F.lit(mapping))
    rows = found.join(known, on="file_id", how="full_outer").where(differs).collect()
    stale = [row for row in rows if row["taken_path"] is not None]
    if stale:
        _refuse_if_gone(stale, kind)
        reason = f"the configuration of {kind} changed since files were taken in"
        return _arrivals(found, found.collect(), reason)
    if not rows and not taken.limit(1).count():
        raise _nothing_there(sources)
    return _arrivals(found.join(taken, on="file_id", how="left_anti"), rows, None)


def changed_snapshot(tables: Tables, source: Source, mapping: str) -> Arrivals | None:
    """All files of a snapshot source if any of them came, went or changed; else None.

    Raises
    ------
    RunError
        When there is no file.
    """
    found, taken = _found(tables, [source]), _taken(tables, source.kind)
    known = taken.select("file_id", F.col("path").alias("taken_path"), "mapping")
    rows = found.join(known, on="file_id", how="full_outer").collect()
    arrived = _arrivals(found, [row for row in rows if row["path"] is not None], None)
    if not arrived.count:
        raise _nothing_there([source])
    if all(row["path"] and row["mapping"] == mapping for row in rows):
        return None
    if any(row["mapping"] not in (None, mapping) for row in rows):
        return replace(arrived, reason=f"the configuration of {source.kind} changed")
    return arrived


def enter(
    tables: Tables,
    files: DataFrame,
    kind: str,
    batch_id: str,
    now: datetime,
    stamp: Stamp,
    *,
    only: bool,
) -> None:
    """Write files into the ledger; `only` replaces whatever the ledger had of their kind."""
    rows = files.select(
        *("file_id", "source", "path", "length", "modified_at"),
        F.lit(kind).alias("kind"),
        F.lit(stamp.config).alias("mapping"),
        F.lit(batch_id).alias("batch_id"),
        F.lit(now).alias("ingested_at"),
    )
    if only:
        tables.replace(FILES, rows, f"kind = '{kind}'", stamp)
    else:
        tables.append(FILES, rows, stamp)


def _taken(tables: Tables, kind: str) -> DataFrame:
    return tables.read(FILES).where(F.col("kind") == kind).select("file_id", "path", "mapping")


def _found(tables: Tables, sources: list[Source]) -> DataFrame:
    listed = [
        list_files(tables.spark, source).select(
            "*", F.lit(source.name).alias("name"), F.lit(source.reader.path).alias("source")
        )
        for source in sources
    ]
    return reduce(DataFrame.unionByName, listed)


def _arrivals(files: DataFrame, rows: list[Row], reason: str | None) -> Arrivals:
    """`rows` are those of `files`, or more columns of them: one small row a file to read."""
    paths: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: (row["name"], row["path"])):
        paths.setdefault(row["name"], []).append(row["path"])
    return Arrivals(files, paths, reason)


def _nothing_there(sources: list[Source]) -> RunError:
    names = ", ".join(map(str, sources))
    return RunError(f"{names}: there is no file; put files in place or correct the path")


def _refuse_if_gone(stale: list[Row], kind: str) -> None:
    gone = sorted(row["taken_path"] for row in stale if row["path"] is None)
    if gone:
        raise RunError(
            f"the configuration of {kind} changed, so all files must be read again, but "
            f"{gone[0]} is gone or was changed since it was taken in: put it back, undo "
            "the change, or start afresh under another --root"
        )
