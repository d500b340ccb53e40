"""What the summary of a night says of its watch and of an experiment: a line each."""

from __future__ import annotations

from pyspark.sql import Row
from pyspark.sql import functions as F

from ebb.context import Night
from ebb.evaluate.experiments import MISMATCH
from ebb.schema import DRIFT, EVALUATIONS
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


def compared(night: Night) -> list[tuple[str, str]]:
    """How the arms of the experiment did when they were last judged, where there is one."""
    experiment = night.config.recommend.experiment
    if experiment is None:
        return []
    known = night.tables.read(EVALUATIONS).where(
        (F.col("as_of") < F.lit(night.as_of)) & (F.col("of") == "experiment")
    )
    latest = known.agg(F.max("as_of").alias("as_of"))
    metric = f"ndcg@{night.config.recommend.n}"
    found = known.join(latest, on="as_of", how="left_semi").collect()
    arms = {row["model"]: row for row in found if row["metric"] == metric}
    listed = [_arm(metric, arms[name]) for name in experiment.arms if name in arms]
    sizes = [row for row in found if row["model"] == "all"]
    if not listed or not sizes:
        return [("experiment", f"{experiment.name}: nothing judged yet")]
    return [("experiment", f"{experiment.name}: {'; '.join(listed)}; {_sizes(sizes[0])}")]


def _arm(metric: str, row: Row) -> str:
    said = f"{row['model']} {metric} {row['value']:.4f} over {row['users']:,} users"
    if row["ahead"] is None:
        return said
    return f"{said}, {row['ahead']:+.4f} [{row['ahead_low']:+.4f}, {row['ahead_high']:+.4f}]"


def _sizes(row: Row) -> str:
    if row["value"] < MISMATCH:
        return f"sizes aren't as meant (p {row['value']:.2g}): don't believe the figures"
    return f"sizes are as meant (p {row['value']:.2g})"
