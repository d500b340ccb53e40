"""A night that foretells interests: what it writes, and that it never looks ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra deep isn't installed")

from ebb.boxes.foretell import SECTIONS, foretell
from ebb.boxes.search import search
from ebb.context import Night
from ebb.foretell.model import Foreteller
from ebb.progress import Progress
from ebb.schema import FORETELLERS, NEXT_INTERESTS, TRIALS
from ebb.steps import RunLog
from ebb.tables import Tables
from small import TYPES, Arriving, Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS: dict[str, Any] = {
    "period": "1d", "periods": 3, "judged": 2, "top": 2,
    "epochs": 3, "batch": 64, "dimension": 8, "dropout": 0,
}  # fmt: skip


def habits(until: datetime) -> list[Arriving]:
    """People who take one item every day, one every other day in turns, and one a week ago."""
    return [
        (f"u{user}", item, "view", until - age * DAY + timedelta(hours=user), None)
        for user in range(20)
        for item, days in (
            ("i0", range(1, 9)),
            ("i1", range(1 + user % 2, 9, 2)),
            ("i2", range(7, 9)),
        )
        for age in days
    ]


def night_of(
    tables: Tables, folder: Path, search: dict[str, Any] | None = None, **settings: Any
) -> Night:
    sections = {"foretell": {**SETTINGS, **settings}, "search": search or {}}
    types = {name: TYPES[name] for name in ("view", "buy")}
    config = Shop(tables, folder).config(types, **sections)
    progress = Progress(terminal=False)
    return Night(tables.spark, tables, config, AS_OF, progress, "nightly", "run")


def foretold(night: Night) -> list[dict[str, Any]]:
    rows = night.tables.read_slice(NEXT_INTERESTS, AS_OF).orderBy("user_id", "rank").collect()
    return [row.asDict() for row in rows]


def test_a_night_foretells_by_what_did_best_and_what_comes_later_changes_nothing(
    tables: Tables, tmp_path: Path
) -> None:
    arrive(tables, habits(AS_OF))
    night = night_of(tables, tmp_path / "landing")
    outcome = foretell(night, RunLog(night))
    assert outcome is not None and outcome.run is not None
    (entry,) = night.tables.read_slice(FORETELLERS, AS_OF).collect()
    rows = foretold(night)
    assert [(row["user_id"], row["rank"]) for row in rows[:4]] == [
        ("u0", 1), ("u0", 2), ("u1", 1), ("u1", 2),
    ]  # fmt: skip
    assert len(rows) == 40 and {row["facet"] for row in rows} == {"item"}
    assert [row["key"] for row in rows if row["rank"] == 1] == ["i0"] * 20
    by = "network" if entry["serves"] else "decayed"
    assert all(row["foretold"] == row[by] for row in rows)
    assert entry["rows"] == 20 * 3 * 5 and entry["reason"] in outcome.run.remark
    assert Foreteller.of(bytes(entry["model"])).settings == night.config.foretell
    again = foretell(night, RunLog(night))
    assert again is not None and again.run is None

    other = Tables(tables.spark, str(tmp_path / "other"))
    later = [(f"u{user}", "i2", "buy", AS_OF, 9.0) for user in range(20)]
    arrive(other, [*reversed(habits(AS_OF)), *later])
    sequel = night_of(other, tmp_path / "later")
    foretell(sequel, RunLog(sequel))
    assert foretold(sequel) == rows


def test_a_search_tries_how_it_is_learned_and_is_judged_against_decay(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna", reason="the extra search isn't installed")
    arrive(tables, habits(AS_OF))
    space = {"foretell.rate": [0.02], "foretell.kind": ["gru"]}
    tried = {"parameters": space, "method": "grid", "nights": 2, "at_once": 1}
    night = night_of(tables, tmp_path / "landing", search=tried, rate=1e-6)
    search(night)
    present, trial = tables.read(TRIALS).orderBy("number").collect()
    # So small a rate leaves the baseline as it is; what another does is on no other scale.
    assert abs(present["value"]) < 1e-3 < abs(trial["value"])
    assert sorted(trial["by_night"]) == ["2026-01-17T00:00:00Z", "2026-01-18T00:00:00Z"]
    assert present["config"] == night.config.fingerprint(*SECTIONS)
    assert "ahead of decay" in capsys.readouterr().out


def test_too_short_a_past_foretells_nothing(tables: Tables, tmp_path: Path) -> None:
    arrive(tables, habits(AS_OF))
    night = night_of(tables, tmp_path / "landing", period="3d")
    outcome = foretell(night, RunLog(night))
    assert outcome is not None and outcome.run is not None
    assert "too little" in outcome.run.remark
    assert foretold(night) == [] and night.tables.read_slice(FORETELLERS, AS_OF).isEmpty()
