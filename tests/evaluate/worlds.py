"""Small worlds of slates, labels and facts, and what the pure functions say of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession

from ebb.evaluate import beyond_accuracy as beyond
from ebb.evaluate import metrics
from ebb.evaluate.facts import Facts, audience_overlaps, item_users

SLATES = "model string, user_id string, rank int, item_id string"
PAIRS = "user_id string, item_id string"


@dataclass
class World:
    """slates: model to user to items, best first. had: who had what before; the users known."""

    slates: Mapping[str, Mapping[str, Sequence[str]]]
    labels: Mapping[str, set[str]]
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    had: Mapping[str, set[str]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    popular: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def audiences(self) -> dict[str, set[str]]:
        items = {item for own in self.had.values() for item in own}
        return {i: {u for u, own in self.had.items() if i in own} for i in items}


def slates_in(spark: SparkSession, world: World) -> DataFrame:
    rows = [
        (model, user, rank, item)
        for model, lists in world.slates.items()
        for user, slate in lists.items()
        for rank, item in enumerate(slate, start=1)
    ]
    return spark.createDataFrame(rows, SLATES)


def pairs_in(spark: SparkSession, of_users: Mapping[str, set[str]]) -> DataFrame:
    rows = [(user, item) for user, items in of_users.items() for item in sorted(items)]
    return spark.createDataFrame(rows, PAIRS)


def facts_in(spark: SparkSession, world: World) -> Facts:
    had = pairs_in(spark, world.had)
    shares = [(u, c, s) for u, own in world.shares.items() for c, s in own.items()]
    popular = [(u, r, i) for u, own in world.popular.items() for r, i in enumerate(own, start=1)]
    categories = [(item, list(own)) for item, own in world.categories.items()]
    return Facts(
        categories=spark.createDataFrame(categories, "item_id string, categories array<string>"),
        popularity=item_users(had),
        known_users=len(world.had),
        shares=spark.createDataFrame(shares, "user_id string, category string, share double"),
        popular=spark.createDataFrame(popular, "user_id string, rank int, item_id string"),
        overlaps=audience_overlaps(had, slates_in(spark, world)),
    )


def expected(world: World, model: str, user: str, k: int) -> dict[str, float | None]:
    """What the pure functions give for one user of one model."""
    slate, labels = world.slates[model].get(user, []), world.labels[user]
    users = {item: len(audience) for item, audience in world.audiences.items()}
    figures = {name: f(slate, labels, k) for name, f in ACCURACY.items()}
    figures |= {
        "serendipity": beyond.serendipity(slate, labels, world.popular.get(user, []), k),
        "novelty": beyond.novelty(slate, users, len(world.had), k),
        "category_diversity": beyond.diversity(slate, world.categories, k),
        "audience_diversity": beyond.diversity(slate, world.audiences, k),
        "calibration": beyond.calibration(slate, world.categories, world.shares.get(user, {}), k),
    }
    return {f"{name}@{k}": value for name, value in figures.items()}


def random_world(seed: int, users: int = 12, items: int = 15) -> World:
    """Users without a slate, slates of users without labels, items without anything."""
    draw = random.Random(seed)
    ids, names = [f"i{k:02}" for k in range(items)], [f"u{k:02}" for k in range(users)]

    def some(of: Sequence[str], least: int, most: int) -> list[str]:
        return draw.sample(of, draw.randint(least, most))

    def lists() -> dict[str, list[str]]:
        return {user: some(ids, 0, 8) for user in some(names, 1, users)}

    return World(
        slates={"one": lists(), "two": lists()},
        labels={user: set(some(ids, 1, 7)) for user in some(names, 1, users)},
        categories={item: some("abcd", 0, 3) for item in some(ids, 1, items)},
        had={user: set(some(ids[: items - 3], 1, 6)) for user in names},
        shares={user: {c: draw.random() for c in some("abcde", 0, 4)} for user in names},
        popular={user: some(ids, 3, 8) for user in some(names, 1, users)},
    )


ACCURACY: dict[str, Callable[[Sequence[str], set[str], int], float]] = {
    "recall": metrics.recall,
    "precision": metrics.precision,
    "ndcg": metrics.ndcg,
    "map": metrics.average_precision,
    "hit_rate": metrics.hit_rate,
    "mrr": metrics.mrr,
}
