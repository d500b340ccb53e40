"""Small event streams and catalogues, for the oracle and as frames."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

import interests.interest_oracle as oracle
from ebb.config import Events
from ebb.durations import parse_instant
from ebb.events.catalogue import versions_at
from ebb.forgetting.fits import Fit
from ebb.interests.counted import counted
from ebb.interests.measures import Interests
from ebb.interests.own import OwnHalfLives
from ebb.interests.snapshot import interests_from_events
from small import TYPES

AS_OF = parse_instant("2026-03-01T00:00:00Z")
ALWAYS = parse_instant("1900-01-01T00:00:00Z")
MICROSECOND = timedelta(microseconds=1)
EVENTS = Events.model_validate({"sources": [{"path": "-", "format": "jsonl"}], "types": TYPES})
_EVENT_SCHEMA = (
    "event_id string, user_id string, item_id string, event_type string, event_ts timestamp, "
    "value double, weight double, order_id string"
)
_ITEM_SCHEMA = (
    "item_id string, valid_from timestamp, valid_to timestamp, categories array<string>, "
    "tags array<string>, attributes map<string,string>"
)


def event(user: str, item: str | None, kind: str, ts: datetime, value: float | None = None) -> Any:
    name = f"{user}/{item}/{kind}/{ts.isoformat()}/{value}"
    quantity = None if value is None else float(value)
    return {"event_id": name, "user": user, "item": item, "kind": kind, "ts": ts, "value": quantity}


def days_ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def version(
    item: str,
    *categories: str,
    since: datetime = ALWAYS,
    until: datetime | None = None,
    **more: Any,
) -> oracle.Version:
    """An item version; `more` has its tags (tag=[...]) and its brand (brand=[...])."""
    held = {"valid_from": since, "valid_to": until}
    return {"item": item, **held, "category": list(categories), **more}


def event_frame(spark: SparkSession, events: Sequence[oracle.Event]) -> DataFrame:
    rows = [
        (e["event_id"], e["user"], e["item"], e["kind"], e["ts"], e["value"],
         oracle.weight(e["kind"], e["value"]), None)
        for e in events
    ]  # fmt: skip
    return spark.createDataFrame(rows, _EVENT_SCHEMA)


def item_frame(spark: SparkSession, versions: Sequence[oracle.Version]) -> DataFrame:
    rows = [
        (v["item"], v["valid_from"], v["valid_to"], v["category"], v.get("tag"),
         {"brand": v["brand"][0]} if v.get("brand") else None)
        for v in versions
    ]  # fmt: skip
    return spark.createDataFrame(rows, _ITEM_SCHEMA)


def fit(as_of: datetime, tuned: dict[str, float], days: dict[tuple[str, str], float]) -> oracle.Fit:
    """Half-lives learned at as_of, in days: by facet for all, by (user, facet) for one."""
    return {"as_of": as_of, "tuned": tuned, "days": days}


def learned(spark: SparkSession, fits: Sequence[oracle.Fit]) -> OwnHalfLives:
    rows = [(f["as_of"], *place, days) for f in fits for place, days in f["days"].items()]
    schema = "as_of timestamp, user_id string, facet string, half_life_days double"
    found = tuple(Fit(f["as_of"], number, f["tuned"]) for number, f in enumerate(fits))
    return OwnHalfLives(found, spark.createDataFrame(rows, schema))


def computed(
    spark: SparkSession,
    events: Sequence[oracle.Event],
    settings: Interests,
    versions: Sequence[oracle.Version] = (),
    facets: tuple[str, ...] = ("item",),
    as_of: datetime = AS_OF,
    fits: Sequence[oracle.Fit] = (),
) -> dict[oracle.Place, Any]:
    """What the code under test gives: (user, facet, key) to its row."""
    found = interests_from_events(
        counted(event_frame(spark, events), EVENTS, as_of),
        versions_at(item_frame(spark, versions), as_of),
        facets,
        settings,
        EVENTS.types,
        as_of,
        learned(spark, fits),
    )
    return {(r["user_id"], r["facet"], r["key"]): r for r in found.collect()}


def random_events(seed: int, users: str, count: int = 120) -> list[oracle.Event]:
    """Events of users named ``{users}0`` to ``{users}3``, some at as_of or later."""
    rng = random.Random(seed)
    events = []
    for number in range(count):
        kind = rng.choice(["view", "view", "buy", "buy", "return", "dislike", "search"])
        value = rng.choice([None, 1.0, 2.0, 3.0, 7.5]) if kind in ("buy", "return") else None
        item = None if kind == "search" else rng.choice("abcde")
        age = random_age(rng)
        if kind == "dislike":
            # Apart from all else, so that no sum is 0 but for the rounding of its terms.
            age += timedelta(seconds=rng.uniform(1, 1000))
        made = event(f"{users}{rng.randrange(4)}", item, kind, AS_OF - age, value)
        events.append({**made, "event_id": f"{users}{number:04d}"})
    return events


def random_age(rng: random.Random) -> timedelta:
    """From before zero to fifty years; often at the same instants, or on the edge of a window."""
    match rng.randrange(5):
        case 0:
            return timedelta(days=rng.randrange(-20, 400) / 4)
        case 1:
            return timedelta(days=rng.choice([7, 14, 30])) + rng.choice([-1, 0, 1]) * MICROSECOND
        case 2:
            return rng.randrange(-5, 60_000_000) * MICROSECOND
        case 3:
            return timedelta(days=rng.uniform(0, 40))
        case _:
            return timedelta(days=rng.uniform(0, 50 * 365.25))


def assert_agree(
    found: Mapping[oracle.Place, Any],
    expected: Mapping[oracle.Place, oracle.Row],
    settings: Interests,
) -> None:
    """Same rows, ranks and instants; numbers within 1e-9 of the size of their terms."""
    assert found.keys() == expected.keys()
    for place, row in expected.items():
        got = found[place].asDict()
        assert (got["n"], utc(got["last_ts"])) == (row["n"], row["last"]), place
        assert got["rank"] == row["rank"], place
        for name in (*settings.columns, "share", "drift"):
            assert _close(got[name], row[name], row["sizes"][name]), (
                f"{name} of {place} is {got[name]}, expected {row[name]}"
            )
        if row["drift"] is None or abs(abs(row["drift"]) - settings.drift.threshold) > 1e-9:
            assert got["trend"] == row["trend"], place


def _close(found: Any, expected: Any, size: float) -> bool:
    if expected is None or found is None:
        return found is expected
    if isinstance(expected, datetime):
        return utc(found) == expected
    return bool(abs(found - expected) <= 1e-9 * size + oracle.NOTHING)


def utc(instant: datetime) -> datetime:
    """An instant that Spark handed over without a zone, in this machine's."""
    return instant.astimezone(UTC)
