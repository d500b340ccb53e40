"""The demo world's catalogue: what there is, when it was born and died, how popular it is.

An item depends on (seed, number) alone, so every worker makes the catalogue it needs by
itself. Pure numpy; never imports Spark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ebb.config import World
from ebb.errors import ConfigError
from ebb.events import world_random as draw
from ebb.events.world_clock import DAY, NEVER, Clock, iso
from ebb.events.world_random import Floats, Ints, Keys
from ebb.events.world_words import Category, categories, title

BORN_BEFORE_START = 0.6
DIES = 0.2
_TRIES = 64


@dataclass(frozen=True)
class Catalogue:
    """All items, by number; times are milliseconds since 1970.

    Attributes
    ----------
    category : index into `categories`, shape (items,).
    born, died : an item lives in [born, died); `NEVER` where it doesn't die.
    """

    categories: tuple[Category, ...]
    category: Ints
    born: Ints
    died: Ints
    _order: Ints
    _cumulative: Floats
    _bounds: Ints

    def alive(self, items: Ints, times: Ints) -> np.ndarray:
        """Whether each item lives at each time."""
        return (self.born[items] <= times) & (times < self.died[items])

    def pick(self, category: Ints, times: Ints, streams: Keys) -> Ints:
        """An item of each category, by popularity among those alive at each time.

        Drawn from all items of the category until one is alive; should that fail `_TRIES`
        times, it is the category's evergreen, which always lives.
        """
        chosen = category.copy()  # item number c is the evergreen of category c
        open_rows = np.arange(len(category))
        for attempt in range(_TRIES):
            if not len(open_rows):
                break
            low, high = self._bounds[category[open_rows]], self._bounds[category[open_rows] + 1]
            floor = self._cumulative[low]
            share = draw.uniform(streams[open_rows], "item", attempt)
            target = floor + share * (self._cumulative[high] - floor)
            place = np.searchsorted(self._cumulative, target, side="right") - 1
            items = self._order[np.clip(place, low, high - 1)]
            lives = self.alive(items, times[open_rows])
            chosen[open_rows[lives]] = items[lives]
            open_rows = open_rows[~lives]
        return chosen


@lru_cache(maxsize=2)
def catalogue(world: World) -> Catalogue:
    """The items of a world.

    Raises
    ------
    ConfigError
        When there are fewer items than categories.
    """
    if world.items < world.categories:
        raise ConfigError(
            f"world.items is {world.items}, expected at least world.categories "
            f"({world.categories}): every category needs an item"
        )
    clock = Clock.of(world)
    numbers = np.arange(world.items, dtype=np.int64)
    streams = draw.keys(world.seed, "item", numbers)
    category = numbers % world.categories
    evergreen = numbers < world.categories
    old = evergreen | (draw.uniform(streams, "old") < BORN_BEFORE_START)
    age = 1 + draw.uniform(streams, "age") * 729 * DAY
    debut = draw.uniform(streams, "debut") * 0.9 * clock.span
    born = np.where(old, clock.start - age, clock.start + debut).astype(np.int64)
    rest = clock.end - np.maximum(born, clock.start)
    end = clock.end - (draw.uniform(streams, "end") * 0.9 * rest).astype(np.int64)
    dies = ~evergreen & (draw.uniform(streams, "dies") < DIES)
    died = np.where(dies, end, NEVER)
    # Heavy-tailed: the most popular of a hundred items draws some ten times the median's events.
    popularity = (draw.uniform(streams, "popularity") + 0.005) ** -0.7
    order = np.argsort(category, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(popularity[order])])
    bounds = np.searchsorted(category[order], np.arange(world.categories + 1))
    named = categories(world.categories)
    return Catalogue(named, category, born, died, order, cumulative, bounds)


def item_id(number: int) -> str:
    return f"i{number:05d}"


def item_lines(world: World, numbers: Ints) -> list[str]:
    """JSON lines of the items file: a row when it is published and one when it goes.

    A row holds from its `valid_from` on: the first says available, the second, at the item's
    death, says that it no longer is.
    """
    known = catalogue(world)
    streams = draw.keys(world.seed, "item", numbers)
    first, second = draw.integer(streams, "tag", 6, 0), draw.integer(streams, "tag", 5, 1)
    brands = draw.integer(streams, "brand", 4)
    lines = []
    for row, number in enumerate(numbers.tolist()):
        category = known.categories[known.category[number]]
        tags = [category.tags[first[row]], category.tags[(first[row] + 1 + second[row]) % 6]]
        name, brand = title(category, number // world.categories), category.brands[brands[row]]
        item = {
            "item_id": item_id(number),
            "title": name,
            "category": category.path,
            "tags": "|".join(tags),
            "brand": brand,
            "description": f"{name} by {brand}: {tags[0]} and {tags[1]}, "
            f"for everyone who likes {category.leaf.lower()}.",
            "published_at": iso(int(known.born[number])),
        }
        lines.append(_version(item, int(known.born[number]), available=True))
        if known.died[number] != NEVER:
            lines.append(_version(item, int(known.died[number]), available=False))
    return lines


def _version(item: dict[str, str], valid_from: int, available: bool) -> str:
    row = {**item, "available": available, "valid_from": iso(valid_from)}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))
