"""The demo world's log as it lands: lines of JSON, some late, some twice, a few broken.

Everything odd is added to the log and takes nothing away: a broken row is a damaged copy of an
event that is also there whole. Pure numpy; never imports Spark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from ebb.config import World
from ebb.events import world_random as draw
from ebb.events.world_clock import DAY, Clock
from ebb.events.world_events import NOTHING, TYPES, Events, events
from ebb.events.world_items import Catalogue, catalogue, item_id
from ebb.events.world_random import Ints
from ebb.events.world_users import DEVICES, People, people, user_id
from ebb.events.world_words import searches

LATE, LATE_DAYS = 0.02, 5
REPEATED = 0.01
BROKEN = 0.002
BREAKAGES = ("no user", "cut", "long ago", "far ahead", "odd type", "no item")


@dataclass(frozen=True)
class Arrivals:
    """Lines and when they reached the log.

    Attributes
    ----------
    user : the user's number.
    arrived : milliseconds since 1970; its day is the file that the line is in.
    line : the line, without its end.
    """

    user: Ints
    arrived: Ints
    line: list[str]


def event_lines(world: World, numbers: Ints) -> Arrivals:
    """All lines that the given users leave in the log.

    Parameters
    ----------
    numbers : of the users; any selection gives each of them the same lines.
    """
    known, group = catalogue(world), people(world, numbers)
    log = events(world, known, group)
    whole = _written(known, group, log)
    last = Clock.of(world).last_day
    arrived = _arrivals(log, last)
    again = draw.uniform(log.streams, "repeated") < REPEATED
    again &= arrived // DAY + 1 <= last
    broken = np.flatnonzero(draw.uniform(log.streams, "broken") < BROKEN)
    damaged = _damaged(log, broken, whole)
    repeated = np.flatnonzero(again)
    rows = np.concatenate([np.arange(len(log)), repeated, broken])
    return Arrivals(
        group.number[log.user[rows]],
        np.concatenate([arrived, arrived[repeated] + DAY, arrived[broken]]),
        [*whole, *(whole[row] for row in repeated.tolist()), *damaged],
    )


def _arrivals(log: Events, last_day: int) -> Ints:
    """On the spot, or at some time of one of the next days; never after the last file."""
    delay = 1 + draw.integer(log.streams, "delay", LATE_DAYS)
    day = log.time // DAY + delay
    when = day * DAY + draw.integer(log.streams, "hour", DAY)
    late = (draw.uniform(log.streams, "late") < LATE) & (day <= last_day)
    return np.where(late, when, log.time)


def _written(known: Catalogue, group: People, log: Events) -> list[str]:
    users = [f'{{"user_id":"{user_id(n)}",' for n in group.number.tolist()]
    items = {n: f'"{item_id(n)}"' for n in np.unique(log.item).tolist()}
    items[NOTHING] = "null"
    times = np.datetime_as_string(log.time.astype("datetime64[ms]"), unit="ms")
    quoted = [[json.dumps(text) for text in searches(c)] for c in known.categories]
    values = {NOTHING: "null", 1: "1", 2: "2", 3: "3"}
    columns = (log.user, log.item, log.type, times, log.value, log.category, log.query, log.device)
    return [
        f'{users[user]}"item_id":{items[item]},"event_type":"{TYPES[kind]}","ts":"{time}Z",'
        f'"value":{values[value]},"query":{quoted[category][query] if query >= 0 else "null"},'
        f'"device":"{DEVICES[device]}"}}'
        for user, item, kind, time, value, category, query, device in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def _damaged(log: Events, rows: Ints, whole: list[str]) -> list[str]:
    """A damaged copy of each chosen line."""
    ways = draw.integer(log.streams[rows], "breakage", len(BREAKAGES))
    chosen = zip(rows.tolist(), ways.tolist(), strict=True)
    return [_break(whole[row], BREAKAGES[way]) for row, way in chosen]


def _break(line: str, way: str) -> str:
    row = json.loads(line)
    if way == "no item" and row["item_id"] is None:
        way = "no user"  # a search never has one
    if way == "cut":
        return line[: len(line) * 2 // 3]
    damage = {
        "no user": {"user_id": None},
        "long ago": {"ts": "1901" + row["ts"][4:]},
        "far ahead": {"ts": "2125" + row["ts"][4:]},
        "odd type": {"event_type": "teleport"},
        "no item": {"item_id": None},
    }[way]
    return json.dumps({**row, **damage}, ensure_ascii=False, separators=(",", ":"))
