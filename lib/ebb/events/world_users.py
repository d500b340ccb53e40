"""The demo world's people: who they are and how their interests come and go.

A user depends on (seed, number) alone. Pure numpy; never imports Spark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from ebb.config import World
from ebb.events import world_random as draw
from ebb.events.world_clock import DAY, Clock, iso
from ebb.events.world_random import Floats, Ints, Keys

# Median half-life in days and share of users. People differ inside a segment too.
SEGMENTS = {"restless": (1.0, 0.3), "steady": (4.0, 0.4), "devoted": (14.0, 0.3)}
HALF_LIFE_SIGMA, HALF_LIFE_LIMIT = 0.45, 2.5
BRANCHING_LOW, BRANCHING_HIGH = 0.5, 0.85
ACTIVITY_SIGMA, ACTIVITY_LIMIT = 0.7, 2.5
TASTE_SIGMA, TASTE_LIMIT = 1.5, 3.0
COLD = 0.03
JOINED_BEFORE_START = 0.8
REPEATERS, REPEATS_OFTEN, REPEATS_SELDOM = 0.3, 0.6, 0.05
COUNTRIES = ("DE", "FR", "IT", "PL", "SE", "US", "BR", "JP")
DEVICES = ("phone", "laptop", "tablet", "tv")


@dataclass(frozen=True)
class People:
    """A batch of users; each array has a row a user.

    Attributes
    ----------
    number : 0 … world.users - 1.
    streams : the user's own random stream.
    segment : index into `SEGMENTS`.
    joined : milliseconds since 1970.
    active : when the user's intensity begins: joined or the world's start, the later one.
    half_life : days.
    mu : what an event adds to the rate of its category, in events a day.
    branching : mu · half_life / ln 2, the mean number of events that one event brings about.
    floors : rate of each category without any past, in events a day; shape (users, categories).
    repeats : chance that an event is about an item the user had before.
    """

    number: Ints
    streams: Keys
    segment: Ints
    joined: Ints
    active: Ints
    half_life: Floats
    mu: Floats
    branching: Floats
    floors: Floats
    repeats: Floats


def people(world: World, numbers: Ints) -> People:
    """Draw users.

    The floors' sum F is such that the expected number of events up to the world's end is
    events_per_user_day * activity * T, over the T days that the user is active. The intensity
    starts with no past, so the mean rate at t is F·[1 + n/(1 - n)·(1 - e^(-κt))], where
    n = mu·half_life/ln 2 and κ = (1 - n)·ln 2/half_life; its integral over [0, T] is
    F·[T + n/(1 - n)·(T - (1 - e^(-κT))/κ)].
    """
    clock = Clock.of(world)
    streams = draw.keys(world.seed, "user", numbers)
    medians = np.array([median for median, _ in SEGMENTS.values()])
    limits = np.cumsum([share for _, share in SEGMENTS.values()])[:-1]
    segment = np.searchsorted(limits, draw.uniform(streams, "segment"), side="right")
    spread = draw.normal(streams, "half-life", HALF_LIFE_LIMIT)
    half_life = medians[segment] * np.exp(HALF_LIFE_SIGMA * spread)
    low, high = BRANCHING_LOW, BRANCHING_HIGH
    branching = low + (high - low) * draw.uniform(streams, "branching")
    joined = _joined(clock, streams)
    active = np.maximum(joined, clock.start)
    cold = draw.uniform(streams, "cold") < COLD
    days = (clock.end - active) / DAY
    kappa = (1.0 - branching) * np.log(2.0) / half_life
    echo = branching / (1.0 - branching) * (days + np.expm1(-kappa * days) / kappa)
    activity = draw.normal(streams, "activity", ACTIVITY_LIMIT)
    activity = np.exp(ACTIVITY_SIGMA * activity - ACTIVITY_SIGMA**2 / 2)
    total = world.events_per_user_day * activity * days / (days + echo)
    often = draw.uniform(streams, "repeater") < REPEATERS
    return People(
        number=numbers,
        streams=streams,
        segment=segment.astype(np.int64),
        joined=joined,
        active=active,
        half_life=half_life,
        mu=np.where(cold, 0.0, branching * np.log(2.0) / half_life),
        branching=np.where(cold, 0.0, branching),
        floors=np.where(cold, 0.0, total)[:, None] * _tastes(world, streams),
        repeats=np.where(often, REPEATS_OFTEN, REPEATS_SELDOM),
    )


def _joined(clock: Clock, streams: Keys) -> Ints:
    """Most joined in the year before the start, the others in the first half of the span."""
    when = draw.uniform(streams, "joined")
    early = clock.start - 1 - when * 365 * DAY
    during = clock.start + when * 0.5 * clock.span
    is_early = draw.uniform(streams, "early") < JOINED_BEFORE_START
    return np.where(is_early, early, during).astype(np.int64)


def _tastes(world: World, streams: Keys) -> Floats:
    """Shares of the categories in a user's floor: a few favourites, but never quite nothing."""
    users, count = len(streams), world.categories
    each = draw.children(np.repeat(streams, count), np.tile(np.arange(count), users))
    weights = np.exp(TASTE_SIGMA * draw.normal(each, "taste", TASTE_LIMIT)).reshape(users, count)
    shares: Floats = 0.05 / count + 0.95 * weights / np.cumsum(weights, axis=1)[:, -1:]
    return shares


def user_id(number: int) -> str:
    return f"u{number:06d}"


def user_lines(world: World, numbers: Ints) -> list[str]:
    """JSON lines of the users file."""
    group = people(world, numbers)
    names = list(SEGMENTS)
    columns = (
        numbers,
        draw.integer(group.streams, "country", len(COUNTRIES)),
        group.segment,
        group.joined,
    )
    return [
        json.dumps(
            {
                "user_id": user_id(number),
                "country": COUNTRIES[country],
                "segment": names[segment],
                "joined_at": iso(joined),
            },
            separators=(",", ":"),
        )
        for number, country, segment, joined in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
