"""What the demo world's users do, drawn from a written-down intensity.

User u's rate of points in category c, in events a day, t days into the user's activity:

    λ_{u,c}(t) = floor_{u,c} + μ_u · Σ 2^(-(t - t_i) / h_u)   over u's earlier points t_i in c

A point is a view, a like or a purchase of an item of the category; each counts 1. With
n = μ_u · h_u / ln 2 < 1 an event brings about n others on average, so that the rate stays
finite. Searches, dislikes and returns accompany points and don't move the intensity.
No point lies before the user's activity begins: the sums start at nothing.

Pure numpy; never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebb.config import World
from ebb.events import world_random as draw
from ebb.events.world_clock import DAY, Clock
from ebb.events.world_items import Catalogue
from ebb.events.world_random import Floats, Ints, Keys
from ebb.events.world_users import DEVICES, People
from ebb.events.world_words import searches

TYPES = ("view", "like", "purchase", "search", "dislike", "return")
VIEW, LIKE, PURCHASE, SEARCH, DISLIKE, RETURN = range(6)
LIKES, PURCHASES = 0.12, 0.08
SEARCHED, DISLIKED, RETURNED = 0.08, 0.01, 0.06
USUAL_DEVICE = 0.85
RECENT = 5  # a repeat goes back to one of this many latest points in the category
NOTHING = -1


@dataclass(frozen=True)
class Points:
    """Points of a batch of users, by user and then by time.

    Attributes
    ----------
    user : row in the batch's `People`.
    days : since the user's activity began.
    category : index.
    streams : each point's own random stream.
    """

    user: Ints
    days: Floats
    category: Ints
    streams: Keys


@dataclass(frozen=True)
class Events:
    """Rows of the log, in no order. `item`, `value` and `query` are `NOTHING` where there is none.

    Attributes
    ----------
    user : row in the batch's `People`.
    time : milliseconds since 1970.
    query : index into `world_words.searches` of the row's category.
    """

    user: Ints
    time: Ints
    type: Ints
    item: Ints
    value: Ints
    category: Ints
    query: Ints
    device: Ints
    streams: Keys

    def __len__(self) -> int:
        return len(self.user)


def points(group: People, end: int) -> Points:
    """Draw points by Ogata's thinning, all users of the batch a step at a time.

    Between points the intensity only falls, so that its value after the last step bounds it:
    propose the next time at that rate, accept with probability λ(proposed) / bound, then take
    category c with probability λ_c / λ (Ogata 1981, On Lewis' simulation method).
    """
    row = np.flatnonzero(group.mu > 0)
    now, life = np.zeros(len(row)), (end - group.active[row]) / DAY
    excited = np.zeros((len(row), group.floors.shape[1]))
    found: list[tuple[Ints, Floats, Ints, Keys]] = []
    step = 0
    while len(row):
        streams = draw.children(group.streams[row], np.full(len(row), step))
        floors, mu = group.floors[row], group.mu[row][:, None]
        bound = np.cumsum(floors + mu * excited, axis=1)[:, -1]
        wait = draw.exponential(streams, "wait") / bound
        now = now + wait
        excited *= np.exp2(-wait / group.half_life[row])[:, None]
        rates = np.cumsum(floors + mu * excited, axis=1)
        total = rates[:, -1]
        alive = now < life
        hit = alive & (draw.uniform(streams, "accept") * bound < total)
        place = draw.uniform(streams, "category") * total
        category = (rates[:, :-1] <= place[:, None]).sum(axis=1)
        excited[hit, category[hit]] += 1.0
        found.append((row[hit], now[hit], category[hit], streams[hit]))
        row, now, life, excited = row[alive], now[alive], life[alive], excited[alive]
        step += 1
    user, days, category, keys = (
        np.concatenate([part[i] for part in found]) if found else np.zeros(0) for i in range(4)
    )
    order = np.lexsort((days, user))
    return Points(
        user[order].astype(np.int64),
        days[order],
        category[order].astype(np.int64),
        keys[order].astype(np.uint64),
    )


def events(world: World, known: Catalogue, group: People) -> Events:
    """Everything that a batch of users does: points, and what accompanies them."""
    clock = Clock.of(world)
    drawn = points(group, clock.end)
    # Down to milliseconds, which the log keeps; the intensity differs by 1e-8 of itself.
    time = group.active[drawn.user] + np.floor(drawn.days * DAY).astype(np.int64)
    item = _items(known, group, drawn, time)
    kind = draw.uniform(drawn.streams, "type")
    type_ = np.where(kind < PURCHASES, PURCHASE, np.where(kind < PURCHASES + LIKES, LIKE, VIEW))
    quantity = 1 + np.searchsorted([0.7, 0.9], draw.uniform(drawn.streams, "quantity"), "right")
    value = np.where(type_ == PURCHASE, quantity, NOTHING)
    nothing = np.full(len(item), NOTHING)
    device = _devices(group, drawn)
    base = Events(
        drawn.user, time, type_, item, value, drawn.category, nothing, device, drawn.streams
    )
    return _joined([base, *_companions(known, group, base, clock.end)])


def _items(known: Catalogue, group: People, drawn: Points, time: Ints) -> Ints:
    """A fresh item by popularity, or, for those who come back, one that they had before."""
    fresh = known.pick(drawn.category, time, drawn.streams)
    order = np.lexsort((time, drawn.category, drawn.user))
    user, category = drawn.user[order], drawn.category[order]
    streams = drawn.streams[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (user[1:] != user[:-1]) | (category[1:] != category[:-1])
    places = np.arange(len(order))
    before = places - np.maximum.accumulate(np.where(begins, places, 0))
    back = 1 + (draw.uniform(streams, "back") * np.minimum(before, RECENT)).astype(np.int64)
    again = (before > 0) & (draw.uniform(streams, "again") < group.repeats[user])
    origin = np.where(again, places - back, places)
    while True:  # follow a repeat of a repeat to where it began; each turn doubles the reach
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    first = fresh[order][origin]
    # An item that has died since can't be had again.
    taken = np.where(known.alive(first, time[order]), first, fresh[order])
    items = np.empty_like(fresh)
    items[order] = taken
    return items


def _devices(group: People, drawn: Points) -> Ints:
    usual = draw.integer(group.streams, "device", len(DEVICES))[drawn.user]
    other = draw.integer(drawn.streams, "device", len(DEVICES))
    return np.where(draw.uniform(drawn.streams, "usual") < USUAL_DEVICE, usual, other)


def _companions(known: Catalogue, group: People, base: Events, end: int) -> list[Events]:
    """Searches before a point, dislikes after a view, returns after a purchase."""
    chance = draw.uniform(base.streams, "companion")
    second = 1_000
    before = ((20 + draw.uniform(base.streams, "search") * 280) * second).astype(np.int64)
    soon = ((5 + draw.uniform(base.streams, "soon") * 115) * second).astype(np.int64)
    later = ((1 / 24 + 2 * draw.exponential(base.streams, "later")) * DAY).astype(np.int64)
    counts = np.array([len(searches(category)) for category in known.categories], dtype=np.int64)
    query = (draw.uniform(base.streams, "query") * counts[base.category]).astype(np.int64)
    nothing = np.full(len(base), NOTHING)
    kinds = (
        (SEARCH, chance < SEARCHED, base.time - before, nothing, nothing, query),
        (DISLIKE, (base.type == VIEW) & (chance > 1 - DISLIKED), base.time + soon, base.item,
         nothing, nothing),
        (RETURN, (base.type == PURCHASE) & (chance > 1 - RETURNED), base.time + later, base.item,
         base.value, nothing),
    )  # fmt: skip
    companions = []
    for type_, wanted, time, item, value, texts in kinds:
        inside = (time >= group.active[base.user]) & (time < end)
        there = (item == NOTHING) | known.alive(item, time)
        keep = np.flatnonzero(wanted & inside & there)
        types = np.full(len(keep), type_)
        streams = draw.children(base.streams[keep], types)
        companions.append(
            Events(
                base.user[keep], time[keep], types, item[keep], value[keep], base.category[keep],
                texts[keep], base.device[keep], streams,
            )
        )  # fmt: skip
    return companions


def _joined(parts: list[Events]) -> Events:
    names = Events.__dataclass_fields__
    return Events(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
