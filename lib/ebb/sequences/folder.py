"""A folder on any Hadoop file system, brought to the driver's machine and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


class Folder:
    """A folder of one training.

    Parameters
    ----------
    uri : on any Hadoop file system.
    """

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._uri = uri
        self._hadoop: Any = spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
        self._system = self._path("").getFileSystem(spark._jsc.hadoopConfiguration())

    def uri(self, name: str) -> str:
        return f"{self._uri}/{name}"

    def has(self, name: str) -> bool:
        return bool(self._system.exists(self._path(name)))

    def fetch(self, local: Path) -> None:
        """Copy all of it into a folder of this machine."""
        for status in self._system.listStatus(self._path("")):
            source = status.getPath()
            target = self._hadoop.Path((local / source.getName()).as_uri())
            # Without the checksums that Hadoop lays beside local files.
            self._system.copyToLocalFile(False, source, target, True)

    def put(self, path: Path) -> None:
        """Copy a file of this machine into it, so that nobody ever finds half of it."""
        partial, whole = self._path(f".{path.name}.partial"), self._path(path.name)
        self._system.copyFromLocalFile(False, True, self._hadoop.Path(path.as_uri()), partial)
        self._system.delete(whole, False)
        self._system.rename(partial, whole)

    def remove(self) -> None:
        self._system.delete(self._path(""), True)

    def _path(self, name: str) -> Any:
        return self._hadoop.Path(self.uri(name) if name else self._uri)
