"""Features and slates the slow and obvious way, in plain Python, from a small world."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from ebb.config import Config
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives, name_of
from ebb.recommend.prepare import Prepared, prepare
from ebb.recommend.slates import Ranking, make_slates

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
EVENTS = "user_id string, item_id string, event_type string, event_ts timestamp, weight double"
ITEMS = (
    "item_id string, title string, categories array<string>, tags array<string>, "
    "attributes map<string,string>, published_at timestamp, eligible boolean"
)
LIVES = HalfLives(
    scale=7 * DAY,
    popularity=(2 * DAY, None),
    history=(3 * DAY, None),
    profile=(5 * DAY, None),
    similarity=4 * DAY,
    confidence=4 * DAY,
)
ALS = {"rank": 2, "alpha": 3.0, "regularization": 0.2, "floor": 0.3}


@dataclass(frozen=True)
class Item:
    title: str | None = None
    keys: tuple[str, ...] = ()
    eligible: bool = True
    published: float | None = None  # days before AS_OF


@dataclass
class SmallWorld:
    """events: (user, item, days before AS_OF, weight); models: (model, item, other) to weight."""

    users: list[str]
    items: dict[str, Item]
    events: list[tuple[str, str | None, float, float]]
    models: dict[tuple[str, str, str], float] = field(default_factory=dict)
    factors: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()

    def config(self, **recommend: Any) -> Config:
        return Config.model_validate(
            {
                "root": "unused",
                "events": {
                    "sources": [{"path": "unused", "format": "csv"}],
                    "types": {"view": {"weight": 1.0}},
                },
                "train": {"als": ALS},
                "recommend": {"candidates": 100, **recommend},
            }
        )

    def columns(self, repeat: bool, shown: bool = False) -> Columns:
        projected = {"projected"} & {model for model, _ in self.factors}
        models = ("neighbours", "ease", "als", "content", *projected)
        return Columns(LIVES, ("category",), models, repeat, shown, self.numbers)

    def event_frame(self, spark: SparkSession) -> DataFrame:
        rows = [(u, i, "view", AS_OF - age * DAY, w) for u, i, age, w in self.events]
        return spark.createDataFrame(rows, EVENTS)

    def prepared(
        self, spark: SparkSession, repeat: bool, shown: DataFrame | None = None, **recommend: Any
    ) -> Prepared:
        listed = [
            (i, one.title, list(one.keys) or None, None, self.attributes.get(i),
             None if one.published is None else AS_OF - one.published * DAY, one.eligible)
            for i, one in self.items.items()
        ]  # fmt: skip
        weights = [(m, j, i, w) for (m, j, i), w in self.models.items()]
        factors = [(m, i, v) for (m, i), v in self.factors.items()]
        return prepare(
            self.event_frame(spark),
            spark.createDataFrame(listed, ITEMS),
            spark.createDataFrame(
                weights, "model string, item_id string, neighbour_id string, weight double"
            ),
            spark.createDataFrame(factors, "model string, item_id string, factors array<float>"),
            AS_OF,
            self.columns(repeat, shown is not None),
            self.config(**recommend),
            shown,
            tries_by_shown=shown is not None,
        )

    def slates(
        self,
        spark: SparkSession,
        ranking: Ranking,
        repeat: bool,
        events: DataFrame | None = None,
        **recommend: Any,
    ) -> dict[str, list[Any]]:
        """What the code under test gives: user to rows, by rank."""
        users = spark.createDataFrame([(u,) for u in self.users], "user_id string")
        frame = make_slates(
            self.prepared(spark, repeat, **recommend),
            self.event_frame(spark) if events is None else events,
            users,
            ranking,
            "v1",
        )
        found: dict[str, list[Any]] = defaultdict(list)
        for row in sorted(frame.collect(), key=lambda r: (r["user_id"], r["rank"])):
            found[row["user_id"]].append(row)
        return dict(found)


def random_world(seed: int, users: int = 8, items: int = 14, events: int = 70) -> SmallWorld:
    """A world with cold users, disliked and unavailable items, ties and titleless items."""
    dice = random.Random(seed)
    user_ids = [f"u{k}" for k in range(users)] + ["cold"]
    item_ids = [f"i{k:02}" for k in range(items)]
    known = [i for i in item_ids if dice.random() < 0.8]
    shelf = {
        i: Item(
            f"Title {i}" if dice.random() < 0.7 else None,
            tuple(dice.sample(["jazz", "rock", "folk"], dice.randrange(3))),
            dice.random() < 0.85,
            dice.choice([None, 3.0, 90.0]),
        )
        for i in item_ids
    }
    happened = [
        (
            dice.choice(user_ids[:-1]),
            dice.choice([*item_ids, None]),
            dice.uniform(0.001, 20.0),
            dice.choice([1.0, 1.0, 2.0, 0.5, -1.5, 0.0]),
        )
        for _ in range(events)
    ]
    models = {
        (model, j, i): dice.choice([0.5, 0.25, 0.1, -0.2])
        for model in ("neighbours", "neighbours_flat", "ease", "ease_flat")
        for j in known
        for i in item_ids
        if i != j and dice.random() < 0.4
    }
    factors = {
        (model, i): [dice.gauss(0, 1), dice.gauss(0, 1)]
        for model in ("als", "als_flat")
        for i in known
    }
    factors |= {("content", i): [dice.gauss(0, 1), dice.gauss(0, 1)] for i in known[2:]}
    return SmallWorld(user_ids, shelf, happened, models, factors)


@dataclass
class Held:
    """What a user holds of an item."""

    ages: list[float] = field(default_factory=list)  # of takes
    weights: list[tuple[float, float]] = field(default_factory=list)  # (age, weight)

    def sum(self, half_life: timedelta | None) -> float:
        return sum(w * decay(age, half_life) for age, w in self.weights)

    @property
    def disliked(self) -> bool:
        return any(self.sum(h) < -1e-9 for h in (None, 3 * DAY, 4 * DAY))


def decay(age: float, half_life: timedelta | None) -> float:
    return 1.0 if half_life is None else 2 ** (-age / (half_life / DAY))


def oracle(world: SmallWorld, repeat: bool) -> dict[str, dict[str, dict[str, float]]]:
    """user to item that may be recommended to them to feature to value."""
    held: dict[str, dict[str, Held]] = {u: defaultdict(Held) for u in world.users}
    touched: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for user, item, age, weight in world.events:
        if item is not None:
            held[user][item].weights.append((age, weight))
            touched[item].append((age, weight))
            if weight > 0:
                held[user][item].ages.append(age)
    mean = np.mean([w for _, i, _, w in world.events if i is not None])
    whole = {
        user: {
            item: _features(world, held[user], touched, item, repeat, float(mean))
            for item, one in world.items.items()
            if one.eligible and not _is_barred(held[user], item, repeat)
        }
        for user in world.users
    }
    for rows in whole.values():
        for name in _RELATIVE:
            best = max((max(0.0, row[name]) for row in rows.values()), default=0.0)
            for row in rows.values():
                row[name] = math.log(0.01 + (max(0.0, row[name]) / best if best > 0 else 0.0))
    return whole


_PROFILE = [name_of(h) for h in LIVES.profile]
_RELATIVE = [
    *(f"{m}_{k}_{h}" for m in ("neighbours", "ease") for k in ("decayed", "flat")
      for h in _PROFILE),
    "als", "als_flat",
    *(f"affinity_category_{h}" for h in _PROFILE),
    *(f"content_{h}" for h in _PROFILE),
]  # fmt: skip


def _is_barred(past: dict[str, Held], item: str, repeat: bool) -> bool:
    return item in past and (past[item].disliked if repeat else True)


def _features(
    world: SmallWorld,
    past: dict[str, Held],
    touched: dict[str, list[tuple[float, float]]],
    item: str,
    repeat: bool,
    mean: float,
) -> dict[str, float]:
    """Raw values where a feature is relative to the user's best; the logarithm elsewhere."""
    row: dict[str, float] = {}

    def popular(i: str, half_life: timedelta | None) -> float:
        return max(0.0, sum(w * decay(age, half_life) for age, w in touched[i]))

    for h in LIVES.popularity:
        best = max(popular(i, h) for i in world.items)
        share = popular(item, h) / best if best > 0 else 0.0
        row[f"popularity_{name_of(h)}"] = math.log(1e-4 + share)
    short, long = popular(item, 2 * DAY), popular(item, 30 * DAY)
    row["velocity"] = math.log((short + 0.1 * mean) / (long + mean))
    ages = {i: _age(world, touched, i) for i in world.items}
    oldest = max(max((a for a in ages.values() if a is not None), default=0), 1 / 24)
    age = ages[item]
    row["newness"] = -math.log(max(oldest if age is None else age, 1 / 24))

    spoken = {j: h for j, h in past.items() if h.ages and not h.disliked}
    for h in LIVES.profile:
        of = {j: decay(min(one.ages), h) for j, one in spoken.items()}
        for model in ("neighbours", "neighbours_flat", "ease", "ease_flat"):
            base, kind = model.removesuffix("_flat"), "flat" if "flat" in model else "decayed"
            led = sum(of[j] * world.models.get((model, j, item), 0.0) for j in of)
            row[f"{base}_{kind}_{name_of(h)}"] = led + (of.get(item, 0.0) if repeat else 0.0)
        taste: dict[str, float] = defaultdict(float)
        for j, size in of.items():
            for key in world.items[j].keys:
                taste[key] += size / len(world.items[j].keys)
        total = sum(taste.values())
        own = world.items[item].keys
        row[f"affinity_category_{name_of(h)}"] = (
            sum(taste[key] / total for key in own) / len(own) if own and total > 0 else 0.0
        )
        about = sum(
            (
                np.array(world.factors["content", j]) * of[j]
                for j in of
                if ("content", j) in world.factors
            ),
            np.zeros(2),
        )
        row[f"content_{name_of(h)}"] = float(
            about @ world.factors.get(("content", item), [0.0, 0.0])
        )
    for model, half_life in (("als", 4 * DAY), ("als_flat", None)):
        row[model] = _als(world, spoken, item, model, half_life)
    if repeat:
        _own_history(row, past.get(item, Held()), mean)
    return row


def _age(world: SmallWorld, touched: dict[str, list[tuple[float, float]]], i: str) -> float | None:
    known = [world.items[i].published, max((age for age, _ in touched[i]), default=None)]
    return max((age for age in known if age is not None), default=None)


def _als(
    world: SmallWorld,
    spoken: dict[str, Held],
    item: str,
    model: str,
    half_life: timedelta | None,
) -> float:
    vectors = {i: np.array(v) for (m, i), v in world.factors.items() if m == model}
    rated = {
        j: h.sum(half_life)
        for j, h in spoken.items()
        if j in vectors and h.sum(half_life) >= ALS["floor"]
    }
    if not rated or item not in vectors:
        return 0.0
    matrix = sum(np.outer(v, v) for v in vectors.values())
    right = np.zeros(2)
    for j, r in rated.items():
        matrix = matrix + ALS["alpha"] * r * np.outer(vectors[j], vectors[j])
        right = right + (1 + ALS["alpha"] * r) * vectors[j]
    matrix = matrix + ALS["regularization"] * len(rated) * np.eye(2)
    return float(vectors[item] @ np.linalg.solve(matrix, right))


def _own_history(row: dict[str, float], one: Held, mean: float) -> None:
    for h in LIVES.history:
        size = max(0.0, one.sum(h)) if one.ages else 0.0
        row[f"history_{name_of(h)}"] = math.log(0.01 + size / mean)
    days = {(AS_OF - age * DAY).date() for age in one.ages}
    row["recency"] = -math.log(min(one.ages) + 0.05) if one.ages else -math.log(1000)
    row["had"] = float(bool(days))
    row["days"] = math.log(max(len(days), 1))
    row["again"] = float(len(days) > 1)
