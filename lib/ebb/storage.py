"""Keeps a frame that several jobs read in Spark's storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame


@contextmanager
def stored(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame that several jobs read in Spark's storage, for as long as the `with` lasts."""
    kept = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield kept
    finally:
        kept.unpersist()
