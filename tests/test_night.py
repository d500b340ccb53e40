"""Nights from landing folder to slates: complete, rerun, changed, crashed, cold, shuffled."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from ebb import night as boxes
from ebb.boxes.choose import choose_strategy
from ebb.config import Config
from ebb.context import Night
from ebb.errors import RunError
from ebb.progress import Progress
from ebb.schema import (
    ALL,
    CHOICES,
    EVALUATIONS,
    HOT_LIST,
    INTEREST_STATE,
    INTERESTS_NOW,
    ITEM_FACTORS,
    ITEM_WEIGHTS,
    RECOMMENDATIONS,
    RUNS,
)
from ebb.show import show
from ebb.steps import RunLog
from ebb.tables import Tables
from small import Shop, line

NIGHT = datetime(2026, 1, 10, tzinfo=UTC)
RESULTS = (
    INTERESTS_NOW, CHOICES, ITEM_WEIGHTS, ITEM_FACTORS, RECOMMENDATIONS, HOT_LIST, EVALUATIONS,
)  # fmt: skip


def week() -> list[dict[str, Any]]:
    """Nine days of five people among eight items, with a little of everything."""
    random.seed(5)
    lines = []
    for number in range(120):
        user, taste = random.choice(["u1", "u2", "u3", "u4", "u5"]), random.choice("abcdefgh")
        kind = random.choice(["view", "view", "buy", "dislike", "search"])
        day, hour, minute = 1 + number % 10, random.randrange(24), random.randrange(60)
        value = random.choice([1, 2, 5]) if kind == "buy" else None
        name = None if kind == "search" else taste
        lines.append(line(user, name, kind, f"01-{day:02d} {hour:02d}:{minute:02d}", value=value))
    lines.append(line("u1", "a", "buy", "01-02 10:00", value=3))
    lines.append(line("u1", "a", "return", "01-03 10:00", value=-1))
    return lines


CATALOGUE = [
    {"item_id": name, "title": f"The {name}", "category": f"Top > {name > 'd'}", "brand": "x"}
    for name in "abcdefg"
] + [{"item_id": "gone", "title": "Gone", "category": "Top", "available": "false"}]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    shop = Shop(tables, tmp_path / "landing")
    shop.catalogue(CATALOGUE)
    return shop


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with one night done, for tests that look, or compare with it; the last changes it."""
    folder = tmp_path_factory.mktemp("whole")
    shop = Shop(Tables(spark, str(folder / "root")), folder / "landing")
    shop.catalogue(CATALOGUE)
    shop.land("1.jsonl", week())
    run(shop)
    return shop


def run(
    shop: Shop, config: Config | None = None, as_of: datetime = NIGHT, **more: Any
) -> list[str]:
    """Run a night; returns what it said."""
    said: list[str] = []

    class Listening(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    night = night_of(shop, config or shop.config(), as_of, **more)
    boxes.nightly(replace(night, progress=Listening(terminal=False)))
    return said


def night_of(shop: Shop, config: Config, as_of: datetime, **more: Any) -> Night:
    spark, progress = shop.tables.spark, Progress(terminal=False)
    return Night(spark, shop.tables, config, as_of, progress, "nightly", "run", **more)


def content(tables: Tables, without: tuple[str, ...] = ("model_version",)) -> dict[str, list[Row]]:
    """Every result, floats to nine digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, list | tuple) and not isinstance(value, str):
            return [plain(v) for v in value]
        return value

    found = {}
    for table in RESULTS:
        rows = tables.read(table)
        kept = rows.drop(*without).orderBy(*table.grain).collect()
        found[table.name] = [[plain(v) for v in row] for row in kept]
    return found  # type: ignore[return-value]


def versions(tables: Tables) -> dict[str, int]:
    return {t.name: tables.history(t)[0].version for t in ALL if tables.exists(t)}


def test_a_night_fills_its_tables_a_second_run_changes_nothing_and_the_next_judges_it(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.land("1.jsonl", week())
    night, day = night_of(shop, shop.config(), NIGHT), timedelta(days=1)
    boxes.nightly(night)
    first, before = capsys.readouterr().out, versions(shop.tables)
    assert "122 rows read from 1 file = 122 inserted + 0 repeated + 0 quarantined" in first
    assert "5 users, at most 3 items each" in first
    assert "SELECT * FROM delta" in first
    said = run(shop)
    assert "nothing to do" in capsys.readouterr().out
    steps = ("interests", "train", "recommend", "hot list")
    assert [f"{name} … already complete" in said for name in steps] == [True] * 4
    assert versions(shop.tables) == before
    log = {r["step"]: r for r in shop.tables.read(RUNS).collect()}
    assert log["ingest"]["rows"]["inserted"] == 122
    assert {r["status"] for r in log.values()} == {"done"}
    boxes.backfill(night, NIGHT, NIGHT + day, day)
    took = [x for x in capsys.readouterr().out.splitlines() if x.lstrip().startswith("seconds")]
    assert [line.count("recommend ") for line in took] == [1]
    judged = shop.tables.read(EVALUATIONS).where("model = 'ebb'").collect()
    figures = {r["metric"]: r for r in judged}
    assert figures.keys() == {"recall@3", "ndcg@3", "hit_rate@3", "mrr@3", "coverage@3"}
    later = [e for e in week() if e["ts"] >= "2026-01-10"]
    active = {e["user_id"] for e in later if e["event_type"] in ("view", "buy")}
    assert {r["users"] for r in judged} == {len(active)}
    assert all(0 <= r["value"] <= 1 for r in judged)
    assert {r["as_of"].astimezone(UTC) for r in judged} == {NIGHT}


def test_a_choice_is_made_on_windows_before_as_of_kept_for_a_while_and_made_anew_then(
    shop: Shop,
) -> None:
    shop.land("1.jsonl", week())
    config = shop.config(recommend={"weights": None, "choose": {"nights": 1, "every": "2d"}})
    run(shop, config)
    rows = {r["strategy"]: r for r in shop.tables.read(CHOICES).collect()}
    assert {"blend", "history", "popularity_flat", "neighbours", "affinity"} <= set(rows)
    assert "als" not in rows  # it isn't among train.models
    (chosen,) = [r for r in rows.values() if r["is_chosen"]]
    best = max(r["ndcg"] for r in rows.values())
    assert chosen["strategy"] == "blend" or chosen["ndcg"] == best
    assert chosen["users"] > 0
    served = shop.tables.history(RECOMMENDATIONS)[0].stamp
    assert served is not None and served.facts["strategy"] == chosen["strategy"]

    def decided(days: int) -> datetime:
        at = night_of(shop, config, NIGHT + timedelta(days=days))
        return choose_strategy(at, RunLog(at))[0].as_of

    assert decided(1) == NIGHT
    assert decided(2) == NIGHT + timedelta(days=2)
    assert decided(0) == NIGHT  # an earlier night never takes a later one's choice


def test_neither_order_nor_a_crash_nor_anything_from_as_of_on_matters(
    shop: Shop, whole: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*week(), line("u1", "c", "buy", "01-10 00:00", value=9)]
    lines.append(line("new", "z", "view", "01-12 00:00"))
    lines.append(line("u1", "a", "return", "01-11 00:00", value=9))
    random.shuffle(lines)
    shop.catalogue(reversed(CATALOGUE))
    shop.land("2.jsonl", lines[:40])
    shop.land("1.jsonl", lines[40:])

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        original = boxes.interests_box.interests
        patched.setattr(boxes.interests_box, "interests", lambda *args: (original(*args), die()))
        # Even the log is lost: it decides nothing.
        patched.setattr("ebb.steps.RunLog.write", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            run(shop)
    assert "interests … already complete" in run(shop)
    assert content(shop.tables) == content(whole.tables)


def test_slates_hold_exactly_n_distinct_items_that_may_be_had(whole: Shop) -> None:
    slates: dict[str, list[Row]] = {}
    for row in whole.tables.read(RECOMMENDATIONS).orderBy("user_id", "rank").collect():
        slates.setdefault(row["user_id"], []).append(row)
    assert slates.keys() == {"u1", "u2", "u3", "u4", "u5"}
    for rows in slates.values():
        assert [r["rank"] for r in rows] == [1, 2, 3]
        assert len({r["item_id"] for r in rows} - {"gone"}) == 3


def test_a_failed_box_is_logged_and_publishes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.land("1.jsonl", week())

    def fail(*_: Any, **__: Any) -> None:
        raise RunError("no luck")

    monkeypatch.setattr("ebb.boxes.interests.bring_up", fail)
    with pytest.raises(RunError):
        run(shop)
    failed = shop.tables.read(RUNS).where("status = 'failed'").collect()
    assert [(r["step"], r["message"]) for r in failed] == [("interests", "RunError: no luck")]
    assert not shop.tables.exists(INTEREST_STATE)


def test_a_user_who_is_shown_gets_interests_and_slate(
    whole: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    spark, progress = whole.tables.spark, Progress(terminal=False)
    night = Night(spark, whole.tables, whole.config(), NIGHT, progress, "show", "run")
    capsys.readouterr()
    show(night, user_id="u1")
    text = capsys.readouterr().out
    assert "User u1 as of 2026-01-10T00:00:00Z" in text
    assert "The a" in text
    show(night, user_id="nobody")
    assert "We don't know" in capsys.readouterr().out


def test_reruns_changes_and_late_events_rebuild_what_hangs_on_them_and_say_why(whole: Shop) -> None:
    shop = whole  # the last to use it: it doesn't stay as it was
    before = content(shop.tables)
    assert "interests: rebuilt, as --rerun asks" in run(shop, rerun=True)
    assert content(shop.tables) == before
    said = run(shop, shop.config(recommend={"n": 2}))
    assert "interests … already complete" in said
    assert "recommend: rebuilt, since the configuration changed: recommend" in said
    assert shop.tables.read(RECOMMENDATIONS).where("rank > 2").count() == 0
    shop.land("2.jsonl", [line("u1", "b", "view", "01-10 12:00")])
    assert "interests … already complete" in run(shop, shop.config(recommend={"n": 2}))
    shop.land("3.jsonl", [line("u1", "b", "view", "01-04 12:00")])
    slates = shop.tables.history(RECOMMENDATIONS)[0].version
    said = run(shop, shop.config(recommend={"n": 2}))
    assert "interests: rebuilt, since its input changed: events" in said
    # What people may have seen stays, unless somebody asks.
    assert "recommend … published before its input changed; --rerun redoes it" in said
    assert shop.tables.history(RECOMMENDATIONS)[0].version == slates
