"""What the summary of a night says of its watch, an experiment and trials: a line each."""

from __future__ import annotations

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from ebb.context import Night
from ebb.evaluate.experiments import MISMATCH
from ebb.evaluate.off_policy import ENOUGH
from ebb.evaluate.trials import EFFECTIVE, LOGGED, SNIPS, TAKEN
from ebb.schema import DRIFT, EVALUATIONS
from ebb.watch.stability import DRIFTED, STEADY

# So many names fit into a line.
_NAMED = 4
_POLICIES = {"best": "always the best-scored", "uniform": "all of the pool alike"}


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
    metric = f"ndcg@{night.config.recommend.n}"
    found = _latest(night, "experiment").collect()
    arms = {row["model"]: row for row in found if row["metric"] == metric}
    listed = [_arm(metric, arms[name]) for name in experiment.arms if name in arms]
    sizes = [row for row in found if row["model"] == "all"]
    if not listed or not sizes:
        return [("experiment", f"{experiment.name}: nothing judged yet")]
    return [("experiment", f"{experiment.name}: {'; '.join(listed)}; {_sizes(sizes[0])}")]


def tried(night: Night) -> list[tuple[str, str]]:
    """What the places that try things out were worth when they were last judged, as they were drawn
    and as other policies would have filled them; none where too few could tell of another."""
    if not night.config.recommend.explorations:
        return []
    found = _latest(night, "trials").collect()
    figures = {(row["model"], row["metric"]): row for row in found}
    others = [
        f"{said} {_value(figures[policy, SNIPS])}"
        for policy, said in _POLICIES.items()
        if (policy, SNIPS) in figures and figures[policy, EFFECTIVE]["value"] >= ENOUGH
    ]
    if not others:
        return []
    drawn = figures[LOGGED, TAKEN]
    own = f"as they were drawn {_value(drawn)} taken over {drawn['users']:,} users"
    return [("trials", f"places of {drawn['as_of']:%Y-%m-%d}: {own}; {'; '.join(others)}")]


def _value(row: Row) -> str:
    return f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"


def _latest(night: Night, of: str) -> DataFrame:
    """What was judged last of some kind, before the night's as_of."""
    known = night.tables.read(EVALUATIONS).where(
        (F.col("as_of") < F.lit(night.as_of)) & (F.col("of") == of)
    )
    latest = known.agg(F.max("as_of").alias("as_of"))
    return known.join(latest, on="as_of", how="left_semi")


def _arm(metric: str, row: Row) -> str:
    said = f"{row['model']} {metric} {row['value']:.4f} over {row['users']:,} users"
    if row["ahead"] is None:
        return said
    return f"{said}, {row['ahead']:+.4f} [{row['ahead_low']:+.4f}, {row['ahead_high']:+.4f}]"


def _sizes(row: Row) -> str:
    if row["value"] < MISMATCH:
        return f"sizes aren't as meant (p {row['value']:.2g}): don't believe the figures"
    return f"sizes are as meant (p {row['value']:.2g})"
