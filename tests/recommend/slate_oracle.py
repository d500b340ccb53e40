"""Slates the slow and obvious way, in plain Python, from a small world in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from ebb.config import Recommend, Train
from ebb.recommend.slates import make_slates

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
EVENTS = "user_id string, item_id string, event_type string, event_ts timestamp, weight double"


@dataclass
class SmallWorld:
    """events: (user, item, days before AS_OF, weight); items: id to (title, eligible)."""

    users: list[str]
    items: dict[str, tuple[str | None, bool]]
    events: list[tuple[str, str | None, float, float]]
    popular: dict[str, float] = field(default_factory=dict)
    neighbours: dict[tuple[str, str], float] = field(default_factory=dict)
    factors: dict[str, list[float]] = field(default_factory=dict)

    def event_frame(self, spark: SparkSession) -> DataFrame:
        rows = [(u, i, "view", AS_OF - age * DAY, w) for u, i, age, w in self.events]
        return spark.createDataFrame(rows, EVENTS)

    def slates(
        self,
        spark: SparkSession,
        recommend: Recommend,
        repeat: bool,
        train: Train | None = None,
        events: DataFrame | None = None,
    ) -> dict[str, list[Any]]:
        """What the code under test gives: user to rows, by rank."""
        vector = T.StructType(
            [
                T.StructField("item_id", T.StringType()),
                T.StructField("factors", T.ArrayType(T.FloatType())),
            ]
        )
        near = [(j, i, s) for (j, i), s in self.neighbours.items()]
        frame = make_slates(
            self.event_frame(spark) if events is None else events,
            spark.createDataFrame([(u,) for u in self.users], "user_id string"),
            spark.createDataFrame(
                [(i, title, ok) for i, (title, ok) in self.items.items()],
                "item_id string, title string, eligible boolean",
            ),
            spark.createDataFrame(list(self.popular.items()), "item_id string, score double"),
            AS_OF,
            recommend,
            train or Train(),
            repeat=repeat,
            neighbours=spark.createDataFrame(
                near, "item_id string, neighbour_id string, similarity double"
            )
            if near
            else None,
            item_factors=spark.createDataFrame(list(self.factors.items()), vector)
            if self.factors
            else None,
            model_version="v1",
        )
        found: dict[str, list[Any]] = defaultdict(list)
        for row in sorted(frame.collect(), key=lambda r: (r["user_id"], r["rank"])):
            found[row["user_id"]].append(row)
        return dict(found)


def random_world(seed: int, users: int = 8, items: int = 14, events: int = 70) -> SmallWorld:
    """A world with cold users, disliked and unavailable items, ties and titleless items."""
    dice = random.Random(seed)
    user_ids = [f"u{k}" for k in range(users)] + ["cold"]
    item_ids = [f"i{k}" for k in range(items)]
    known = [i for i in item_ids if dice.random() < 0.8]
    return SmallWorld(
        users=user_ids,
        items={
            i: (f"Title {i}" if dice.random() < 0.7 else None, dice.random() < 0.85)
            for i in item_ids
        },
        events=[
            (
                dice.choice(user_ids[:-1]),
                dice.choice([*item_ids, None]),
                dice.uniform(0.001, 60.0),
                dice.choice([1.0, 1.0, 2.0, 0.5, -1.5, 0.0]),
            )
            for _ in range(events)
        ],
        popular={i: float(dice.randint(-1, 4)) for i in known},
        neighbours={
            (j, i): round(dice.uniform(0.01, 1.0), 4)
            for j in known
            for i in dice.sample(item_ids, 4)
            if i != j
        },
        # Multiples of 1/64 are the same in single precision.
        factors={i: [dice.randint(-64, 96) / 64 for _ in range(3)] for i in known},
    )


@dataclass
class Past:
    """A user's sums on one item."""

    history: float = 0.0
    profile: float = 0.0
    confidence: float = 0.0
    net: float = 0.0
    n: int = 0


def pasts(world: SmallWorld, recommend: Recommend, train: Train) -> dict[str, dict[str, Past]]:
    found: dict[str, dict[str, Past]] = {user: {} for user in world.users}
    for user, item, age, weight in world.events:
        if item is None or user not in found:
            continue
        past = found[user].setdefault(item, Past())
        past.history += weight * 2 ** (-age * DAY / recommend.history_half_life)
        past.profile += weight * 2 ** (-age * DAY / recommend.neighbours.profile_half_life)
        past.confidence += weight * 2 ** (-age * DAY / train.half_life)
        past.net += weight
        past.n += weight > 0
    return found


def oracle(
    world: SmallWorld, recommend: Recommend, train: Train, repeat: bool
) -> dict[str, dict[str, dict[str, float]]]:
    """user to item to the part of its score from each source, of all that may be recommended."""
    slates = {}
    for user, past in pasts(world, recommend, train).items():
        disliked = {i for i, p in past.items() if p.net < -1e-9 or p.history < -1e-9}
        allowed = [
            i
            for i, (_, ok) in world.items.items()
            if ok and i not in disliked and (repeat or i not in past)
        ]
        liked = {i: p for i, p in past.items() if i not in disliked and p.n > 0}
        raw: dict[str, dict[str, float]] = {
            "history": {
                i: max(0.0, past[i].history) if repeat and i in past else 0.0 for i in allowed
            },
            "neighbours": {
                i: sum(
                    world.neighbours.get((j, i), 0.0) * max(0.0, p.profile)
                    for j, p in liked.items()
                )
                for i in allowed
            },
            "als": {
                i: sum(parts.values())
                for i, parts in als_parts(world, liked, allowed, train).items()
            },
            "popularity": {i: max(0.0, world.popular.get(i, 0.0)) for i in allowed},
        }
        slates[user] = {i: {} for i in allowed}
        for source, scores in raw.items():
            blend = getattr(recommend.blend, source)
            highest = max(scores.values(), default=0.0)
            for i in allowed:
                scaled = max(0.0, scores[i]) / highest if highest > 0 else 0.0
                slates[user][i][source] = blend * scaled
    return slates


def als_parts(
    world: SmallWorld, liked: dict[str, Past], allowed: list[str], train: Train
) -> dict[str, dict[str, float]]:
    """item to past item to what that past item adds to the item's raw score."""
    rated = {
        i: p.confidence
        for i, p in liked.items()
        if i in world.factors and p.confidence >= train.floor
    }
    parts: dict[str, dict[str, float]] = {i: {} for i in allowed}
    y = {i: np.array(v) for i, v in world.factors.items()}
    if not rated:
        return parts
    matrix = sum(np.outer(v, v) for v in y.values())
    matrix = matrix + train.regularization * len(rated) * np.eye(len(matrix))
    matrix = matrix + sum(train.alpha * r * np.outer(y[i], y[i]) for i, r in rated.items())
    inverse = np.linalg.inv(matrix)
    for i in set(allowed) & set(y):
        parts[i] = {
            j: float(y[i] @ inverse @ y[j] * (1 + train.alpha * r)) for j, r in rated.items()
        }
    return parts
