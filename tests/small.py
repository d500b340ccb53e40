"""A tiny shop for tests: a landing folder that a test fills line by line, and its configuration."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ebb.config import Config
from ebb.schema import EVENTS, HALF_LIVES
from ebb.tables import Stamp, Tables
from interests.interest_oracle import Fit, weight

TYPES: dict[str, Any] = {
    "view": {"weight": 1},
    "buy": {"weight": 2, "value": {"transform": "log1p"}},
    "search": {"weight": 1, "itemless": True},
    "return": {"effect": "cancel", "cancels": ["buy"]},
    "dislike": {"weight": -1, "effect": "negative"},
}
TYPES_SHOWN = {**TYPES, "impression": {"effect": "shown"}}
WEIGHTS = {
    "history_8d": 1.0, "neighbours_flat_3d": 0.5, "affinity_category_3d": 0.2,
    "popularity_7d": 0.5,
}  # fmt: skip


def line(user: str | None, item: str | None, kind: str, ts: str, **more: Any) -> dict[str, Any]:
    """One event; ts as in ``01-05 10:00`` (month, day, time of 2026) or a whole instant."""
    instant = f"2026-{ts.replace(' ', 'T')}:00Z" if len(ts) == len("01-05 10:00") else ts
    return {"user_id": user, "item_id": item, "event_type": kind, "ts": instant, **more}


Arriving = tuple[str, str | None, str, datetime, float | None]


def arrive(
    tables: Tables,
    events: list[Arriving],
    texts: Sequence[str | None] | None = None,
    contexts: Sequence[Mapping[str, str] | None] | None = None,
) -> None:
    """Bring events in as an ingest would: with its number, which later ingests exceed.

    Parameters
    ----------
    texts, contexts : one an event; None is no event with any.
    """
    last = tables.history(EVENTS, limit=1)
    number = last[0].version if last else 0
    values = [
        (f"{number}/{n}", user, item, kind, when, value, weight(kind, value), text, None, context,
         "s", "b", number, zlib.crc32(user.encode()) % 256, when)
        for n, ((user, item, kind, when, value), text, context) in enumerate(
            zip(events, texts or [None] * len(events), contexts or [None] * len(events),
                strict=True)
        )
    ]  # fmt: skip
    rows = tables.spark.createDataFrame(values, EVENTS.schema)
    stamp = Stamp("ingest", None, "c", facts={"batch": number, "epoch": 0, "earliest": None})
    tables.append(EVENTS, rows.coalesce(1), stamp)


def learn(tables: Tables, fit: Fit) -> None:
    """Write half-lives as the job `forgetting` does."""
    rows = [(fit["as_of"], *place, days, 0.1, 9, "own") for place, days in fit["days"].items()]
    stamp = Stamp("forgetting", fit["as_of"], "c", facts={"tuned": fit["tuned"]})
    tables.write_slice(HALF_LIVES, tables.spark.createDataFrame(rows, HALF_LIVES.schema), stamp)


class Shop:
    """A landing folder, and the configuration that reads it into `tables`."""

    def __init__(self, tables: Tables, folder: Path) -> None:
        self.tables, self.folder = tables, folder
        (folder / "events").mkdir(parents=True)

    def land(self, name: str, lines: Iterable[Mapping[str, Any] | str]) -> Path:
        """Put a file of events (or of text that should have been some) into the folder."""
        path = self.folder / "events" / name
        texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    def catalogue(self, items: Iterable[Mapping[str, Any]]) -> None:
        path = self.folder / "items.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")

    def config(self, types: Mapping[str, Any] = TYPES, **sections: Any) -> Config:
        """The shop's configuration; sections given here are merged over it, one level deep."""
        mapped = {"value": "value", "text": "text", "event_id": None}
        source = {"path": str(self.folder / "events"), "format": "jsonl", "columns": mapped}
        document: dict[str, Any] = {
            "root": self.tables.root,
            "events": {"sources": [source], "types": types, "max_bad_share": 1.0},
            "train": {"models": ["neighbours"], "als": {"rank": 4, "iterations": 2}},
            # Pinned: to choose by label windows takes a night's models for each of them.
            "recommend": {"n": 3, "weights": WEIGHTS},
        }
        if (self.folder / "items.jsonl").exists():
            columns = {
                "title": "title",
                "categories": "category",
                "available": "available",
                "attributes": {"brand": "brand"},
            }
            document["items"] = {
                "path": str(self.folder / "items.jsonl"),
                "format": "jsonl",
                "category_path": ">",
                "columns": columns,
            }
        for name, section in sections.items():
            before = document.get(name)
            merged = isinstance(section, dict) and isinstance(before, dict)
            document[name] = {**before, **section} if merged else section  # type: ignore[dict-item]
        return Config.model_validate(document)
