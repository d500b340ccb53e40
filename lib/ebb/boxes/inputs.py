"""What several boxes take in: counted events, and the versions of their input tables."""

from __future__ import annotations

from pyspark.sql import DataFrame

from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.interests.counted import counted
from ebb.schema import EVENTS, Table
from ebb.tables import Commit


def counted_events(night: Night) -> DataFrame:
    also = night.config.recommend.read_of_events
    return counted(night.tables.read(EVENTS), night.config.events, night.as_of, *also)


def versions(night: Night, *tables: Table) -> dict[str, int]:
    """Of each table, the version that last changed anything known before as_of."""
    return {table.name: night.tables.version_before(table, night.as_of) for table in tables}


def made_by(night: Night, table: Table, step: str) -> Commit:
    commit = night.tables.commit_of(table, step, night.as_of)
    if commit is None:
        as_of = format_instant(night.as_of)
        raise RunError(
            f"there is no {table.name} as of {as_of} under {night.tables.root}; "
            f"run: ./spark-submit.sh {step} --as-of {as_of}"
        )
    return commit
