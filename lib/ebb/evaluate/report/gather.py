"""What the tables know around a study: how far interests drifted, and some people's slates.

Reads tables and writes none; brings back a few rows a facet and a slate for each of three people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.inputs import counted_events
from ebb.context import Night
from ebb.evaluate.report.content import (
    BINS,
    Drift,
    Example,
    Examples,
    Shown,
    Surroundings,
    Taken,
)
from ebb.events.catalogue import versions_at
from ebb.schema import ITEMS, RECOMMENDATIONS, USER_FEATURES

SECTIONS = ("events", "items", "train", "language", "recommend", "evaluate")
# Percentiles of the number of events of those who have a slate.
_KINDS = {"few events": 0.1, "a usual number of events": 0.5, "many events": 0.95}
_TOOK = 8


def surroundings(night: Night) -> Surroundings:
    """The facts around a study of the night; runs jobs."""
    return Surroundings(
        root=night.tables.root,
        as_of=night.as_of,
        fingerprint=night.config.fingerprint(*SECTIONS),
        drift=interest_drift(night),
        examples=examples(night),
    )


def interest_drift(night: Night) -> Drift | None:
    """The distances of short- and long-term shares, from the latest slice up to the as_of."""
    as_of = night.tables.latest_as_of(USER_FEATURES, night.as_of)
    if as_of is None:
        return None
    features = night.tables.read_slice(USER_FEATURES, as_of)
    known = features.select(F.explode("divergence").alias("facet", "distance")).where(
        F.col("distance").isNotNull()
    )
    place = F.least(F.floor(F.col("distance") * BINS), F.lit(BINS - 1)).cast("int")
    bins = known.groupBy("facet", place.alias("bin")).agg(F.count("*").alias("users"))
    summary = known.groupBy("facet").agg(
        F.count("*").alias("users"),
        F.percentile("distance", 0.5).alias("median"),
        F.percentile("distance", 0.9).alias("p90"),
    )
    of_facets = summary.orderBy("facet").toPandas()
    if of_facets.empty:
        return None
    return Drift(as_of, bins.orderBy("facet", "bin").toPandas(), of_facets)


def examples(night: Night) -> Examples | None:
    """Three people, and what was published for them on the latest night up to the as_of."""
    as_of = night.tables.latest_as_of(RECOMMENDATIONS, night.as_of)
    if as_of is None:
        return None
    slates = night.tables.read_slice(RECOMMENDATIONS, as_of)
    known = counted_events(night).where(F.col("event_ts") < F.lit(as_of))
    picked = _picked(slates, known)
    ids = [user for user, _ in picked.values()]
    titles = versions_at(night.tables.read(ITEMS), as_of).select("item_id", "title")
    shown = _slates(slates.where(F.col("user_id").isin(ids)), titles)
    took = _took(known.where(F.col("user_id").isin(ids)), titles)
    people = [
        Example(kind, user, events, took.get(user, []), shown[user])
        for kind, (user, events) in picked.items()
    ]
    return Examples(as_of, people) if people else None


def _picked(slates: DataFrame, known: DataFrame) -> dict[str, tuple[str, int]]:
    """By kind, a user with a slate and their events: nearest the percentile, ties by id."""
    sizes = (
        known.groupBy("user_id")
        .agg(F.count("*").alias("events"))
        .join(slates.select("user_id").distinct(), on="user_id", how="left_semi")
    )
    # One row: the percentiles.
    wanted = sizes.agg(F.percentile("events", list(_KINDS.values())).alias("wanted"))
    near = sizes.crossJoin(F.broadcast(wanted))
    nearest = [
        F.min(F.struct(F.abs(F.col("events") - F.col("wanted")[place]), "user_id", "events"))
        for place in range(len(_KINDS))
    ]
    row = near.agg(*nearest).collect()[0]
    picked: dict[str, tuple[str, int]] = {}
    for kind, found in zip(_KINDS, row, strict=True):
        one = None if found is None else (found["user_id"], found["events"])
        # Among few users one may be two kinds: they are shown once.
        if one is not None and one not in picked.values():
            picked[kind] = one
    return picked


def _slates(slates: DataFrame, titles: DataFrame) -> dict[str, list[Shown]]:
    named = slates.join(titles, on="item_id", how="left").orderBy("user_id", "rank")
    shown: dict[str, list[Shown]] = {}
    for row in named.select("user_id", "item_id", "title", "source", "reasons").collect():
        said = [reason["sentence"] for reason in row["reasons"]]
        place = Shown(row["title"] or row["item_id"], row["source"], said)
        shown.setdefault(row["user_id"], []).append(place)
    return shown


def _took(known: DataFrame, titles: DataFrame) -> dict[str, Sequence[Taken]]:
    """The latest few items of some users, each once, with the event that was the latest."""
    took = known.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    latest = took.groupBy("user_id", "item_id").agg(
        F.max(F.struct("event_ts", "event_id", "event_type")).alias("last")
    )
    rows = (
        latest.join(titles, on="item_id", how="left")
        .select("user_id", "item_id", "title", "last.event_ts", "last.event_type")
        # As many rows as three people have items.
        .orderBy("user_id", F.desc("event_ts"), "item_id")
        .collect()
    )
    found: dict[str, list[Taken]] = {}
    for row in rows:
        own = found.setdefault(row["user_id"], [])
        if len(own) < _TOOK:
            at: datetime = row["event_ts"].astimezone(UTC)
            own.append(Taken(row["title"] or row["item_id"], row["event_type"], at))
    return dict(found)
