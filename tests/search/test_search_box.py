from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ebb.boxes import search as search_box
from ebb.boxes import shared_views
from ebb.boxes.choose import SECTIONS
from ebb.boxes.search import search
from ebb.context import Night
from ebb.errors import RunError
from ebb.progress import Progress
from ebb.schema import TRIALS
from ebb.search.loop import Asked
from ebb.search.trials import Trial
from ebb.tables import Tables
from evaluate.test_study import AS_OF, DAY, shop_of_habits
from small import Shop

SPACE = {"recommend.strategy": ["history", "rising"]}


def night_of(shop: Shop, **settings: object) -> Night:
    """A shop that ranks by plain popularity, though everybody takes their own items again."""
    strategy = {"weights": None, "strategy": "popularity_flat", "n": 2}
    config = shop.config(
        recommend={**strategy, "choose": {"nights": 1, "horizon": "1d", "users": 50}},
        train={"models": []},
        evaluate={"horizon": "1d", "users": 50},
        search={"parameters": SPACE, "method": "grid", "nights": 1, "at_once": 2, **settings},
    )
    progress = Progress(terminal=False)
    return Night(shop.tables.spark, shop.tables, config, AS_OF, progress, "search", "run")


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory) -> Shop:
    folder = tmp_path_factory.mktemp("searched")
    return shop_of_habits(Tables(spark, str(folder / "root")), folder / "landing")


def test_a_search_finds_what_people_go_by_and_says_what_to_write(shop, monkeypatch, capsys) -> None:
    night, fitted = night_of(shop), []
    real = shared_views.seen_at

    @contextmanager
    def counted(at: Night, lives: Any, window: Any) -> Iterator[Any]:
        fitted.append(window.as_of)
        with real(at, lives, window) as seen:
            yield seen

    monkeypatch.setattr(shared_views, "seen_at", counted)
    search(night)
    # Two trials, run at the same time, and the present configuration share the models of the
    # night and of the window before it; the night kept aside needs its own.
    assert sorted(fitted) == [AS_OF - 3 * DAY, AS_OF - 2 * DAY, AS_OF - DAY]
    rows = {row["number"]: row for row in shop.tables.read(TRIALS).collect()}
    assert sorted(rows) == [0, 1, 2] and len({row["study"] for row in rows.values()}) == 1
    values = {row["parameters"].get("recommend.strategy"): row["value"] for row in rows.values()}
    assert values['"history"'] == 1.0
    assert values[None] < 0.5 and values['"rising"'] < 1.0
    assert list(rows[1]["by_night"]) == ["2026-01-18T00:00:00Z"]
    assert set(rows[1]["versions"]) == {"events", "items"}
    assert rows[0]["config"] == night.config.fingerprint(*SECTIONS)
    out = capsys.readouterr().out
    assert "Better: trial" in out and "--set recommend.strategy=history" in out


def test_the_same_search_goes_on_from_its_trials_and_another_begins_anew(shop) -> None:
    night = night_of(shop)
    parameters = night.config.search.parameters
    assert parameters is not None
    course = search_box._Study.of(night, parameters).course(parameters)
    kept = [Trial.of_row(row.asDict()) for row in shop.tables.read(TRIALS).collect()]
    assert list(course.trials.values()) == sorted(kept, key=lambda trial: trial.number)

    def nothing(asked: Asked) -> Iterator[Trial]:
        raise AssertionError(f"{asked} was run again")

    replace(course, run_trials=nothing).run()
    other = night_of(shop, seed=1)
    assert not search_box._Study.of(other, parameters).course(parameters).trials


def test_events_that_do_not_reach_back_far_enough_are_told(shop) -> None:
    with pytest.raises(RunError, match=r"search: the events begin too late before 2026-01-03"):
        search(replace(night_of(shop), as_of=datetime(2026, 1, 3, tzinfo=UTC)))
