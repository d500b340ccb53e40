from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes import choose as choose_box
from ebb.boxes.champion import champion, roll_back
from ebb.boxes.choose import Decision, choose_strategy
from ebb.boxes.ranker import examples_of_views
from ebb.boxes.slates import ranking_of
from ebb.boxes.windows import seen_at
from ebb.context import Night
from ebb.errors import RunError
from ebb.evaluate.splits import Split
from ebb.night import nightly
from ebb.progress import Progress
from ebb.ranker import rolling
from ebb.ranker.settings import Ranker
from ebb.ranker.trees import shipped_trees
from ebb.recommend.features import BESIDE, Columns
from ebb.recommend.half_lives import HalfLifeSettings, half_lives_for
from ebb.recommend.views import View
from ebb.schema import CHOICES, RANKERS, TRAINING_SETS
from ebb.steps import RunLog
from ebb.tables import Tables
from recommend.test_blend import view
from small import Arriving, Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)
RANKER = {"trees": 3, "depth": 2, "min_child_weight": 0.0, "windows": 4, "least_users": 1,
          "negatives": 3}  # fmt: skip


def habits(until: datetime, days: int = 8) -> list[Arriving]:
    """Nine people who take their own two of nine items every day."""
    return [
        (f"u{user}", f"i{(user + place) % 9}", "view", until - day * DAY - DAY / 2, None)
        for user in range(9)
        for place in range(2)
        for day in range(days)
    ]


def night_of(
    tables: Tables, folder: Path, recommend: Mapping[str, Any] | None = None, **sections: Any
) -> Night:
    config = Shop(tables, folder).config(
        recommend={"weights": None, "choose": {"nights": 1, "horizon": "1d"}, "n": 2,
                   "strategy": "ranker", **(recommend or {})},
        train={"models": [], "ranker": RANKER},
        **sections,
    )  # fmt: skip
    progress = Progress(terminal=False)
    return Night(tables.spark, tables, config, AS_OF, progress, "nightly", "run")


# ------------------------------------------------------------------------- what is seen
def test_nothing_at_or_after_a_windows_beginning_reaches_its_features(tables, tmp_path) -> None:
    start = AS_OF - 2 * DAY
    before = [event for event in habits(AS_OF) if event[3] < start]
    later: list[Arriving] = [
        *((f"u{user}", f"i{(user + 5) % 9}", "buy", start, 40.0) for user in range(9)),
        *(("new", f"i{item}", "view", start + DAY / 3, None) for item in range(9)),
        ("u1", "unheard", "view", start, None),
    ]
    lives = half_lives_for(8 * DAY, HalfLifeSettings())
    columns = Columns(lives, (), (), repeat=True)
    was = _examples(tables, tmp_path / "was", habits(AS_OF), start, columns, 99)
    changed = _examples(tables, tmp_path / "changed", before + later, start, columns, 99)
    assert was.keys() == changed.keys() and len(was) == 81
    assert all(was[key]["features"] == changed[key]["features"] for key in was)
    labels = {key for key, row in changed.items() if row["is_label"]}
    assert labels == {(f"u{user}", f"i{(user + 5) % 9}") for user in range(9)}
    assert len({row["group_id"] for row in was.values()}) == 9
    assert {row["labels"] for row in was.values()} == {2}


def test_an_item_meets_the_device_that_its_user_had_before_the_window(tables, tmp_path) -> None:
    start = AS_OF - 2 * DAY
    events = habits(AS_OF)
    # In the window u0 takes to the desk, which nobody could have known before.
    devices = [
        "phone" if event[0] < "u4" and not (event[0] == "u0" and event[3] >= start) else "desk"
        for event in events
    ]
    arrive(tables, events, contexts=[{"device": one} for one in devices])
    mapped = {"event_id": None, "context": {"device": "device"}}
    sources = [{"path": str(tmp_path), "format": "jsonl", "columns": mapped}]
    night = night_of(tables, tmp_path, {"context": ["device"]}, events={"sources": sources})
    columns = Columns(
        half_lives_for(8 * DAY, HalfLifeSettings()), (), (), True, context=("device",)
    )
    assert columns.beside_names[-1] == "context_device"
    taken: dict[tuple[str, str], float] = defaultdict(float)
    for (_, item, _, when, _), device in zip(events, devices, strict=True):
        if when < start:
            taken[device, str(item)] += 0.5 ** ((start - when) / columns.half_lives.scale)
    total = sum(taken.values())
    with (
        seen_at(night, columns.half_lives, Split(start, start + DAY)) as seen,
        seen.outlook(columns).examples(Ranker(negatives=9)) as rows,
    ):
        found = {(r["user_id"], r["item_id"]): r["features"][-1] for r in rows.collect()}
    assert len(found) == 81
    for (user, item), lift in found.items():
        device = "phone" if user < "u4" else "desk"
        share = sum(n for (of, _), n in taken.items() if of == device) / total
        n = sum(taken[of, item] for of in ("phone", "desk"))
        wanted = math.log((taken[device, item] + 10 * share) / (n + 10) / share)
        assert lift == pytest.approx(wanted, abs=1e-4)
    assert found["u0", "i0"] > 0 > found["u8", "i2"]


def _examples(
    tables: Tables, folder: Path, events: list[Arriving], start: datetime, columns: Columns,
    negatives: int,
) -> dict[tuple[str, str], Any]:  # fmt: skip
    own = Tables(tables.spark, f"{tables.root}/{folder.name}")
    arrive(own, events)
    night, window = night_of(own, folder), Split(start, start + DAY)
    with (
        seen_at(night, columns.half_lives, window) as seen,
        seen.outlook(columns).examples(Ranker(negatives=negatives)) as rows,
    ):
        return {(r["user_id"], r["item_id"]): r for r in rows.collect()}


# ------------------------------------------------------------------------- the night
@dataclass
class Pretended:
    """Nine users with nine candidates each, in place of what models would find."""

    seen: Any
    prepared: Any

    def view(self, most_users: int) -> View:
        names = self.prepared.plan.columns.names
        draw = np.random.default_rng(self.seen.window.as_of.day)
        users = [(draw.normal(size=(9, len(names))), [1, 2]) for _ in range(9)]
        window = self.seen.window
        return replace(view(users, names), as_of=window.as_of, until=window.until)

    @contextmanager
    def examples(self, settings: Ranker) -> Iterator[DataFrame]:
        rows = examples_of_views(self.seen.night.spark, settings)([self.view(9)])
        yield rows.withColumns(
            {
                "label_until": F.lit(self.seen.window.until),
                "group_id": F.xxhash64("label_from", "user_id"),
                "labels": F.lit(2),
                "weight": F.lit(1.0),
            }
        )


@contextmanager
def pretended(night: Night, lives: object, window: Split) -> Iterator[Any]:
    def outlook(columns: Columns) -> Pretended:
        return Pretended(seen, SimpleNamespace(plan=SimpleNamespace(columns=columns)))

    seen = SimpleNamespace(night=night, window=window, outlook=outlook)
    yield seen


FITTED_ON: list[int] = []


def some_trees(rows: DataFrame, names: Sequence[str], *_: object) -> bytes:
    """Trees over the right features, fitted without Spark: `test_ranker` fits them with it."""
    FITTED_ON.append(rows.count())
    matrix = np.random.default_rng(1).normal(size=(60, len(names) + len(BESIDE)))
    data = xgboost.DMatrix(matrix, label=matrix[:, 0], nthread=1)
    params = {"max_depth": 2, "nthread": 1, "base_score": 0.0}
    return bytes(xgboost.train(params, data, num_boost_round=3).save_raw("ubj"))


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory) -> Iterator[Night]:
    """A night whose choice is pinned to the ranker."""
    folder = tmp_path_factory.mktemp("ranker")
    tables = Tables(spark, str(folder / "root"))
    arrive(tables, habits(AS_OF))
    night = night_of(tables, folder / "landing")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rolling, "fit_trees", some_trees)
        patched.setattr(choose_box, "seen_at", pretended)
        choose_strategy(night, RunLog(night))
    yield night


def test_a_night_keeps_its_training_set_its_ranker_and_how_it_did(run: Night) -> None:
    rows = run.tables.read_slice(TRAINING_SETS, AS_OF)
    windows = {r["label_from"].astimezone(UTC) for r in rows.select("label_from").collect()}
    assert windows == {AS_OF - DAY * place for place in (1, 2, 3, 4)}
    # Nine users with two taken and three others: of three windows, two, one, and all four.
    assert FITTED_ON == [135, 90, 45, 180]
    stamps = [commit.stamp for commit in run.tables.history(TRAINING_SETS) if commit.stamp]
    days = ("2026-01-16", "2026-01-17", "2026-01-18", "2026-01-19")
    assert {s.facts["label_from"] for s in stamps} == {f"{day}T00:00:00Z" for day in days}
    assert stamps[0].facts["names"][-len(BESIDE) :] == [feature.name for feature in BESIDE]
    assert set(stamps[0].inputs) == {"events", "items"}
    (row,) = run.tables.read(RANKERS).collect()
    chosen = {r["strategy"]: r for r in run.tables.read(CHOICES).collect()}
    assert chosen["ranker"]["is_chosen"] and chosen["ranker"]["ndcg"] == row["ndcg"]
    assert (row["users"], row["windows"], row["trees"], row["promoted"]) == (27, 4, 3, False)
    assert row["reason"].startswith("not promoted, ")
    decision = Decision.of(run)
    assert decision is not None
    assert (decision.strategy, decision.ranker) == ("ranker", row["version"])
    ranking = ranking_of(run, decision)
    assert ranking.weights == row["weights"] and ranking.trees is not None
    matrix = np.zeros((1, len(stamps[0].facts["names"])), dtype=np.float32)
    assert np.isfinite(shipped_trees(ranking.trees).sums(matrix)).all()


def test_rolling_back_makes_another_choice_hold_and_forgets_nothing(run: Night, capsys) -> None:
    decision = Decision.of(run)
    assert decision is not None and decision.ranker is not None
    tried = run.tables.read(CHOICES).count()
    roll_back(run, None)
    # Nothing ranked before: the blend of the same choice does.
    before = Decision.of(run)
    assert before is not None and (before.strategy, before.ranker) == ("blend", None)
    assert before.columns == decision.columns
    champion(run, decision.ranker)
    back = Decision.of(run)
    assert back is not None
    assert replace(back, version=0) == replace(decision, version=0)
    assert "◀ ranks" in capsys.readouterr().out
    # The choice before the present one was the blend's.
    roll_back(run, None)
    chosen = run.tables.read(CHOICES).where("is_chosen").collect()
    assert [r["strategy"] for r in chosen] == ["blend"]
    assert run.tables.read(RANKERS).count() == 1
    assert run.tables.read(CHOICES).count() == tried
    with pytest.raises(RunError, match="there is no ranker ffff"):
        roll_back(run, "ffff")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"train": {"ranker": {}}, "recommend": {"weights": None}}, r"train\.ranker .*\[ranker\]"),
        ({"train": {"sequences": {}}}, r"train\.sequences .*\[deep\]"),
        ({"foretell": {}}, r"foretell .*\[deep\]"),
    ],
)
def test_a_night_names_a_missing_extra_before_it_does_anything(
    tables, tmp_path, monkeypatch, asked: dict[str, Any], said: str
) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name}")

    config = Shop(tables, tmp_path).config(**asked)
    night = replace(night_of(tables, tmp_path / "other"), config=config)
    monkeypatch.setattr("ebb.extras.import_module", absent)
    with pytest.raises(RunError, match=said):
        nightly(night)
    assert not Path(tables.root).exists()
