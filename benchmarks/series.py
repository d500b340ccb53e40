"""A stretch of nights of a public set: how the slates did night by night, what moved, what it took.

    .venv/bin/python benchmarks/series.py SET --root FOLDER [--nights 8] [--plot FILE]
        [--set KEY=VALUE]

Needs $EBB_DATA. All events are taken in first, and the nights then run one after the other on what
was known at each: chosen, trained, recommended, judged and watched as a scheduler would have it.
Each night's published slates are judged by the next one, beside plain popularity. Prints a line a
night and the median seconds of each step, draws the series with the nights that found a drift, and
prints the means and seconds as JSON on the last line. A root that holds nights of the set already
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from matplotlib.figure import Figure
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from ebb.config_file import load_config
from ebb.context import Night
from ebb.night import backfill
from ebb.progress import Progress
from ebb.schema import CHOICES, DRIFT, EVALUATIONS, RUNS
from ebb.session import start_session
from ebb.tables import Tables

DAY = timedelta(days=1)
METRIC = "ndcg@10"


@dataclass(frozen=True)
class PublicSet:
    """The last as_of of a stretch, and how far apart its nights are; labels until the next one."""

    last: datetime
    every: timedelta


SETS = {
    "globo_news_20pct": PublicSet(datetime(2017, 10, 16, tzinfo=UTC), DAY),
    "online_retail": PublicSet(datetime(2011, 12, 5, tzinfo=UTC), 7 * DAY),
}


@dataclass(frozen=True)
class Seen:
    """What a night left.

    Attributes
    ----------
    own, plain : its slates' figure and plain popularity's; None where no night judged them yet.
    drifted : what its watch found.
    """

    as_of: datetime
    own: float | None
    plain: float | None
    users: int
    is_chosen_anew: bool
    strategy: str
    drifted: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=SETS)
    parser.add_argument("--root", required=True)
    parser.add_argument("--nights", type=int, default=8)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    night = night_of(options)
    public = SETS[options.name]
    start = public.last - (options.nights - 1) * public.every
    backfill(night, start, public.last, public.every)
    found = seen(night.tables, start)
    steps = seconds(night.tables)
    report(options.name, found, steps)
    if options.plot:
        draw(options.name, found).savefig(options.plot, dpi=120)


def night_of(options: argparse.Namespace) -> Night:
    public = SETS[options.name]
    os.environ["EBB_ROOT"] = options.root
    sets = [f"evaluate.horizon={public.every.days}d", *options.set]
    config = load_config(f"conf/{options.name}.yaml", sets=sets)
    spark = start_session("benchmark of a series of nights", config.spark)
    tables = Tables(spark, config.root)
    progress = Progress(terminal=False)
    return Night(spark, tables, config, public.last, progress, "backfill", "benchmark")


def seen(tables: Tables, start: datetime) -> list[Seen]:
    """Every night since `start`, from its tables alone."""
    published = tables.read(EVALUATIONS).where(
        (F.col("of") == "published") & (F.col("metric") == METRIC)
    )
    figures = {(r["as_of"].astimezone(UTC), r["model"]): r for r in published.collect()}
    drifts: dict[datetime, list[str]] = {}
    for row in tables.read(DRIFT).where("level = 'drifted'").orderBy("of", "name").collect():
        drifts.setdefault(row["as_of"].astimezone(UTC), []).append(f"{row['of']}.{row['name']}")
    chosen = {
        r["as_of"].astimezone(UTC): r["strategy"]
        for r in tables.read(CHOICES).where("is_chosen").collect()
    }
    nights = sorted({r["as_of"].astimezone(UTC) for r in tables.read(RUNS).collect()})
    found = []
    for as_of in (one for one in nights if one >= start):
        own, plain = (figures.get((as_of, model)) for model in ("ebb", "popularity"))
        before = [strategy for at, strategy in sorted(chosen.items()) if at <= as_of]
        found.append(
            Seen(
                as_of,
                own["value"] if own else None,
                plain["value"] if plain else None,
                own["users"] if own else 0,
                as_of in chosen,
                before[-1] if before else "none",
                tuple(drifts.get(as_of, ())),
            )
        )
    return found


def seconds(tables: Tables) -> dict[str, float]:
    """Of each step that ran, the median over nights."""
    taken: dict[str, list[float]] = {}
    for row in tables.read(RUNS).where("status = 'done'").collect():
        taken.setdefault(row["step"], []).append(row["seconds"])
    return {step: round(statistics.median(own), 1) for step, own in taken.items()}


def report(name: str, found: list[Seen], steps: dict[str, float]) -> None:
    table = Table(title=f"{name}: {METRIC} of the slates of each night")
    for heading in ("night", "ebb", "popularity", "users", "ranked by", "drifted"):
        table.add_column(heading)
    for one in found:
        figures = [f"{x:.4f}" if x is not None else "" for x in (one.own, one.plain)]
        by = f"{one.strategy}{' (chosen anew)' if one.is_chosen_anew else ''}"
        named = ", ".join(one.drifted[:4]) + (" …" if len(one.drifted) > 4 else "")
        table.add_row(f"{one.as_of:%Y-%m-%d}", *figures, f"{one.users:,}", by, named)
    console = Console(width=150)
    console.print(table)
    times = Table("step", "median s")
    for step, second in steps.items():
        times.add_row(step, f"{second:.1f}")
    console.print(times)
    judged = [one for one in found if one.own is not None and one.plain is not None]
    means = {
        model: round(statistics.mean(getattr(one, model) for one in judged), 4) if judged else None
        for model in ("own", "plain")
    }
    print(json.dumps({"set": name, "judged": len(judged), **means, "seconds": steps}), flush=True)


def draw(name: str, found: list[Seen]) -> Figure:
    """Lines of both figures by night; a mark where a drift was found, a dot where one chose."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    judged = [one for one in found if one.own is not None]
    nights = [one.as_of for one in judged]
    axes.plot(nights, [one.own for one in judged], color="#1f5f8b", label="ebb")
    axes.plot(nights, [one.plain for one in judged], color="#a0a0a0", label="plain popularity")
    anew = [one for one in judged if one.is_chosen_anew]
    axes.plot(
        [one.as_of for one in anew], [one.own for one in anew], "o", color="#1f5f8b",
        label="chosen anew",
    )  # fmt: skip
    for place, one in enumerate(one for one in found if one.drifted):
        axes.axvline(
            one.as_of, color="#c8553d", linestyle=":", label=None if place else "drift found"
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(METRIC)
    axes.set_title(f"{name}: published slates, judged by the night after", loc="left")
    axes.legend(frameon=False)
    figure.autofmt_xdate()
    return figure


if __name__ == "__main__":
    main()
