"""What every step of a job is handed: session, tables, configuration, as_of, progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import SparkSession

from ebb.config import Config
from ebb.progress import Progress
from ebb.tables import Tables


@dataclass(frozen=True)
class Night:
    """One call of a job for one as_of.

    Attributes
    ----------
    job : the job called, e.g. ``nightly``.
    run_id : names this call in `runs`.
    rerun : redo steps that are complete.
    """

    spark: SparkSession
    tables: Tables
    config: Config
    as_of: datetime
    progress: Progress
    job: str
    run_id: str
    rerun: bool = False
