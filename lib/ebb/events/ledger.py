"""The ledger of files taken in: what is new since the last run, and what was read otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame
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
    stale = taken.where(F.col("mapping") != mapping).limit(1).count() > 0
    if stale:
        _refuse_if_gone(taken, found, kind)
        arrived = _arrivals(found, f"the configuration of {kind} changed since files were taken in")
    else:
        arrived = _arrivals(found.join(taken, on="file_id", how="left_anti"), None)
    if not arrived.count and not taken.limit(1).count():
        raise _nothing_there(sources)
    return arrived


def changed_snapshot(tables: Tables, source: Source, mapping: str) -> Arrivals | None:
    """All files of a snapshot source if any of them came, went or changed; else None.

    Raises
    ------
    RunError
        When there is no file.
    """
    found, taken = _found(tables, [source]), _taken(tables, source.kind)
    both = found.select("file_id").join(taken, on="file_id", how="full_outer")
    state = both.agg(
        F.count("*").alias("files"),
        F.count(F.when(F.col("mapping") == mapping, 1)).alias("same"),
        F.count(F.when(F.col("mapping") != mapping, 1)).alias("stale"),
    ).first()
    arrived = _arrivals(found, None)
    if not arrived.count:
        raise _nothing_there([source])
    if state and state["files"] == state["same"] == arrived.count:
        return None
    if state and state["stale"]:
        return Arrivals(found, arrived.paths, f"the configuration of {source.kind} changed")
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


def _arrivals(files: DataFrame, reason: str | None) -> Arrivals:
    paths: dict[str, list[str]] = {}
    for row in files.select("name", "path").orderBy("name", "path").collect():
        paths.setdefault(row["name"], []).append(row["path"])
    return Arrivals(files, paths, reason)


def _nothing_there(sources: list[Source]) -> RunError:
    names = ", ".join(map(str, sources))
    return RunError(f"{names}: there is no file; put files in place or correct the path")


def _refuse_if_gone(taken: DataFrame, found: DataFrame, kind: str) -> None:
    gone = taken.join(found, on="file_id", how="left_anti").orderBy("path").limit(1).collect()
    if gone:
        raise RunError(
            f"the configuration of {kind} changed, so all files must be read again, but "
            f"{gone[0]['path']} is gone or was changed since it was taken in: put it back, undo "
            "the change, or start afresh under another --root"
        )
