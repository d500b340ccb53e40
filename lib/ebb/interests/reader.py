"""The one way that jobs read interests."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame

from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.schema import INTERESTS
from ebb.tables import Tables


def interests_at(tables: Tables, as_of: datetime) -> DataFrame:
    """Everybody's interests, valued at `as_of`.

    Returns
    -------
    DataFrame with the columns of the table `interests`, one more a measure.

    Raises
    ------
    RunError
        When the interests of that as_of haven't been computed.
    """
    if tables.commit_of(INTERESTS, "interests", as_of) is None:
        raise RunError(
            f"there are no interests as of {format_instant(as_of)} under {tables.root}; "
            f"run: ./spark-submit.sh interests --as-of {format_instant(as_of)}"
        )
    return tables.read_slice(INTERESTS, as_of)
