"""What `auto` is worth: its slates against every baseline's, on four public sets, six as_of each.

    .venv/bin/python benchmarks/quality.py [--sets online_retail ...] [--nights 6] [--root FOLDER]
        [--slates FOLDER]

Needs $EBB_DATA. For each set, and both with items that people had (any) and without (new): at each
as_of the choice is made as a night makes it, on label windows before, and everything is judged on
what people took after it, as the job `evaluate` does (`ebb.boxes.study`). The baselines are the
strategies of one source, each under the half-life that did best on those same windows before.
Prints NDCG@10 and how far auto is ahead, with 95 % intervals of a paired bootstrap over users, and
on the last line all of it as JSON.
One configuration serves all sets, but for what maps their columns. With --slates the slates of the
latest as_of are written there, a Parquet file a set and mode: user_id, rank, item_id.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ebb.boxes.choose import grounds_at
from ebb.boxes.study import AUTO, Chosen, Views, chosen_at, judged_windows, slates_of
from ebb.boxes.windows import seen_at
from ebb.config_file import load_config
from ebb.context import Night
from ebb.evaluate.significance import Interval, compare_models
from ebb.evaluate.splits import Split
from ebb.night import ingest
from ebb.progress import Progress
from ebb.recommend.choose import ndcg
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives
from ebb.session import start_session
from ebb.tables import Tables

MODES = {"new": "exclude", "any": "allow"}
BASELINES = (
    "popularity_flat", "popularity", "history", "neighbours_flat", "neighbours", "ease_flat",
    "ease", "als_flat", "als",
)  # fmt: skip
METRIC = "ndcg@10"


@dataclass(frozen=True)
class Quality:
    """NDCG of every model.

    Attributes
    ----------
    chosen : the strategy that auto chose at each as_of, the latest first.
    users : as_of, model, user_id, ndcg@10.
    """

    chosen: list[str]
    users: pd.DataFrame

    @staticmethod
    def of(nights: Sequence[tuple[Split, Chosen]], n: int) -> Quality:
        parts = [
            pd.DataFrame(
                {
                    "as_of": window.as_of,
                    "model": model,
                    "user_id": chosen.view.users,
                    METRIC: ndcg(chosen.view, tried.score(chosen.view), n),
                }
            )
            for window, chosen in nights
            for model, tried in chosen.models.items()
        ]
        return Quality([one.choice.chosen.strategy for _, one in nights], pd.concat(parts))

    @cached_property
    def means(self) -> pd.Series:
        """By model, of those that were judged every night; each night weighs the same."""
        by_night = self.users.groupby(["model", "as_of"])[METRIC].mean().unstack("as_of")
        return by_night.dropna().mean(axis=1).sort_values(ascending=False, kind="stable")

    @property
    def latest(self) -> pd.Series:
        own = self.users[self.users["as_of"] == self.users["as_of"].max()]
        return own.groupby("model")[METRIC].mean()

    def ahead(self, model: str) -> Interval:
        return compare_models(self.users, METRIC, AUTO, model)


@dataclass(frozen=True)
class PublicSet:
    """A public set: its latest as_of, and how long its label windows are."""

    as_of: datetime
    horizon: timedelta


SETS = {
    "online_retail": PublicSet(datetime(2011, 11, 20, tzinfo=UTC), timedelta(days=20)),
    "globo_news_20pct": PublicSet(datetime(2017, 10, 15, tzinfo=UTC), timedelta(days=1)),
    "deskdrop": PublicSet(datetime(2016, 12, 13, tzinfo=UTC), timedelta(days=30)),
    "foursquare_nyc": PublicSet(datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=30)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--nights", type=int, default=6)
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--slates", type=Path, help="folder for the slates of the latest as_of")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebb-quality-") as folder:
        root = options.root or folder
        found = {}
        for name in options.sets:
            for mode, judged in judge(name, root, options):
                found[f"{name} {mode}"] = judged
                report(f"{name} {mode}", judged)
    verdict(found)


def judge(name: str, root: str, options: argparse.Namespace) -> Iterator[tuple[str, Quality]]:
    """Both modes of one set, one after the other; models are fitted once for both."""
    nights = {mode: night_of(name, mode, root, options) for mode in MODES}
    one = nights["new"]
    if not (Path(root) / name / "events").exists():
        ingest(one)
    views = seen(nights)
    for mode, night in nights.items():
        found, n = [], night.config.recommend.n
        for window in judged_windows(night):
            before = replace(night, as_of=window.as_of)
            chosen = chosen_at(before, grounds_at(before), window, views)
            found.append((window, chosen))
        if options.slates:
            write_slates(found[0][1], n, options.slates / f"{name}_{mode}.parquet")
        yield mode, Quality.of(found, n)


def night_of(name: str, mode: str, root: str, options: argparse.Namespace) -> Night:
    public = SETS[name]
    os.environ["EBB_ROOT"] = root
    sets = [
        f"recommend.repeat={MODES[mode]}",
        "recommend.n=10",
        "recommend.block=[]",
        f"evaluate.horizon={public.horizon.days}d",
        f"evaluate.nights={options.nights}",
        *options.set,
    ]
    config = load_config(f"conf/{name}.yaml", sets=sets)
    spark = start_session("benchmark of quality", config.spark)
    tables = Tables(spark, config.root)
    as_of = public.as_of + public.horizon
    return Night(spark, tables, config, as_of, Progress(terminal=False), "evaluate", "benchmark")


def seen(nights: dict[str, Night]) -> Views:
    """The views that the studies of both modes need, from one fit a window."""
    wanted: dict[tuple[HalfLives, Split], dict[tuple[Columns, int], Night]] = {}
    for night in nights.values():
        settings, choose = night.config.evaluate, night.config.recommend.choose
        for window in judged_windows(night):
            grounds = grounds_at(replace(night, as_of=window.as_of))
            for one, users in (
                (window, settings.users),
                *((before, choose.users) for before in grounds.windows),
            ):
                key = (grounds.columns.half_lives, one)
                wanted.setdefault(key, {})[grounds.columns, users] = night
    views: Views = {}
    for place, ((half_lives, window), asked) in enumerate(wanted.items(), start=1):
        night = next(iter(asked.values()))
        with (
            night.progress.step(f"window {place} of {len(wanted)}, {window.as_of:%Y-%m-%d}"),
            seen_at(night, half_lives, window) as before,
        ):
            for columns, users in asked:
                views[window, columns, users] = before.view(columns, users)
    return views


def write_slates(latest: Chosen, n: int, path: Path) -> None:
    slates = slates_of(latest.view, {AUTO: latest.choice.chosen}, n)
    path.parent.mkdir(parents=True, exist_ok=True)
    slates.drop(columns="model").to_parquet(path, index=False)


def report(title: str, found: Quality) -> None:
    judged = found.users[found.users["model"] == AUTO]
    table = Table(title=f"{title}: {len(found.chosen)} as_of, {len(judged):,} users")
    headings = (METRIC, "latest as_of", "auto is ahead by", "95 % interval")
    for heading in ("strategy", *headings):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for model, mean in found.means.items():
        row = [str(model), f"{mean:.4f}", f"{found.latest[model]:.4f}"]
        if model != AUTO:
            ahead = found.ahead(str(model))
            row += [f"{ahead.value:+.4f}", f"{ahead.low:+.4f} to {ahead.high:+.4f}"]
        table.add_row(*row)
    Console(width=120).print(table)
    print(f"chosen, the latest first: {', '.join(found.chosen)}", flush=True)


def verdict(found: dict[str, Quality]) -> None:
    """auto against the best baseline of each row, the one with the highest mean."""
    result: dict[str, object] = {}
    for title, one in found.items():
        best = one.means[[name for name in BASELINES if name in one.means]].idxmax()
        ahead = one.ahead(best)
        result[title] = {
            "auto": round(one.means[AUTO], 4),
            "auto_latest": round(one.latest[AUTO], 4),
            "best_baseline": best,
            "baseline": round(one.means[best], 4),
            "ahead": [round(x, 4) for x in (ahead.value, ahead.low, ahead.high)],
            "nights": len(one.chosen),
        }
        said = "ahead" if ahead.low > 0 else "behind" if ahead.high < 0 else "level"
        print(f"{title}: {said} of {best} by {ahead.value:+.4f} "
              f"[{ahead.low:+.4f}, {ahead.high:+.4f}]")  # fmt: skip
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
