"""The box of ready-made vectors: takes in what their source has and no night has met yet."""

from __future__ import annotations

import zlib

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.listing import Source, list_files
from ebb.events.quarantine import quarantine_snapshot
from ebb.events.reading import read_rows
from ebb.language.given import judged_vectors, version_given
from ebb.language.settings import Given
from ebb.schema import ITEM_VECTORS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp


def take_given(night: Night, log: RunLog, settings: Given) -> Outcome:
    """Take in the vectors that hold before the night's as_of; rows that can't be taken in go to
    quarantine.

    Raises
    ------
    RunError
        When the source has no file, or lacks a column.
    """
    source, version = Source("language.encoder", "vectors", settings), version_given(settings)
    # One small row a file.
    files = list_files(night.spark, source).select("file_id", "path").orderBy("path").collect()
    if not files:
        raise RunError(f"{source}: there is no file; put files in place or correct the path")

    def work(stamp: Stamp) -> StepRun:
        columns = settings.columns.model_dump()
        paths = [row["path"] for row in files]
        rows = read_rows(night.spark, source, paths, columns, ["item_id", "vector"])
        with stored(judged_vectors(rows, settings)) as judged:
            bad = judged.where(F.col("reason").isNotNull())
            refused = quarantine_snapshot(night.tables, bad, "vectors", stamp)
            good = _unmet(night, judged.where(F.col("reason").isNull()), version)
            own = f"as_of = timestamp'{format_instant(night.as_of)}'"
            taken = night.tables.replace(ITEM_VECTORS, good, own, stamp).rows_written
        remark = f"{taken:,} vectors taken in" + (f", {refused:,} refused" if refused else "")
        return StepRun({"vectors": taken, "refused": refused}, remark)

    listed = zlib.crc32("\n".join(row["file_id"] for row in files).encode())
    sections = ("language.encoder",)
    stamp = stamp_for(night, "vectors", sections, {"files": listed})
    return run_step(night, log, ITEM_VECTORS, stamp, work)


def _unmet(night: Night, vectors: DataFrame, version: str) -> DataFrame:
    """Vectors known at the night's as_of that no other night has met, as rows of the table."""
    made = night.tables.read(ITEM_VECTORS).where(
        (F.col("version") == version) & (F.col("as_of") != F.lit(night.as_of))
    )
    known = vectors.where(F.col("valid_from") < F.lit(night.as_of))
    return known.join(made, on=["item_id", "text_hash"], how="left_anti").select(
        F.lit(version).alias("version"),
        *("item_id", "text_hash", "vector"),
        F.lit(night.as_of).alias("as_of"),
        "valid_from",
    )
