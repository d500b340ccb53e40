"""Features at the instants of given rows: what the interests as of each instant would have been."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

import interests.interest_oracle as oracle
from ebb.arrow import whole_groups
from ebb.config import Config
from ebb.interests import stream
from ebb.interests.lives import Happening, lives_of
from ebb.interests.measures import Interests
from ebb.interests.point_in_time import features_at
from ebb.interests.stream import Plan, feature_batches
from interests.streams import (
    AS_OF,
    MICROSECOND,
    days_ago,
    event,
    event_frame,
    fit,
    item_frame,
    learned,
    random_events,
    utc,
    version,
)
from small import TYPES

CURVES: dict[str, dict[str, Any]] = {
    "exponential": {"half_life": "3d"},
    "own": {"half_life": "5d"},
    "ewma_time": {"rate": 0.1, "step": "12h"},
    "mixture": {"parts": [{"half_life": "1d", "weight": 1}, {"half_life": "30d", "weight": 2}]},
    "linear": {"horizon": "30d"},
    "window": {"length": "14d"},
    "power": {"half_life": "4d", "exponent": 1.5},
    "sigmoid": {"midpoint": "6d", "steepness": 1},
    "ewma_events": {"rate": 0.2},
}
EVERYTHING: list[dict[str, Any]] = [
    {"name": f"{curve}_{aggregate}", "curve": curve, "aggregate": aggregate, **settings}
    for curve, settings in CURVES.items()
    for aggregate in ("sum", "count", "average", "active_days", "last")
    if curve not in ("ewma_events", "own") or aggregate not in ("active_days", "last")
] + [
    {"name": "buys", "curve": "exponential", "half_life": "2d", "event_types": ["buy"]},
    {"name": "buy_days", "curve": "linear", "horizon": "9d", "aggregate": "active_days",
     "event_types": ["buy", "view"]},
    {"name": "by_category", "curve": "window", "length": "5d", "facets": ["category"]},
]  # fmt: skip
RATIOS = [{"name": "bought", "of": "buys", "to": "exponential_sum"}]
ONE = {"name": "exp_7d", "curve": "exponential", "half_life": "7d"}
WIN = {"name": "win_2d", "curve": "window", "length": "2d"}
ITEMS = (
    version("a", "x", until=days_ago(30), brand=["acme"]),
    version("a", "x", "y", since=days_ago(30), until=days_ago(9), brand=["acme"]),
    version("a", "y", since=days_ago(9)),
    version("b", "x", "x > z"),
    version("c", "y", since=days_ago(12), brand=["acme"]),  # known after most events on it
    version("d", until=days_ago(20)),
    version("d", "x", since=days_ago(5), brand=["corp"]),
)


# Before the first, at one, and after others; of some users, and of the brand of none.
FITS = [
    fit(as_of, {"item": mean, "category": 3 * mean},
        {(f"{u}{n}", "item"): mean * (n + 1) / 2 for u in "uvw" for n in range(3)}
        | {("whole", "category"): mean})
    for as_of, mean in ((days_ago(20), 1.0), (days_ago(9), 8.0), (days_ago(8), 99.0))
]  # fmt: skip


def config(
    measures: list[dict[str, Any]],
    ratios: list[dict[str, Any]] | None = None,
    types: dict[str, Any] = TYPES,
) -> Config:
    columns = {"categories": "category", "tags": "tag", "attributes": {"brand": "brand"}}
    return Config.model_validate(
        {
            "root": "-",
            "events": {"sources": [{"path": "-", "format": "jsonl"}], "types": types},
            "items": {"path": "-", "format": "jsonl", "columns": columns},
            "interests": {
                "measures": measures,
                "ratios": ratios or [],
                "rank_by": measures[0]["name"],
                "facets": ["category", "item", "brand"],
            },
            "forgetting": {},
        }
    )


def entity_frame(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    keyed = ", facet string, key string" if len(rows[0]) == 4 else ""
    return spark.createDataFrame(list(rows), f"user_id string, instant timestamp{keyed}")


def rows_of(features: DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = features.collect()
    keyed = {(r["user_id"], utc(r["instant"]), r["facet"], r["key"]): r.asDict() for r in found}
    assert len(keyed) == len(found)
    return keyed


def expected_rows(
    events: list[oracle.Event],
    settings: Config,
    instants: list[datetime],
    fits: Sequence[oracle.Fit] = (),
) -> dict[tuple[Any, ...], oracle.Row]:
    """The oracle's interests as of each instant."""
    return {
        (user, t, facet, key): row
        for t in instants
        for (user, facet, key), row in oracle.interests(
            events, ITEMS, settings.facets, settings.interests, t, fits
        ).items()
    }


def is_close(found: Any, expected: Any, size: float) -> bool:
    """Instants equal, numbers within 1e-9 of the size of their terms."""
    if isinstance(found, datetime) and isinstance(expected, datetime):
        return utc(found) == utc(expected)
    if found is None or expected is None:
        return found is expected
    return bool(abs(found - expected) <= 1e-9 * size + oracle.NOTHING)


@pytest.fixture
def tiny_batches(spark: SparkSession) -> Iterator[None]:
    """Arrow batches of seven rows: nearly every user spans several."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "7")
    yield
    spark.conf.set(name, str(before))


@pytest.mark.usefixtures("tiny_batches")
def test_every_measure_is_what_the_interests_as_of_the_instant_say(spark: SparkSession) -> None:
    settings = config(EVERYTHING, RATIOS)
    events = [row for seed in range(5) for row in random_events(seed, "uvwxy"[seed])]
    # One whose events nobody ever took back.
    events += [{**row, "user": "whole"} for row in events[:120] if row["kind"] != "return"]
    instants = [AS_OF, days_ago(6.5), days_ago(9), days_ago(25)]
    users = [*sorted({row["user"] for row in events}), "nobody"]
    entities = entity_frame(spark, *((user, t) for user in users for t in instants))
    known = learned(spark, FITS)
    found = rows_of(
        features_at(entities, event_frame(spark, events), item_frame(spark, ITEMS), settings, known)
    )
    expected = expected_rows(events, settings, instants, FITS)
    assert found.keys() == expected.keys()
    assert {facet for _, _, facet, _ in found} == {"item", "category", "brand"}
    names = settings.interests.columns
    for place, row in expected.items():
        got = found[place]
        assert list(got) == ["user_id", "instant", "facet", "key", "n", "last_ts", *names]
        assert (got["n"], utc(got["last_ts"])) == (row["n"], row["last"]), place
        for name in names:
            assert is_close(got[name], row[name], row["sizes"][name]), (
                f"{name} of {place} is {got[name]}, expected {row[name]}"
            )


def test_keys_asked_for_have_a_row_each_met_or_not(spark: SparkSession) -> None:
    events = [
        event("u", "a", "view", days_ago(2)),
        event("u", "a", "view", AS_OF - MICROSECOND),
        event("u", "a", "view", AS_OF),  # not known yet
        event("u", "b", "dislike", days_ago(1)),
        event("v", "c", "view", days_ago(1)),
    ]
    average = {**ONE, "name": "mean", "aggregate": "average"}
    last = {**WIN, "name": "last", "aggregate": "last"}
    days = {**WIN, "name": "days", "aggregate": "active_days"}
    settings = config([WIN, average, last, days], types={**TYPES, "return": {"weight": 1}})
    asked = [
        ("u", AS_OF, "item", "a"),
        ("u", AS_OF, "item", "a"),
        ("u", days_ago(2), "item", "a"),
        ("u", AS_OF, "item", "c"),
        ("u", AS_OF, "category", "jazz"),
        ("u", AS_OF, "category", "a"),
        ("nobody", AS_OF, "item", "a"),
    ]
    items = item_frame(spark, [version("b", "jazz")])
    entities = entity_frame(spark, *asked)
    found = rows_of(features_at(entities, event_frame(spark, events), items, settings))
    assert found.keys() == set(asked)
    values = {
        key: (row["n"], row["win_2d"], row["mean"], row["days"]) for key, row in found.items()
    }
    latest = {key: (row["last_ts"], row["last"]) for key, row in found.items()}
    met = ("u", AS_OF, "item", "a")
    assert values.pop(met) == (2, 2.0, pytest.approx(1.0), 2.0)
    assert {utc(ts) for ts in latest.pop(met)} == {AS_OF - MICROSECOND}
    jazz = ("u", AS_OF, "category", "jazz")
    assert values.pop(jazz) == (1, -1.0, pytest.approx(1.0), 1.0)
    del latest[jazz]
    assert set(values.values()) == {(0, 0.0, None, 0.0)}
    assert set(latest.values()) == {(None, None)}


def test_nothing_at_or_after_an_instant_moves_its_features(spark: SparkSession) -> None:
    instant = days_ago(9)
    events = [row for seed in range(2) for row in random_events(seed, "uv"[seed])]
    known = [row for row in events if row["ts"] < instant]
    invented = [
        event(user, item, kind, ts, 3.0)
        for user in {row["user"] for row in events}
        for item in "abf"
        for kind in ("buy", "return")
        for ts in (instant, days_ago(1))
    ]
    old = [
        {**row, "valid_to": min(row["valid_to"] or instant, instant)}
        for row in ITEMS
        if row["valid_from"] < instant
    ]
    new = [version(item, "new", since=instant, brand=["new"]) for item in "abcdf"]
    entities = entity_frame(spark, *((row["user"], instant) for row in events))
    settings = config(EVERYTHING[::3])
    happened, catalogue = event_frame(spark, events), item_frame(spark, ITEMS)
    before = features_at(entities, happened, catalogue, settings, learned(spark, FITS[:2]))
    after = features_at(
        entities,
        event_frame(spark, known + invented),
        item_frame(spark, old + new),
        settings,
        learned(spark, FITS),
    )
    sizes = expected_rows(events, settings, [instant], FITS)
    found, moved = rows_of(before), rows_of(after)
    assert len(known) < len(events)
    assert moved.keys() == found.keys()
    assert len(found) > 20
    for place, row in found.items():
        for name in ("n", "last_ts", *settings.interests.columns):
            size = sizes[place]["sizes"].get(name, 0.0)
            assert is_close(moved[place][name], row[name], size), (place, name)


def test_entities_with_other_columns_are_refused(spark: SparkSession) -> None:
    events, items, settings = event_frame(spark, []), item_frame(spark, []), config([WIN])
    entities = entity_frame(spark, ("u", AS_OF, "item", "a"))
    with pytest.raises(ValueError, match="missing: key; not known: none"):
        features_at(entities.drop("key"), events, items, settings)
    with pytest.raises(ValueError, match="missing: instant; not known: ts"):
        features_at(entities.withColumnRenamed("instant", "ts"), events, items, settings)
    by_own = config([{"name": "own", "curve": "own"}])
    with pytest.raises(ValueError, match=r"own goes by .*; give own=learned\(tables\)"):
        features_at(entities, events, items, by_own)
    unknown = entity_frame(spark, ("u", AS_OF, "colour", "red"))
    with pytest.raises(PySparkException, match="a facet not of category, item, brand"):
        features_at(unknown, events, items, settings).collect()


# --------------------------------------------------------------------------- without Spark
MICROS = pa.timestamp("us", tz="UTC")
STREAM = pa.schema(
    [("user_id", pa.string()), ("is_entity", pa.bool_()), ("at", MICROS), ("item_id", pa.string()),
     ("links", pa.string()), ("event_type", pa.int32()), ("weight", pa.float64()),
     ("born", MICROS), ("dies", MICROS)]
)  # fmt: skip


def plan_of(*measures: dict[str, Any]) -> Plan:
    settings = Interests.model_validate({"measures": measures, "rank_by": measures[0]["name"]})
    return Plan(("item", "category"), oracle.TYPE_WEIGHTS, settings.measures)


def streamed(plan: Plan, rows: list[dict[str, Any]], size: int) -> dict[tuple[Any, ...], Any]:
    batches = pa.Table.from_pylist(rows, schema=STREAM).to_batches(max_chunksize=size)
    found = [row for batch in feature_batches(plan, batches) for row in batch.to_pylist()]
    names = ("user_id", "instant", "facet", "key")
    return {tuple(row.pop(name) for name in names): row for row in found}


def random_stream(chance: random.Random) -> list[dict[str, Any]]:
    """Rows of events and entities in the stream's order; some events die."""
    rows: list[dict[str, Any]] = []
    for user, number in zip("uvwxyz", chance.sample([0, 1, 5, 20, 60, 60], 6), strict=True):
        for _ in range(number):
            ts, is_entity = days_ago(chance.randrange(80) / 2), chance.random() < 0.2
            link = json.dumps({"links": [{"facet": 1, "key": chance.choice(["x", "a \n b"])}]})
            own = {
                "item_id": chance.choice(["a", "b", None]),
                "links": chance.choice([None, link]),
                "event_type": chance.randrange(3),
                "weight": chance.choice([1.0, 2.5]),
                "dies": ts + timedelta(days=9) if user in "uv" and ts.day % 4 == 0 else None,
            }
            row = {"user_id": user, "is_entity": is_entity, "at": ts}
            rows.append(row if is_entity else row | own)
    return sorted(rows, key=lambda row: (row["user_id"], row["at"]))


@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_matter_where_batches_end(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, plan = random_stream(random.Random(seed)), plan_of(*EVERYTHING)
    whole = streamed(plan, rows, len(rows))
    assert len(whole) > 10
    monkeypatch.setattr(stream, "_ROWS_AT_ONCE", 40)
    monkeypatch.setattr(stream, "_OUT_AT_ONCE", 30)
    for size in (1, 7, 50):
        split = streamed(plan, rows, size)
        assert split.keys() == whole.keys()
        for place, row in whole.items():
            assert all(is_close(split[place][name], row[name], 1.0) for name in row), place


def test_a_half_life_of_a_minute_over_fifty_years_stays_a_number() -> None:
    short = {"name": "short", "curve": "exponential", "half_life": "1min"}
    long = {"name": "long", "curve": "exponential", "half_life": "10y"}
    happened = {"user_id": "u", "is_entity": False, "item_id": "a", "event_type": 0, "weight": 1.0}
    hours = 50 * 365 * 24
    rows = [{**happened, "at": AS_OF + timedelta(hours=hour)} for hour in range(0, hours, 5)]
    instants = [rows[-1]["at"] + timedelta(minutes=minutes) for minutes in (1, 600, 1200)]
    rows += [{"user_id": "u", "is_entity": True, "at": t} for t in instants]
    found = streamed(plan_of(short, long), rows, 1000)
    values = [found["u", t, "item", "a"] for t in instants]
    assert values[0]["short"] == pytest.approx(0.5, rel=1e-12)
    assert values[1]["short"] == pytest.approx(2.0**-600, rel=1e-9)
    assert values[2]["short"] == 0.0  # below all that floats can hold in full
    ages = [(instants[0] - row["at"]) / timedelta(days=3650) for row in rows[:-3]]
    assert values[0]["long"] == pytest.approx(math.fsum(2.0**-age for age in ages), rel=1e-11)


def test_a_day_counts_from_its_latest_event_before_the_instant() -> None:
    days = {"name": "days", "curve": "exponential", "half_life": "12h", "aggregate": "active_days"}
    happened = {"user_id": "u", "is_entity": False, "item_id": "a", "event_type": 0}
    hours = [-24, -20, 0, 6, 18]
    rows = [{**happened, "at": AS_OF + timedelta(hours=hour)} for hour in hours]
    noon, night = AS_OF + timedelta(hours=12), AS_OF + timedelta(hours=24)
    asked = [{"user_id": "u", "is_entity": True, "at": t} for t in (noon, night)]
    found = streamed(plan_of(days), [*rows[:4], asked[0], rows[4], asked[1]], 100)
    # The day before ends at 4 o'clock; of this one noon knows 6 o'clock, and the night 18 o'clock.
    assert found["u", noon, "item", "a"]["days"] == pytest.approx(2 ** (-32 / 12) + 2**-0.5)
    assert found["u", night, "item", "a"]["days"] == pytest.approx(2 ** (-44 / 12) + 2**-0.5)


def test_no_user_is_split_and_no_row_lost() -> None:
    users = [*"aaabbc", *"c" * 20, *"ddddeeeeef"]
    table = pa.table({"user_id": users})
    for size in (1, 2, 3, 7, 50):
        tables = list(whole_groups(table.to_batches(max_chunksize=size), ("user_id",), 4))
        assert [name for t in tables for name in t.column("user_id").to_pylist()] == users
        homes = [set(t.column("user_id").to_pylist()) for t in tables]
        assert sum(map(len, homes)) == len(set(users))
        assert len(tables) > 1 or size == 50


def test_a_return_ends_the_latest_lives_first() -> None:
    def happening(pair: str, ts: int, quantity: float, name: str | None = None) -> Happening:
        return Happening((pair,), ts, name is None, quantity, (name,))

    found = lives_of(
        [
            happening("p", 1, 5, "first"),
            happening("p", 2, 3, "second"),
            happening("p", 4, 4),
            happening("p", 4, 1),
            happening("p", 5, 100),
            happening("p", 6, 1, "after"),
            happening("q", 2, 7, "other"),
            happening("q", 3, 0, "nothing to take"),
            happening("q", 4, 2),
        ]
    )
    assert sorted((life.event[0], *life[1:]) for life in found if life.dies) == [
        ("first", 1, 4, None),
        ("first", 4, 5, 3.0),
        ("other", 2, 4, None),
        ("second", 2, 4, None),
    ]
