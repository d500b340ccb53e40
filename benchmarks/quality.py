"""What `auto` is worth: its slates against every baseline's, on four public sets, six as_of each.

    .venv/bin/python benchmarks/quality.py [--sets online_retail ...] [--nights 6] [--root FOLDER]
        [--slates FOLDER] [--views FOLDER] [--set KEY=VALUE ...]

Needs $EBB_DATA. For each set, and both with items that people had (any) and without (new): at each
as_of the choice is made as a night makes it, on label windows before, and everything is judged on
what people took after it, as the job `evaluate` does (`ebb.boxes.study`). The baselines are the
strategies of one source, each under the half-life that did best on those same windows before.
Prints NDCG@10 and how far auto is ahead, with 95 % intervals of a paired bootstrap over users, and
on the last line all of it as JSON.
One configuration serves all sets, but for what maps their columns. With --slates the slates of the
latest as_of are written there, a Parquet file a set, mode and model (`auto`, with a ranker `ranker`
and `unranked` too): user_id, rank, item_id. With --views the candidates of each window are kept
there, and found again by a later run on the same tables.

With ``--set 'train.ranker={}'`` (extra `ranker`) a ranker is fitted and held against the rest at
each as_of, as a night does; `auto` is then what the night would rank by, `unranked` what it would
have chosen without, and how far `ranker` and `auto` are ahead of that is said beside the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ebb.boxes.choose import Grounds, grounds_at
from ebb.boxes.study import (
    AUTO,
    Chosen,
    Views,
    chosen_at,
    judged_windows,
    slates_of,
    views_needed,
)
from ebb.boxes.windows import seen_at
from ebb.config_file import load_config
from ebb.context import Night
from ebb.evaluate.significance import Interval, compare_models
from ebb.evaluate.splits import Split
from ebb.hashes import short_hash
from ebb.night import ingest
from ebb.progress import Progress
from ebb.ranker.contest import RANKER
from ebb.recommend.choose import ndcg
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.views import View
from ebb.session import start_session
from ebb.tables import Tables

MODES = {"new": "exclude", "any": "allow"}
BASELINES = (
    "popularity_flat", "popularity", "history", "neighbours_flat", "neighbours", "ease_flat",
    "ease", "als_flat", "als",
)  # fmt: skip
METRIC = "ndcg@10"
UNRANKED = "unranked"


@dataclass(frozen=True)
class Quality:
    """NDCG of every model.

    Attributes
    ----------
    chosen : the strategy that auto chose at each as_of, the latest first.
    users : as_of, model, user_id, ndcg@10.
    unranked : what the choice without a ranker is called in `users`.
    """

    chosen: list[str]
    users: pd.DataFrame
    unranked: str

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
            for model, tried in {**chosen.models, UNRANKED: chosen.unranked.chosen}.items()
        ]
        users, names = pd.concat(parts), [one.choice.chosen.strategy for _, one in nights]
        if RANKER in set(users["model"]):
            return Quality(names, users, UNRANKED)
        return Quality(names, users[users["model"] != UNRANKED], AUTO)

    @cached_property
    def means(self) -> pd.Series:
        """By model, of those that were judged every night; each night weighs the same."""
        by_night = self.users.groupby(["model", "as_of"])[METRIC].mean().unstack("as_of")
        return by_night.dropna().mean(axis=1).sort_values(ascending=False, kind="stable")

    @property
    def latest(self) -> pd.Series:
        own = self.users[self.users["as_of"] == self.users["as_of"].max()]
        return own.groupby("model")[METRIC].mean()

    def ahead(self, model: str, of: str) -> Interval:
        """How far a model is ahead of another on the nights that have both."""
        both = self.users.groupby("as_of")["model"].transform(lambda own: {model, of} <= set(own))
        return compare_models(self.users[both], METRIC, model, of)


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
    parser.add_argument("--views", type=Path, help="folder that keeps views from run to run")
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
    grounds = {mode: grounds_of(night) for mode, night in nights.items()}
    views = seen(nights, grounds, options.views)
    for mode, night in nights.items():
        found, n = [], night.config.recommend.n
        for window, own in grounds[mode].items():
            chosen = chosen_at(replace(night, as_of=window.as_of), own, window, views)
            found.append((window, chosen))
        if options.slates:
            write_slates(found[0][1], n, options.slates, f"{name}_{mode}")
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


def grounds_of(night: Night) -> dict[Split, Grounds]:
    """What is to be chosen on at each window judged."""
    return {w: grounds_at(replace(night, as_of=w.as_of)) for w in judged_windows(night)}


def seen(
    nights: dict[str, Night], grounds: dict[str, dict[Split, Grounds]], kept: Path | None
) -> Views:
    """The views that the studies of both modes need, from one fit a window."""
    wanted: dict[tuple[HalfLives, Split], dict[tuple[Columns, int], Night]] = {}
    for mode, night in nights.items():
        for window, own in grounds[mode].items():
            for one, columns, users in views_needed(night, own, window):
                wanted.setdefault((columns.half_lives, one), {})[columns, users] = night
    views: Views = {}
    for place, ((half_lives, window), asked) in enumerate(wanted.items(), start=1):
        paths = {one: kept_at(kept, night, window, *one) for one, night in asked.items()}
        if all(path is not None and path.exists() for path in paths.values()):
            for one, path in paths.items():
                views[window, *one] = read_view(path)
            continue
        night = next(iter(asked.values()))
        with (
            night.progress.step(f"window {place} of {len(wanted)}, {window.as_of:%Y-%m-%d}"),
            seen_at(night, half_lives, window) as before,
        ):
            for one, path in paths.items():
                views[window, *one] = before.view(*one)
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(pickle.dumps(views[window, *one]))
    return views


def kept_at(
    kept: Path | None, night: Night, window: Split, columns: Columns, users: int
) -> Path | None:
    """Where the view of a window lies, if views are kept; one made otherwise has another name."""
    if kept is None:
        return None
    config = night.config
    made_by = config.fingerprint("events", "items", "language", "recommend")
    models = config.train.model_dump_json(exclude={"ranker"}, exclude_none=True)
    text = f"{made_by} {models} {window} {columns} {users}"
    return kept / f"{Path(night.config.root).name}-{short_hash(text.encode())}.pickle"


def read_view(path: Path) -> View:
    found: View = pickle.loads(path.read_bytes())
    return found


def write_slates(latest: Chosen, n: int, folder: Path, name: str) -> None:
    models = {AUTO: latest.choice.chosen}
    if RANKER in latest.models:
        models |= {RANKER: latest.models[RANKER], UNRANKED: latest.unranked.chosen}
    folder.mkdir(parents=True, exist_ok=True)
    for model, slates in slates_of(latest.view, models, n).groupby("model"):
        slates.drop(columns="model").to_parquet(folder / f"{name}_{model}.parquet", index=False)


def report(title: str, found: Quality) -> None:
    judged = found.users[found.users["model"] == AUTO]
    table = Table(title=f"{title}: {len(found.chosen)} as_of, {len(judged):,} users")
    headings = (METRIC, "latest as_of", "auto is ahead by", "95 % interval")
    for heading in ("strategy", *headings):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for model, mean in found.means.items():
        row = [str(model), f"{mean:.4f}", f"{found.latest[model]:.4f}"]
        if model != AUTO:
            ahead = found.ahead(AUTO, str(model))
            row += [f"{ahead.value:+.4f}", f"{ahead.low:+.4f} to {ahead.high:+.4f}"]
        table.add_row(*row)
    Console(width=120).print(table)
    print(f"chosen, the latest first: {', '.join(found.chosen)}", flush=True)


def verdict(found: dict[str, Quality]) -> None:
    """What is chosen without a ranker against the best baseline of each row, the one with the
    highest mean; and the ranker, and auto with it, against what is chosen without."""
    result: dict[str, dict[str, object]] = {}
    for title, one in found.items():
        best = str(one.means[[name for name in BASELINES if name in one.means]].idxmax())
        result[title] = {
            "auto": round(one.means[one.unranked], 4),
            "auto_latest": round(one.latest[one.unranked], 4),
            "best_baseline": best,
            "baseline": round(one.means[best], 4),
            "ahead": compared(title, one, one.unranked, best),
            "nights": len(one.chosen),
        }
        if one.unranked == UNRANKED:
            result[title] |= {
                "ranker_ahead": compared(title, one, RANKER, UNRANKED),
                "auto_with_ranker_ahead": compared(title, one, AUTO, UNRANKED),
                "promoted": one.chosen.count(RANKER),
            }
    print(json.dumps(result), flush=True)


def compared(title: str, found: Quality, model: str, other: str) -> list[float]:
    """Say how far a model is ahead of another: the difference, and its interval."""
    ahead = found.ahead(model, other)
    said = "ahead of" if ahead.low > 0 else "behind" if ahead.high < 0 else "level with"
    figures = [round(x, 4) for x in (ahead.value, ahead.low, ahead.high)]
    print(f"{title}: {model} is {said} {other}: {figures[0]:+} [{figures[1]:+}, {figures[2]:+}]")
    return figures


if __name__ == "__main__":
    main()
