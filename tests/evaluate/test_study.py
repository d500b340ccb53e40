from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from ebb.boxes.study import AUTO, study, write_study
from ebb.context import Night
from ebb.errors import RunError
from ebb.evaluate.report import report_of
from ebb.evaluate.table import print_study
from ebb.progress import Progress
from ebb.schema import EVALUATIONS
from ebb.tables import Tables
from small import Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def shop_of_habits(tables: Tables, folder: Path) -> Shop:
    """Nine people who take their own two items every day, for 19 days; and an item of today."""
    shop = Shop(tables, folder)
    events = [
        (f"u{user}", f"i{(user + place) % 9}", "view", AS_OF - day * DAY - DAY / 2, None)
        for user in range(9)
        for place in range(2)
        for day in range(19)
    ]
    arrive(tables, events)
    return shop


def night_of(shop: Shop, **evaluate: object) -> Night:
    config = shop.config(
        recommend={"weights": None, "choose": {"nights": 1, "horizon": "1d"}, "n": 2},
        train={"models": []},
        evaluate={"horizon": "1d", **evaluate},
    )
    spark, progress = shop.tables.spark, Progress(terminal=False)
    return Night(spark, shop.tables, config, AS_OF, progress, "evaluate", "run")


@pytest.fixture(scope="module")
def habits(spark, tmp_path_factory) -> Shop:
    folder = tmp_path_factory.mktemp("habits")
    return shop_of_habits(Tables(spark, str(folder / "root")), folder / "landing")


def test_a_study_judges_every_strategy_and_finds_what_people_go_by(habits, capsys) -> None:
    night = night_of(habits)
    found = study(night)
    (judged,) = found.nights
    assert (judged.window.as_of, judged.window.until) == (AS_OF - DAY, AS_OF)
    # Everybody takes their own two items again: history knows, popularity doesn't.
    assert found.mean("history", "ndcg@2") == 1.0
    assert found.mean(AUTO, "ndcg@2") == 1.0
    assert found.mean("popularity_flat", "ndcg@2") < 0.5
    ahead = found.ahead("popularity_flat", "ndcg@2")
    assert ahead.value == pytest.approx(1.0 - found.mean("popularity_flat", "ndcg@2"))
    assert ahead.is_significant and ahead.users == 9
    write_study(night, found)
    rows = habits.tables.read(EVALUATIONS).where("of = 'study' and slice = 'all'")
    row = rows.where((F.col("model") == "popularity_flat") & (F.col("metric") == "ndcg@2")).first()
    assert row["ahead"] == pytest.approx(ahead.value) and row["ahead_low"] > 0
    assert row["users"] == 9 and row["label_until"].astimezone(UTC) == AS_OF
    print_study(found)
    assert "auto chose" in capsys.readouterr().out
    page = report_of(night, found)
    assert "Evaluation as of 2026-01-20T00:00:00Z" in page
    assert f"auto chose {judged.choice.chosen.strategy} and reaches an NDCG@2 of 1.0000" in page


def test_nothing_at_or_after_the_as_of_moves_what_is_judged(habits, spark, tmp_path) -> None:
    night = night_of(habits)
    before = replace(night, as_of=AS_OF - 3 * DAY)
    (one,) = study(before).nights
    other = shop_of_habits(Tables(spark, str(tmp_path / "root")), tmp_path / "landing")
    noise = [(f"u{user}", "i0", "view", AS_OF - 3 * DAY + DAY / 24, None) for user in range(9)]
    arrive(other.tables, [*noise, ("new", "fresh", "view", AS_OF - 3 * DAY, None)])
    (same,) = study(replace(night_of(other), as_of=AS_OF - 3 * DAY)).nights
    assert same.test_set == one.test_set
    assert same.choice == one.choice
    columns = ["model", "metric", "slice"]
    assert same.metrics.sort_values(columns, ignore_index=True).equals(
        one.metrics.sort_values(columns, ignore_index=True)
    )


def test_events_that_do_not_reach_back_far_enough_are_told(habits) -> None:
    with pytest.raises(RunError, match=r"begin less than three label windows .* 2026-01-20"):
        study(night_of(habits, horizon="9d"))
