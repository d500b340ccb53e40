"""Renaming and listing on any Hadoop URI, which Spark's writers need help with.

Spark names its part files by a random number; the demo world's files have names that a second
run repeats. Runs on the driver and handles one name a file, never what is in it.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


class HadoopFiles:
    """Files below one folder, through the Hadoop FileSystem that Spark itself writes with.

    Parameters
    ----------
    root : any Hadoop URI; the paths given to the methods are relative to it.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        # PySpark has no public door to Hadoop's FileSystem; delta-spark goes in this way too.
        jvm: Any = spark._jvm
        self._new_path = jvm.org.apache.hadoop.fs.Path
        self._root = self._new_path(root)
        self._fs = self._root.getFileSystem(spark._jsc.hadoopConfiguration())

    def _path(self, path: str) -> Any:
        return self._new_path(self._root, path)

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted, without the hidden ones; none if there is no folder."""
        if not self._fs.exists(self._path(folder)):
            return []
        found = [status.getPath().getName() for status in self._fs.listStatus(self._path(folder))]
        return sorted(name for name in found if not name.startswith(("_", ".")))

    def rename(self, old: str, new: str) -> None:
        """Move a file or a folder; the folder above `new` is made.

        Raises
        ------
        OSError
            When the file system refuses.
        """
        target = self._path(new)
        self._fs.mkdirs(target.getParent())
        if not self._fs.rename(self._path(old), target):
            raise OSError(f"could not rename {self._path(old)} to {target}")

    def delete(self, path: str) -> None:
        """Remove a file or a whole folder; nothing happens if there is none."""
        self._fs.delete(self._path(path), True)
