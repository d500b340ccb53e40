"""Which files a source holds, by path, size and modification time, on any Hadoop URI."""

from __future__ import annotations

from dataclasses import dataclass

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.sources import Reader

LISTING = ("file_id", "path", "length", "modified_at")


@dataclass(frozen=True)
class Source:
    """A configured source and the name it has in messages, e.g. ``events.sources[0]``."""

    name: str
    kind: str
    reader: Reader

    def __str__(self) -> str:
        return f"{self.name} ({self.reader.path})"


def file_id() -> Column:
    """Identity of a file as it is now: another size or time makes it another file."""
    return F.md5(
        F.concat_ws(
            "|",
            F.col("_metadata.file_path"),
            F.col("_metadata.file_size").cast("string"),
            F.unix_micros("_metadata.file_modification_time").cast("string"),
        )
    )


def list_files(spark: SparkSession, source: Source) -> DataFrame:
    """All files of a source: file_id, path, length (bytes), modified_at.

    A Delta table is one "file", named by its version. File contents are not read.

    Raises
    ------
    RunError
        When there is nothing at the source's path.
    """
    path = source.reader.path
    try:
        if source.reader.format == "delta":
            return _delta_listing(spark, path)
        found = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", True)
            .load(path)
            .select(
                file_id().alias("file_id"),
                "path",
                "length",
                F.col("modificationTime").alias("modified_at"),
            )
        )
        return found
    except PySparkException as error:
        raise RunError(
            f"{source}: nothing can be read there ({_first_line(error)}); "
            "put the files in place or correct the path"
        ) from error


def _delta_listing(spark: SparkSession, path: str) -> DataFrame:
    last = DeltaTable.forPath(spark, path).history(1).select("version", "timestamp")
    return last.select(
        F.md5(F.concat_ws("@", F.lit(path), F.col("version").cast("string"))).alias("file_id"),
        F.concat_ws("@", F.lit(path), F.col("version").cast("string")).alias("path"),
        F.lit(0).cast("long").alias("length"),
        F.col("timestamp").alias("modified_at"),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
