"""What the ranker is worth: against the blend it stands on, on four public sets, five as_of each.

    .venv/bin/python benchmarks/ranker.py [--sets online_retail ...] [--nights 5] [--root FOLDER]
        [--views FOLDER] [--set KEY=VALUE ...]

Needs $EBB_DATA and the extra `ranker`. For each set, and both with items that people had (any) and
without (new): at each as_of everything is fitted, judged and chosen on label windows before it, as
a night does, and then held against what people took after it. `auto` is what a night would rank by:
the ranker where it was promoted, else the best of the others; `below` is the blend that the trees
stand on, fitted on all windows of the ranker. Prints NDCG@10 with 95 % intervals of a paired
bootstrap over users, each with all their nights, and on the last line all of it as JSON. With
--views the candidates of each window are kept there, and found again by later runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from quality import MODES, SETS, night_of

from ebb.boxes.choose import Grounds, choice_on, grounds_at
from ebb.boxes.ranker import examples_of_views, ranker_beside, settings_of
from ebb.boxes.study import AUTO, judged_windows
from ebb.boxes.windows import seen_at
from ebb.context import Night
from ebb.evaluate.significance import Interval, compare_models
from ebb.evaluate.splits import Split
from ebb.night import ingest
from ebb.ranker.contest import RANKER
from ebb.recommend.choose import BLEND, ndcg
from ebb.recommend.views import View

METRIC = "ndcg"


@dataclass(frozen=True)
class Judged:
    """Figures by model, user_id and as_of, and how often the ranker was promoted."""

    users: pd.DataFrame
    promoted: int
    nights: int

    def mean(self, model: str) -> float:
        return float(self.users.loc[self.users["model"] == model, METRIC].mean())

    def ahead(self, model: str, other: str) -> Interval:
        return compare_models(self.users, METRIC, model, other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--views", type=Path, help="folder that keeps views from run to run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.set = ["train.ranker={}", *options.set]
    found = {}
    with tempfile.TemporaryDirectory(prefix="ebb-ranker-") as folder:
        root = options.root or folder
        for name in options.sets:
            for mode in options.modes:
                night = night_of(name, mode, root, options)
                if not (Path(root) / name / "events").exists():
                    ingest(night)
                found[f"{name} {mode}"] = report(f"{name} {mode}", judge(night, options.views))
    print(json.dumps(found), flush=True)


def judge(night: Night, kept: Path | None) -> Judged:
    """Fit and choose at each as_of, and judge on the window after it."""
    settings, n = night.config.evaluate, night.config.recommend.n
    rows, promoted, nights = [], 0, 0
    for window in judged_windows(night):
        before = replace(night, as_of=window.as_of)
        grounds = grounds_at(before)
        ranker = settings_of(before)
        if ranker is None or window.as_of - grounds.first < settings.horizon * 2:
            break
        most = before.config.recommend.choose.users
        views = [
            viewed(before, grounds, one, most, kept) for one in (*grounds.windows, *grounds.further)
        ]
        choice, remark = choice_on(before, grounds, views[: len(grounds.windows)])
        choice, fitted, said = ranker_beside(
            before, views, choice, examples_of_views(before.spark, ranker)
        )
        print(f"{window.as_of:%Y-%m-%d}: {remark}; {said}", flush=True)
        if fitted is None:
            continue
        test = viewed(before, grounds, window, settings.users, kept)
        models = {AUTO: choice.chosen, RANKER: fitted.tried}
        blend = choice.of(BLEND)
        if blend is None:
            continue
        # As a night without a ranker has it, and the one below the trees.
        models |= {BLEND: blend, "below": replace(fitted.tried, trees=None)}
        nights, promoted = nights + 1, promoted + fitted.verdict.promoted
        rows += [
            pd.DataFrame(
                {
                    "model": model,
                    "user_id": test.users,
                    "as_of": window.as_of,
                    METRIC: ndcg(test, one.score(test), n),
                }
            )
            for model, one in models.items()
        ]
    return Judged(pd.concat(rows, ignore_index=True), promoted, nights)


def viewed(night: Night, grounds: Grounds, window: Split, users: int, kept: Path | None) -> View:
    """The view of a window, from the folder where it is there."""
    text = f"{night.config.root} {window} {grounds.columns} {users}"
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = kept / f"{Path(night.config.root).name}-{name}.pickle" if kept else None
    if path is not None and path.exists():
        found: View = pickle.loads(path.read_bytes())
        return found
    with seen_at(night, grounds.columns.half_lives, window) as seen:
        found = seen.view(grounds.columns, users)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(found))
    return found


def report(title: str, judged: Judged) -> dict[str, object]:
    result: dict[str, object] = {
        "nights": judged.nights,
        "promoted": judged.promoted,
        **{model: round(judged.mean(model), 4) for model in (RANKER, BLEND, "below", AUTO)},
    }
    for model in (RANKER, AUTO):
        ahead = judged.ahead(model, BLEND)
        figures = [round(x, 4) for x in (ahead.value, ahead.low, ahead.high)]
        result[f"{model} ahead of blend"] = figures
        said = "ahead" if ahead.low > 0 else "behind" if ahead.high < 0 else "level"
        beside = f"{model} {judged.mean(model):.4f}, blend {judged.mean(BLEND):.4f}"
        by = f"{ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]"
        print(f"{title}: {beside}: {said} by {by}", flush=True)
    return result


if __name__ == "__main__":
    main()
