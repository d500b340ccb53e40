"""The box that watches: what it holds against what, and what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ebb.boxes.choose import SECTIONS, Decision, _must_choose_anew
from ebb.boxes.watch import course_at, drifted_at, watch
from ebb.config import Config
from ebb.context import Night
from ebb.progress import Progress
from ebb.recommend.half_lives import half_lives_for
from ebb.schema import CHOICES, DRIFT, EVALUATIONS, ITEM_FEATURES, USER_FEATURES
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from ebb.watch.summary import watched
from small import Arriving, Shop, arrive

CHOSEN, NIGHT = (datetime(2026, 1, day, tzinfo=UTC) for day in (8, 10))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Two days' events, of which the second day's are other ones.
SETTINGS = {"window": "1d", "moved": 0.05}


def events(kinds: list[str], until: datetime) -> list[Arriving]:
    """Twenty users, three events each, in the 23 hours before `until`."""
    return [
        (f"u{user}", f"i{number}", kinds[(user + number) % len(kinds)],
         until - (1 + user + number) * HOUR, None)
        for user in range(20)
        for number in range(3)
    ]  # fmt: skip


def night_at(tables: Tables, config: Config, as_of: datetime = NIGHT) -> Night:
    return Night(tables.spark, tables, config, as_of, Progress(terminal=False), "test", "run")


def chosen(tables: Tables, config: Config, as_of: datetime = CHOSEN) -> None:
    """As if a choice had been made then."""
    facts = {
        "strategy": "blend",
        "weights": {},
        "facets": [],
        "models": [],
        "repeat": True,
        "half_lives": half_lives_for(DAY, config.recommend.half_lives).to_facts(),
    }
    stamp = Stamp("choose", as_of, config.fingerprint(*SECTIONS), facts=facts)
    tables.write_slice(CHOICES, tables.spark.createDataFrame([], CHOICES.schema), stamp)


def judged(tables: Tables, values: list[float], plain: list[float]) -> None:
    """As if so many nights before had been judged, the last one the day before."""
    rows = [
        (NIGHT - back * DAY, "published", model, "ndcg@3", "all", value, None, None, 9, None, None,
         None, NIGHT)
        for model, figures in (("ebb", values), ("popularity", plain))
        for back, value in enumerate(reversed(figures), start=1)
    ]  # fmt: skip
    frame = tables.spark.createDataFrame(rows, EVALUATIONS.schema)
    tables.append(EVALUATIONS, frame.coalesce(1), Stamp("evaluate", None, "c"))


def described(tables: Tables) -> None:
    """As if forty users and an item had been described both nights; but for `n` they are alike."""
    for table, ids in ((USER_FEATURES, [f"u{k}" for k in range(40)]), (ITEM_FEATURES, ["i"])):
        schema, rows = table.schema, []
        for as_of, n in ((CHOSEN, 3), (NIGHT, 6)):
            values = {"n": n, "users": 1, "events_in": {"1d": 3}, "popularity": 1.0}
            values |= {"first_ts": as_of, "last_ts": as_of, "recency_days": 0.5, "tenure_days": 1.0}
            values |= {"active_days": 1, "by_type": {}, "sessions": 1, "events_per_session": 1.0}
            values |= {"entropy": {}, "keys": {}, "as_of": as_of}
            rows += [[{**values, schema[1].name: one}.get(f.name) for f in schema] for one in ids]
        frame = tables.spark.createDataFrame(rows, schema)
        tables.append(table, frame.coalesce(1), Stamp("features", None, "c"))


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


def test_the_first_night_has_nothing_to_compare_with(shop: Shop) -> None:
    night = night_at(shop.tables, shop.config())
    assert watch(night, RunLog(night), None) is None
    assert drifted_at(night) == () and watched(night) == []


def test_inputs_are_held_against_the_latest_choice_and_a_drift_ends_it(shop: Shop) -> None:
    tables, config = shop.tables, shop.config(features={}, watch=SETTINGS)
    arrive(tables, [*events(["view"], CHOSEN), *events(["view", "buy"], NIGHT)])
    chosen(tables, config)
    described(tables)
    night = night_at(tables, config)
    kept = Decision.of(night)
    assert kept is not None and kept.as_of == CHOSEN
    watch(night, RunLog(night), None)
    rows = {(r["of"], r["name"]): r for r in tables.read(DRIFT).collect()}
    # All were views, half of them are: (.5 - 1) ln .5 + (.5 - 1e-4) ln(.5 / 1e-4).
    assert rows["events", "event_type"]["psi"] == pytest.approx(4.60432, abs=1e-5)
    assert rows["events", "event_type"]["level"] == "drifted"
    # Everybody did more: n went from 3 to 6; the rest is what it was.
    assert rows["user_features", "n"]["level"] == "drifted"
    assert rows["user_features", "events_in.1d"]["psi"] == 0.0
    assert rows["item_features", "n"]["level"] == "steady"  # of one item it is luck
    assert {r["reference_as_of"].astimezone(UTC) for r in rows.values()} == {CHOSEN}
    assert "events.event_type" in drifted_at(night)
    assert Decision.of(night) is None
    ((label, line),) = watched(night)
    assert label == "inputs" and "moved against 2026-01-08" in line
    patient = shop.config(features={}, recommend={"choose": {"on_drift": False}})
    assert _must_choose_anew(night) and not _must_choose_anew(night_at(tables, patient))
    # What is chosen that night stands.
    chosen(tables, config, NIGHT)
    made = Decision.of(night)
    assert made is not None and made.as_of == NIGHT


def test_a_sudden_drop_of_the_slates_is_told_and_ends_the_choice(shop: Shop) -> None:
    tables, config = shop.tables, shop.config(watch={"nights": 5, "least": 3})
    arrive(tables, [*events(["view"], CHOSEN), *events(["view"], NIGHT)])
    chosen(tables, config)
    judged(tables, [0.19, 0.2, 0.21, 0.1], [0.1, 0.1, 0.1, 0.09])
    night = night_at(tables, config)
    assert course_at(night_at(tables, config, NIGHT - DAY)) is None  # it doesn't look ahead
    first = watch(night, RunLog(night), None)
    assert first is not None and first.run is not None
    (row,) = tables.read(DRIFT).where("of = 'metric'").collect()
    assert (row["name"], row["level"], row["rows"]) == ("ndcg@3", "drifted", 3)
    assert (row["value"], row["usual"]) == (0.1, 0.2)
    assert drifted_at(night) == ("metric.ndcg@3",)
    assert Decision.of(night) is None
    assert "suddenly dropped to 0.1000" in dict(watched(night))["series"]
    again = watch(night, RunLog(night), None)
    assert again is not None and again.run is None
