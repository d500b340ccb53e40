"""Interests by the book, slow and obvious: plain Python, none of the package's code but curves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]


def weight(kind: str, quantity: float | None) -> float:
    """Of the types of `small.TYPES`."""
    match kind:
        case "view" | "search":
            return 1.0
        case "buy":
            return 2.0 * (1.0 if quantity is None else math.log1p(quantity))
        case "dislike":
            return -1.0
    return 0.0


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


def interests(
    events: Iterable[Event],
    categories: Mapping[str, list[str]],
    curves: Mapping[str, Any],
    as_of: datetime,
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(user, facet, key) to n, last and each measure."""
    found: dict[tuple[str, str, str], dict[str, Any]] = defaultdict(
        lambda: {"n": 0, "last": None, **dict.fromkeys(curves, 0.0)}
    )
    for event in counted(events, as_of):
        if event["item"] is None:
            continue
        keys = [("item", event["item"])]
        keys += [("category", c) for c in categories.get(event["item"], [])]
        age = (as_of - event["ts"]) / timedelta(days=1)
        for facet, key in keys:
            row = found[event["user"], facet, key]
            row["n"] += 1
            row["last"] = max(filter(None, (row["last"], event["ts"])))
            for name, curve in curves.items():
                row[name] += weight(event["kind"], event["left"]) * curve.at(age)
    return dict(found)
