"""Rows of the catalogue and the table of users that can't be taken in."""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.schema import QUARANTINE
from ebb.tables import Stamp, Tables


def quarantine_snapshot(tables: Tables, refused: DataFrame, kind: str, stamp: Stamp) -> int:
    """Put a snapshot's refused rows in the place of those of the snapshot before.

    Parameters
    ----------
    refused : the origin columns of `reading.ORIGIN`, user_id and reason.
    kind : items or users; their batch_id in the table.

    Returns
    -------
    Rows refused.
    """
    rows = refused.select(
        *("source", "raw", F.array("reason").alias("reasons"), "user_id", "file", "file_id"),
        F.lit(kind).alias("batch_id"),
        F.lit(datetime.now(UTC)).alias("ingested_at"),
    )
    return tables.replace(QUARANTINE, rows, f"batch_id = '{kind}'", stamp).rows_written
