"""What the summary of a night says of its watch: a line of inputs, a line of the metric."""

from __future__ import annotations

from pyspark.sql import Row
from pyspark.sql import functions as F

from ebb.context import Night
from ebb.schema import DRIFT
from ebb.watch.stability import DRIFTED, STEADY

# So many names fit into a line.
_NAMED = 4


def watched(night: Night) -> list[tuple[str, str]]:
    """Label and text of each line; none where the night had nothing to compare with."""
    rows = night.tables.read_slice(DRIFT, night.as_of).orderBy(F.desc("psi"), "of", "name")
    found = rows.collect()
    inputs = [row for row in found if row["psi"] is not None]
    metrics = [row for row in found if row["usual"] is not None]
    lines = [("inputs", _inputs(inputs))] if inputs else []
    return lines + [("series", _metric(row)) for row in metrics]


def _inputs(rows: list[Row]) -> str:
    since = f"against {rows[0]['reference_as_of']:%Y-%m-%d}"
    moved = [row for row in rows if row["level"] != STEADY]
    if not moved:
        return f"all {len(rows)} are steady {since}; the most moved is {_named(rows[0])}"
    listed = ", ".join(f"{_named(row)} {row['level']}" for row in moved[:_NAMED])
    more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    return f"{len(moved)} of {len(rows)} moved {since}: {listed}{more}"


def _named(row: Row) -> str:
    return f"{row['of']}.{row['name']} (psi {row['psi']:.3f})"


def _metric(row: Row) -> str:
    said = "suddenly dropped to" if row["level"] == DRIFTED else "is steady at"
    return (
        f"{row['name']} {said} {row['value']:.4f}; usual over the {row['rows']} nights before "
        f"is {row['usual']:.4f}"
    )
