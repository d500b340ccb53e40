"""Files that Spark brings from the driver to every executor, once a machine.

Workers of a machine map one copy. Names are new every time, so that two nights in one session
can't meet.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from pyspark import SparkContext, SparkFiles


def ship(context: SparkContext, suffix: str, write: Callable[[Path], None]) -> str:
    """Have Spark bring a file to each executor; returns the name that `shipped` finds it by.

    The driver's copy serves executors that start later, so it stays until the driver ends.

    Parameters
    ----------
    write : makes the file at the path given.
    """
    folder = tempfile.mkdtemp(prefix="ebb-shipped-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"ebb-{uuid4().hex}{suffix}"
    write(path)
    context.addFile(str(path))
    return path.name


def ship_bytes(context: SparkContext, suffix: str, raw: bytes) -> str:
    """The same with what the file is to hold."""

    def write(path: Path) -> None:
        path.write_bytes(raw)

    return ship(context, suffix, write)


def shipped(name: str) -> Path:
    """Where a shipped file lies on this machine: on the driver or in a Python worker."""
    return Path(SparkFiles.get(name))
