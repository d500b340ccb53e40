"""What diversity costs: NDCG against diversity, coverage and calibration along the knob.

    .venv/bin/python benchmarks/diversity.py [--sets globo_news_20pct foursquare_nyc] [--users 2000]
        [--root FOLDER] [--views FOLDER] [--plot FILE]

Needs $EBB_DATA. On the sets with categories, at their latest as_of and on the label window after
it: the choice is made as a night makes it, and the slates of people with labels are re-ranked by
MMR and by calibration at rising strengths, both with items that people had (any) and without
(new). Prints what changes against the slates as scored, in per cent, and on the last line all of
it as JSON. --plot draws the curves; --views is that of `quality.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from functools import reduce
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from quality import MODES, SETS, grounds_of, night_of, seen
from rich.console import Console
from rich.table import Table

from ebb.boxes.choose import Grounds
from ebb.boxes.study import Views, category_shares, chosen_at
from ebb.boxes.windows import Seen, seen_at
from ebb.context import Night
from ebb.evaluate.catalogue import catalogue_metrics
from ebb.evaluate.facts import Facts
from ebb.evaluate.slates import labels_after, summarise, user_metrics
from ebb.evaluate.splits import Split
from ebb.interests.counted import counted
from ebb.night import ingest
from ebb.recommend.features import Columns
from ebb.recommend.settings import Rerank
from ebb.recommend.slates import Ranking, make_slates
from ebb.schema import EVENTS
from ebb.storage import stored

STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
AS_SCORED = "as scored"
SHOWN = ("ndcg@10", "category_diversity@10", "coverage@10", "calibration@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    with_categories = ("globo_news_20pct", "foursquare_nyc")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(with_categories))
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--views", type=Path, help="folder that keeps views from run to run")
    parser.add_argument("--plot", type=Path, help="an .svg or .png")
    options = parser.parse_args()
    options.nights, options.set = 1, []
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="ebb-diversity-") as folder:
        root = options.root or folder
        for name in options.sets:
            nights = {mode: night_of(name, mode, root, options) for mode in MODES}
            if not (Path(root) / name / "events").exists():
                ingest(nights["new"])
            grounds = {mode: grounds_of(night) for mode, night in nights.items()}
            views = seen(nights, grounds, options.views)
            for mode, night in nights.items():
                ((window, own),) = grounds[mode].items()
                found[f"{name} {mode}"] = measured(night, window, own, views, options.users)
                report(f"{name} {mode}", found[f"{name} {mode}"])
    if options.plot:
        draw(found, options.plot)
    print(json.dumps(found), flush=True)


def measured(
    night: Night, window: Split, grounds: Grounds, views: Views, most_users: int
) -> dict[str, dict[str, float]]:
    """Metrics of slates as scored, and of each way to re-rank them."""
    before = replace(night, as_of=window.as_of)
    choice = chosen_at(before, grounds, window, views).choice
    with seen_at(before, grounds.columns.half_lives, window) as known:
        users = labelled(night, known.known, window, most_users)
        prepared = known.outlook(grounds.columns).prepared
        ways = {AS_SCORED: Rerank()} | {
            f"{method} {strength}": Rerank(method=method, strength=strength)
            for method in ("mmr", "calibrated")
            for strength in STRENGTHS
        }
        slates = [
            make_slates(
                *(prepared, known.known, users, Ranking(choice.chosen.weights, way), "none"),
                foreseen=prepared.foreseen(known.known),
            )
            .select(F.lit(label).alias("model"), "user_id", "rank", "item_id")
            .localCheckpoint()
            for label, way in ways.items()
        ]
        return judged(night, known, users, slates, grounds.columns)


def labelled(night: Night, known: DataFrame, window: Split, most: int) -> DataFrame:
    then = counted(night.tables.read(EVENTS), night.config.events, window.until)
    labels = labels_after(then, window.as_of, window.until)
    users = (
        labels.select("user_id")
        .distinct()
        .join(known.select("user_id").distinct(), on="user_id", how="left_semi")
    )
    return users.orderBy(F.xxhash64("user_id"), "user_id").limit(most).localCheckpoint()


def judged(
    night: Night, seen: Seen, users: DataFrame, slates: list[DataFrame], columns: Columns
) -> dict[str, dict[str, float]]:
    window = seen.window
    had = None if columns.repeat else seen.known.select("user_id", "item_id").distinct()
    then = counted(night.tables.read(EVENTS), night.config.events, window.until)
    eligible = seen.items.where("eligible").select("item_id")
    labels = (
        labels_after(then, window.as_of, window.until, had)
        .join(users, on="user_id", how="left_semi")
        .join(F.broadcast(eligible), on="item_id", how="left_semi")
    )
    shares = category_shares(seen.known, seen.items, users, window.as_of, columns)
    facts = Facts(categories=seen.items.select("item_id", "categories"), shares=shares)
    with stored(reduce(DataFrame.unionByName, slates)) as whole, stored(labels) as truth:
        by_user = user_metrics(whole, truth, [10], facts)
        rows = summarise(by_user).unionByName(catalogue_metrics(whole, eligible.count(), [10]))
        found: dict[str, dict[str, float]] = {}
        # Along the knob, one method after the other.
        for row in rows.orderBy("model").collect():
            found.setdefault(row["model"], {})[row["metric"]] = row["value"]
    return found


def report(title: str, found: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"{title}, against slates as scored")
    for heading in ("re-ranked", *SHOWN):
        table.add_column(heading, justify="left" if heading == "re-ranked" else "right")
    plain = found[AS_SCORED]
    table.add_row(AS_SCORED, *(f"{plain[metric]:.4f}" for metric in SHOWN))
    for way, own in found.items():
        if way != AS_SCORED:
            table.add_row(way, *(f"{own[m] / plain[m] - 1:+.1%}" for m in SHOWN))
    Console(width=120).print(table)


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    figure, axes = plt.subplots(
        len(found), 3, figsize=(11, 2.8 * len(found)), squeeze=False, layout="constrained"
    )
    for row, (title, own) in zip(axes, found.items(), strict=True):
        for axis, metric in zip(row, SHOWN[1:], strict=True):
            for method, colour in (("mmr", "#0072B2"), ("calibrated", "#D55E00")):
                ways = [AS_SCORED, *(f"{method} {strength}" for strength in STRENGTHS)]
                points = [(own[way][metric], own[way]["ndcg@10"]) for way in ways]
                axis.plot(*zip(*points, strict=True), marker="o", ms=3, color=colour, label=method)
            axis.set_xlabel(metric)
        row[0].set_ylabel(f"{title}\nndcg@10")
    axes[0][0].legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
