"""What the demo world was made from, as tables: the parameters that estimates should recover."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import types as T

from ebb.config import World
from ebb.events.world_clock import NEVER
from ebb.events.world_items import catalogue, item_id
from ebb.events.world_random import Ints
from ebb.events.world_users import SEGMENTS, people, user_id
from ebb.events.world_words import categories
from ebb.schema import Table


def _columns(*fields: tuple[str, T.DataType, str]) -> T.StructType:
    return T.StructType(
        [T.StructField(f[0], f[1], f[0] == "died_at", {"comment": f[2]}) for f in fields]
    )


_STRING, _DOUBLE, _TS = T.StringType(), T.DoubleType(), T.TimestampType()

WORLD_USERS = Table(
    "world_users",
    "The demo world's truth about users: rate of a category at t, in events a day, is "
    "floors[category] + mu * sum over earlier views, likes and purchases in it of "
    "2^(-age / half_life_days); nothing before active_from counts.",
    ("user_id",),
    "nightly",
    _columns(
        ("user_id", _STRING, "the user"),
        ("segment", _STRING, "restless, steady or devoted: the half-life's median is 1, 4 or 14 d"),
        ("active_from", _TS, "when the intensity begins, with no past"),
        ("half_life_days", _DOUBLE, "h: after so many days an event counts half"),
        ("mu", _DOUBLE, "what an event adds to its category's rate, events a day; 0: no events"),
        ("branching_ratio", _DOUBLE, "mu * h / ln 2: events that one event brings about"),
        ("floors", T.MapType(_STRING, _DOUBLE, False), "category to its rate without any past"),
    ),
)
WORLD_ITEMS = Table(
    "world_items",
    "The demo world's truth about items: category and life.",
    ("item_id",),
    "nightly",
    _columns(
        ("item_id", _STRING, "the item"),
        ("category", _STRING, "its one category, as a path"),
        ("born_at", _TS, "no event before this instant"),
        ("died_at", _TS, "no event from this instant on; empty: it lives on"),
    ),
)
_INSTANT = pa.timestamp("us", "UTC")


def _instants(milliseconds: Ints) -> pa.Array:
    micros = np.where(milliseconds == NEVER, 0, milliseconds) * 1000
    return pa.array(micros, mask=milliseconds == NEVER).cast(_INSTANT)


def user_truth(world: World, numbers: Ints) -> pa.RecordBatch:
    """Rows of `world_users`."""
    group = people(world, numbers)
    paths = [category.path for category in categories(world.categories)]
    names = np.array(list(SEGMENTS))
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * len(paths)
    floors = pa.MapArray.from_arrays(offsets, paths * len(numbers), group.floors.ravel())
    return pa.RecordBatch.from_pydict(
        {
            "user_id": [user_id(number) for number in numbers.tolist()],
            "segment": names[group.segment].tolist(),
            "active_from": _instants(group.active),
            "half_life_days": group.half_life,
            "mu": group.mu,
            "branching_ratio": group.branching,
            "floors": floors,
        }
    )


def item_truth(world: World, numbers: Ints) -> pa.RecordBatch:
    """Rows of `world_items`."""
    known = catalogue(world)
    return pa.RecordBatch.from_pydict(
        {
            "item_id": [item_id(number) for number in numbers.tolist()],
            "category": [known.categories[c].path for c in known.category[numbers].tolist()],
            "born_at": _instants(known.born[numbers]),
            "died_at": _instants(known.died[numbers]),
        }
    )
