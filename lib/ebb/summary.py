"""What a person reads after a night: a screen of figures, and how to query the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from ebb.context import Night
from ebb.durations import format_instant, format_seconds
from ebb.events.ingest import Intake
from ebb.schema import EVALUATIONS, INTEREST_STATE, INTERESTS_NOW, RECOMMENDATIONS
from ebb.tables import Tables
from ebb.watch.summary import compared, tried, watched


@dataclass(frozen=True)
class NightSummary:
    """The lines of a night's summary, each a label and a text."""

    title: str
    lines: tuple[tuple[str, str], ...]

    @staticmethod
    def of(
        night: Night, intake: Intake, ran: bool, seconds: float, steps: Sequence[tuple[str, float]]
    ) -> NightSummary:
        """Gather the figures of a night that ran, or say that there was nothing to do.

        Parameters
        ----------
        seconds : that the night took. steps : each of its steps, and what that took.
        """
        as_of, took = format_instant(night.as_of), format_seconds(seconds)
        if not ran and not intake.files:
            title = f"The night of {as_of} is complete: nothing to do ({took})."
            return NightSummary(title, (("tables", night.tables.root),))
        took_each = " · ".join(f"{name} {format_seconds(taken)}" for name, taken in steps)
        lines = (
            ("events", _events(intake)),
            *((("refused", _reasons(intake)),) if intake.reasons else ()),
            ("interests", _interests(night)),
            ("slates", _slates(night)),
            ("judged", _judged(night)),
            *compared(night),
            *tried(night),
            *watched(night),
            ("seconds", took_each),
            ("tables", night.tables.root),
        )
        return NightSummary(f"The night of {as_of} is complete in {took}.", lines)


def print_summary(summary: NightSummary) -> None:
    """Write the summary to stdout."""
    print()
    print(summary.title)
    width = max(len(label) for label, _ in summary.lines)
    for label, text in summary.lines:
        print(f"  {label:<{width}}  {text}")


def print_queries(tables: Tables, as_of: str) -> None:
    """Write three ways to look at the slates, for the root at hand."""
    path = tables.path(RECOMMENDATIONS)
    interests = tables.path(INTERESTS_NOW)
    print()
    print("Look at the tables:")
    print(f"  Spark SQL   SELECT * FROM delta.`{path}` WHERE as_of = '{as_of}' AND user_id = '…'")
    print(f"  polars      pl.scan_delta('{interests}').filter(pl.col('rank') == 1).collect()")
    print(
        f"  DuckDB      t = DeltaTable('{path}').to_pyarrow_dataset(); "
        "duckdb.sql('SELECT source, count(*) FROM t GROUP BY ALL')"
    )


def _events(intake: Intake) -> str:
    if not intake.files:
        return "no new files"
    files = "1 file" if intake.files == 1 else f"{intake.files:,} files"
    return (
        f"{intake.read:,} rows read from {files} = {intake.inserted:,} inserted "
        f"+ {intake.repeated:,} repeated + {intake.quarantined:,} quarantined"
    )


def _reasons(intake: Intake) -> str:
    most_first = sorted(intake.reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in most_first)


def _interests(night: Night) -> str:
    rows = night.tables.read(INTEREST_STATE)
    figures = rows.agg(F.countDistinct("user_id").alias("users"), F.count("*").alias("rows"))
    row = figures.first()
    return f"{row['users']:,} users with {row['rows']:,} items" if row else "none"


def _slates(night: Night) -> str:
    rows = night.tables.read_slice(RECOMMENDATIONS, night.as_of)
    per_source = rows.groupBy("source").agg(F.count("*").alias("rows")).orderBy(F.desc("rows"))
    parts = [f"{row['source']} {row['rows']:,}" for row in per_source.collect()]
    users = rows.where(F.col("rank") == 1).count()
    return f"{users:,} users, at most {night.config.recommend.n} items each: {', '.join(parts)}"


def _judged(night: Night) -> str:
    """How the latest judged slates did, beside plain popularity."""
    metric = f"ndcg@{night.config.recommend.n}"
    known = night.tables.read(EVALUATIONS).where(
        (F.col("as_of") < F.lit(night.as_of))
        & (F.col("metric") == metric)
        & (F.col("of") == "published")
    )
    latest = known.agg(F.max("as_of").alias("as_of"))
    rows = {r["model"]: r for r in known.join(latest, on="as_of", how="left_semi").collect()}
    if "ebb" not in rows or "popularity" not in rows:
        return "nothing yet: the next night judges these slates"
    own, plain = rows["ebb"], rows["popularity"]
    return (
        f"slates of {own['as_of']:%Y-%m-%d}: {metric} {own['value']:.4f}, plain popularity "
        f"{plain['value']:.4f}, over {own['users']:,} users"
    )
