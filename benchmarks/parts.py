"""What a part is worth: slates with a network over sequences, with texts, and without either.

    .venv/bin/python benchmarks/parts.py [--sets deskdrop ...] [--parts sequence content projected]
        [--nights 3] [--root FOLDER] [--views FOLDER] [--set KEY=VALUE ...]

Needs $EBB_DATA, and the extra `deep` for sequence. The sets, their as_of and how they are judged
are those of benchmarks/quality.py. At the beginning of each label window every model is fitted
once, and seen twice or more: with no part, and with each part alone as one more source of
candidates and features. The choice, and with ``--set 'train.ranker={}'`` a ranker, are then made
on each view of the windows before an as_of, and judged on what people took after it.
Prints NDCG@10 without and with each part, by what ranks, and how far it is ahead with a 95 %
interval of a paired bootstrap over users; on the last line all of it as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from quality import METRIC, MODES, SETS, UNRANKED, Quality, grounds_of, night_of, seen
from rich.console import Console
from rich.table import Table

from ebb.boxes.choose import Grounds
from ebb.boxes.study import AUTO, Views, chosen_at
from ebb.boxes.vectors import vectors
from ebb.context import Night
from ebb.evaluate.significance import compare_models
from ebb.evaluate.splits import Split
from ebb.night import ingest
from ebb.ranker.contest import RANKER
from ebb.recommend.choose import BLEND
from ebb.schema import ITEM_VECTORS
from ebb.steps import RunLog

# The models that each part brings, and how it is turned on.
PARTS = {
    "sequence": (("sequence",), "train.sequences={}"),
    "content": (("content",), "language={}"),
    "projected": (("content", "projected"), "language={projection: {}}"),
}
WITHOUT = "without"
RANKED_BY = (AUTO, UNRANKED, BLEND, RANKER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--views", type=Path, help="folder that keeps views from run to run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    # A later one of the same setting stands: projected comes after content.
    options.set = [*(PARTS[name][1] for name in PARTS if name in options.parts), *options.set]
    with tempfile.TemporaryDirectory(prefix="ebb-parts-") as folder:
        root = options.root or folder
        found = {name: judged(name, root, options) for name in options.sets}
    print(json.dumps(found), flush=True)


def judged(name: str, root: str, options: argparse.Namespace) -> dict[str, object]:
    """Figures of one set; prints them."""
    nights = {mode: night_of(name, mode, root, options) for mode in MODES}
    one = nights["new"]
    if not (Path(root) / name / "events").exists():
        ingest(one)
    vectors(one, RunLog(one))
    parts = options.parts
    if one.tables.read(ITEM_VECTORS).isEmpty():
        parts = [part for part in parts if "content" not in brought(part)]
        print(f"{name} has no texts: of the parts it is judged with {parts}", flush=True)
    grounds = {mode: grounds_of(night) for mode, night in nights.items()}
    seen_with = {
        (mode, part): {w: with_models(own, brought(part)) for w, own in grounds[mode].items()}
        for mode in MODES
        for part in (WITHOUT, *parts)
    }
    views = seen({of: nights[of[0]] for of in seen_with}, seen_with, options.views)
    result: dict[str, object] = {}
    for mode, night in nights.items():
        by_part = {
            part: users_of(night, seen_with[mode, part], views) for part in (WITHOUT, *parts)
        }
        result |= compared(f"{name} {mode}", by_part)
    return result


def brought(part: str) -> tuple[str, ...]:
    return PARTS[part][0] if part in PARTS else ()


def with_models(grounds: Grounds, more: tuple[str, ...]) -> Grounds:
    """The same windows, where no part's models are seen but some."""
    others = {model for models, _ in PARTS.values() for model in models} - set(more)
    models = tuple(name for name in grounds.columns.models if name not in others)
    return replace(grounds, columns=replace(grounds.columns, models=models))


def users_of(night: Night, grounds: Mapping[Split, Grounds], views: Views) -> pd.DataFrame:
    """as_of, model, user_id and NDCG of what was chosen on the windows before each as_of."""
    chosen = [
        (window, chosen_at(replace(night, as_of=window.as_of), own, window, views))
        for window, own in grounds.items()
    ]
    return Quality.of(chosen, night.config.recommend.n).users


def compared(title: str, by_part: Mapping[str, pd.DataFrame]) -> dict[str, object]:
    """Of each part and what ranks: both means, and how far it is ahead; prints them."""
    table, found = Table(title=f"{title}: {METRIC}"), {}
    for heading in ("part", "ranked by", "without", "with", "ahead by", "95 % interval"):
        table.add_column(heading)
    for part, users in by_part.items():
        for by in RANKED_BY:
            both = pd.concat(
                rows[rows["model"] == by].assign(model=name)
                for name, rows in ((WITHOUT, by_part[WITHOUT]), (part, users))
            )
            if part == WITHOUT or both["model"].nunique() < 2:
                continue
            means = both.groupby(["model", "as_of"])[METRIC].mean().groupby("model").mean()
            ahead = compare_models(both, METRIC, part, WITHOUT)
            figures = [means[WITHOUT], means[part], ahead.value, ahead.low, ahead.high]
            found[f"{title} {part} {by}"] = [round(float(x), 4) for x in figures]
            low, high = f"{ahead.low:+.4f}", f"{ahead.high:+.4f}"
            table.add_row(
                part, by, f"{figures[0]:.4f}", f"{figures[1]:.4f}", f"{ahead.value:+.4f}",
                f"{low} to {high}",
            )  # fmt: skip
    Console(width=120).print(table)
    return found


if __name__ == "__main__":
    main()
