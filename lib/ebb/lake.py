"""Reads the Delta tables under a root without Spark, into Arrow. Never writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ebb.stamps import Commit, Stamp, newest_first

# Spark writes instants as INT96, which Arrow would else take for nanoseconds since 1677.
_MICROSECONDS = ds.ParquetReadOptions(coerce_int96_timestamp_unit="us")


class Lake:
    """The tables under one root.

    Parameters
    ----------
    root : a folder or a URI that deltalake knows (s3://, abfss://, gs://, ...).
    storage_options : deltalake's options for the storage, such as its keys.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self._options = dict(storage_options) if storage_options else None

    def newest_first(self, table: str) -> Iterator[Commit]:
        """Commits of a table, newest first; none where there is no such table."""
        log = self._open(table)
        return newest_first(lambda limit: _commits(log, limit)) if log else iter(())

    def read(
        self, table: str, columns: pa.Schema, rows: ds.Expression, version: int | None = None
    ) -> pa.Table:
        """Some columns of the rows that meet a condition, now or as of a version.

        Files and pages that can't hold such rows are skipped. No rows where there is no such
        table.
        """
        found = self._open(table, version)
        if found is None:
            return columns.empty_table()
        data = found.to_pyarrow_dataset(parquet_read_options=_MICROSECONDS)
        return data.to_table(columns=columns.names, filter=rows).cast(columns)

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(f"{self.root}/{table}", version, self._options)
        except TableNotFoundError:
            return None


def _commits(log: DeltaTable, limit: int | None) -> list[Commit]:
    return [
        Commit(
            entry["version"],
            entry["operation"],
            datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
            Stamp.from_json(entry.get("userMetadata")),
            entry.get("operationMetrics") or {},
        )
        for entry in log.history(limit)
    ]
