"""Interests by the book, slow and obvious: plain Python, none of the package's code.

It only reads the plain attributes of the settings (`measure.curve`, `measure.half_life`, …).
An event is a dict of event_id, user, item (None for a search), kind, ts and value; an item version
one of item, valid_from, valid_to and a list of keys by facet; a fit one of as_of, tuned (days by
facet) and days by (user, facet).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]
Version = dict[str, Any]
Fit = dict[str, Any]
Place = tuple[str, str, str]
Row = dict[str, Any]

DAY = timedelta(days=1)
NOTHING = 1e-280
# a of weight = a * v, for the types of `small.TYPES`.
TYPE_WEIGHTS = {"view": 1.0, "buy": 2.0, "search": 1.0, "dislike": -1.0}


def weight(kind: str, quantity: float | None) -> float:
    """a * v of an event; a purchase is worth the logarithm of its pieces."""
    if kind in ("return", "impression"):
        return 0.0
    v = math.log1p(quantity) if kind == "buy" and quantity is not None else 1.0
    return TYPE_WEIGHTS[kind] * v


def counted(events: Iterable[Event], as_of: datetime) -> list[Event]:
    """Events before as_of; a return takes pieces back from the latest purchases before it."""
    order = sorted(
        (e for e in events if e["ts"] < as_of),
        key=lambda e: (e["ts"], e["kind"] == "return", e["event_id"]),
    )
    left: list[Event] = []
    for event in order:
        if event["kind"] != "return":
            left.append({**event, "left": event["value"], "whole": True})
            continue
        back = 1.0 if event["value"] is None else abs(event["value"])
        for earlier in reversed(left):
            same = (earlier["user"], earlier["item"]) == (event["user"], event["item"])
            if earlier["kind"] != "buy" or not same:
                continue
            pieces = 1.0 if earlier["left"] is None else earlier["left"]
            taken = min(pieces, back)
            if taken > 0:
                earlier["left"], earlier["whole"] = pieces - taken, False
                back -= taken
    return [e for e in left if e["whole"] or e["left"] > 1e-9]


def curve_at(curve: Any, age: float, later: int = 0) -> float:
    """The curve at an age in days, or after `later` events of the user."""
    match curve.curve:
        case "exponential" | "own":
            return 2.0 ** -(age / (curve.half_life / DAY))
        case "ewma_time":
            return (1.0 - curve.rate) ** (age / (curve.step / DAY))
        case "mixture":
            parts = [p.weight * 2.0 ** -(age / (p.half_life / DAY)) for p in curve.parts]
            return sum(parts) / sum(p.weight for p in curve.parts)
        case "linear":
            return max(0.0, 1.0 - age / (curve.horizon / DAY))
        case "window":
            return 1.0 if age <= curve.length / DAY else 0.0
        case "power":
            scale = (curve.half_life / DAY) / (2.0 ** (1.0 / curve.exponent) - 1.0)
            return (1.0 + age / scale) ** -curve.exponent
        case "sigmoid":
            return _logistic(curve, age) / _logistic(curve, 0.0)
        case "ewma_events":
            return curve.rate * (1.0 - curve.rate) ** later
    raise ValueError(curve.curve)


def _logistic(curve: Any, age: float) -> float:
    x = curve.steepness * (age - curve.midpoint / DAY)
    return 0.0 if x > 700 else 1.0 / (1.0 + math.exp(x))


def interests(
    events: Iterable[Event],
    versions: Sequence[Version],
    facets: Sequence[str],
    settings: Any,
    as_of: datetime,
    fits: Sequence[Fit] = (),
) -> dict[Place, Row]:
    """(user, facet, key) to n, last, measures, ratios, share, rank, drift and trend.

    A row's `sizes` has, for each number that is a sum or comes of sums, what an error of 1 in
    each term's own size would come to: tolerances are parts of it, since terms that cancel each
    other leave next to nothing of a sum, and all of its error.
    """
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in counted(events, as_of):
        by_user[event["user"]].append(event)
    found: dict[Place, Row] = {}
    for user, theirs in by_user.items():
        for event in theirs:
            event["later"] = sum(_order(other) > _order(event) for other in theirs)
        for facet in facets:
            by_key: dict[str, list[Event]] = defaultdict(list)
            for event in theirs:
                for key in keys_of(event["item"], facet, versions, as_of):
                    by_key[key].append(event)
            days = learned(user, facet, fits, as_of)
            rows = {
                k: measured(of_key, facet, settings, as_of, days) for k, of_key in by_key.items()
            }
            _compare_keys(rows, settings)
            found.update({(user, facet, key): row for key, row in rows.items()})
    return found


def _order(event: Event) -> tuple[datetime, str]:
    return event["ts"], event["event_id"]


def keys_of(item: str | None, facet: str, versions: Sequence[Version], as_of: datetime) -> set[str]:
    """The keys of an item by the version that holds at as_of."""
    if item is None:
        return set()
    if facet == "item":
        return {item}
    for version in versions:
        ended = version["valid_to"] is not None and version["valid_to"] < as_of
        if version["item"] == item and version["valid_from"] < as_of and not ended:
            return set(version.get(facet) or [])
    return set()


def learned(user: str, facet: str, fits: Sequence[Fit], as_of: datetime) -> float | None:
    """Days that the latest fit up to as_of has for a user, else for all; None where for neither."""
    known = sorted((fit for fit in fits if fit["as_of"] <= as_of), key=lambda fit: fit["as_of"])
    if not known:
        return None
    days: float | None = known[-1]["days"].get((user, facet), known[-1]["tuned"].get(facet))
    return days


def measured(
    events: list[Event], facet: str, settings: Any, as_of: datetime, days: float | None
) -> Row:
    """n, last, measures and ratios of one user's events on one key."""
    row: Row = {"n": len(events), "last": max(e["ts"] for e in events), "sizes": {}}
    for measure in settings.measures:
        value, size = None, 0.0
        if measure.facets is None or facet in measure.facets:
            types = measure.event_types
            own = [e for e in events if types is None or e["kind"] in types]
            if measure.curve == "own" and days is not None:
                measure = measure.model_copy(update={"half_life": days * DAY})
            value, size = measure_at(measure, own, as_of)
        row[measure.name], row["sizes"][measure.name] = value, size
    for ratio in settings.ratios:
        over, under = ((row[name], row["sizes"][name]) for name in (ratio.of, ratio.to))
        row[ratio.name], row["sizes"][ratio.name] = _quotient(over, under)
    return row


def measure_at(measure: Any, events: list[Event], as_of: datetime) -> tuple[Any, float]:
    """A measure of its events, and its size."""

    def age(ts: datetime) -> float:
        return (as_of - ts) / DAY

    def g(event: Event) -> float:
        return curve_at(measure, age(event["ts"]), event["later"])

    match measure.aggregate:
        case "sum":
            return _flushed(_sum(weight(e["kind"], e["left"]) * g(e) for e in events))
        case "count":
            return _flushed(_sum(g(e) for e in events))
        case "average":
            over = _sum(weight(e["kind"], e["left"]) * g(e) for e in events)
            under = _sum(TYPE_WEIGHTS[e["kind"]] * g(e) for e in events)
            return (None, 0.0) if abs(under[0]) < NOTHING else _quotient(over, under)
        case "active_days":
            latest: dict[Any, datetime] = {}
            for event in events:
                day = event["ts"].date()
                latest[day] = max(event["ts"], latest.get(day, event["ts"]))
            return _flushed(_sum(curve_at(measure, age(ts)) for ts in latest.values()))
        case "last":
            return max((e["ts"] for e in events if _alive(measure, e, as_of)), default=None), 0.0
    raise ValueError(measure.aggregate)


def _alive(measure: Any, event: Event, as_of: datetime) -> bool:
    """Whether the curve isn't 0 yet; an exponential never is, however small."""
    if measure.curve == "linear":
        return as_of - event["ts"] < measure.horizon
    if measure.curve == "window":
        return as_of - event["ts"] <= measure.length
    return True


def _sum(terms: Iterable[float]) -> tuple[float, float]:
    listed = list(terms)
    return math.fsum(listed), math.fsum(map(abs, listed))


def _flushed(found: tuple[float, float]) -> tuple[float, float]:
    value, size = found
    return (0.0 if abs(value) < NOTHING else value), size


def _quotient(
    over: tuple[float | None, float], under: tuple[float | None, float]
) -> tuple[float | None, float]:
    if over[0] is None or not under[0]:
        return None, 0.0
    value = over[0] / under[0]
    return value, (over[1] + abs(value) * under[1]) / abs(under[0])


def _compare_keys(rows: dict[str, Row], settings: Any) -> None:
    """Give each row of a user and facet its share, rank, drift and trend."""
    ranked = sorted(rows, key=lambda key: (_descending(rows[key][settings.rank_by]), key))
    shares = plain_shares(rows, settings.rank_by)
    soft = _softmax(shares, settings) if settings.share == "softmax" else shares
    drifts = {key: (None, 0.0) for key in rows}
    if settings.drift is not None:
        short = plain_shares(rows, settings.drift.short)
        long = plain_shares(rows, settings.drift.long)
        drifts = {key: _difference(short[key], long[key]) for key in rows}
    for key, row in rows.items():
        row["rank"] = ranked.index(key) + 1
        row["share"], row["sizes"]["share"] = soft[key]
        row["drift"], row["sizes"]["drift"] = drifts[key]
        row["trend"] = None if row["drift"] is None else trend(row["drift"], settings.drift)


def _descending(value: float | None) -> float:
    """Orders by the value rounded to 6 significant digits, largest first, none last."""
    return math.inf if value is None else -float(f"{value:.5e}")


def plain_shares(rows: dict[str, Row], name: str) -> dict[str, tuple[float | None, float]]:
    """Key to max(x, 0) over the sum of it, with its size."""
    positive = {key: max(row[name] or 0.0, 0.0) for key, row in rows.items()}
    total = math.fsum(positive.values()), math.fsum(row["sizes"][name] for row in rows.values())
    if total[0] <= 0:
        return {key: (None, 0.0) for key in rows}
    return {key: _quotient((positive[key], rows[key]["sizes"][name]), total) for key in rows}


def _softmax(shares: dict[str, tuple[Any, float]], settings: Any) -> dict[str, tuple[Any, float]]:
    values = [share for share, _ in shares.values()]
    if None in values:
        return shares
    largest = max(values)
    raised = {k: math.exp((s - largest) / settings.temperature) for k, (s, _) in shares.items()}
    size = max(size for _, size in shares.values()) / settings.temperature
    return {key: (x / math.fsum(raised.values()), size) for key, x in raised.items()}


def _difference(short: tuple[Any, float], long: tuple[Any, float]) -> tuple[Any, float]:
    if short[0] is None or long[0] is None:
        return None, 0.0
    return short[0] - long[0], short[1] + long[1]


def trend(drift: float, settings: Any) -> str:
    if drift >= settings.threshold:
        return "rising"
    return "fading" if drift <= -settings.threshold else "steady"
