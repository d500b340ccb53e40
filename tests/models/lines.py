"""A few lines of events for the models' tests."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = "user_id string, item_id string, event_type string, event_ts timestamp, weight double"
# (user, item or None, age in days, weight)
Line = tuple[str, str | None, float, float]


def frame(spark: SparkSession, lines: list[Line]) -> DataFrame:
    rows = [(u, i, "view", AS_OF - timedelta(days=age), w) for u, i, age, w in lines]
    return spark.createDataFrame(rows, SCHEMA)


def random_lines(seed: int, users: int, items: int, count: int) -> list[Line]:
    """Repeats, dislikes, itemless events and equal instants among them."""
    draw = random.Random(seed)
    return [
        (
            f"u{draw.randrange(users)}",
            None if draw.random() < 0.03 else f"i{int(draw.paretovariate(0.7)) % items}",
            draw.choice([0.5, 3.0, 3.0, 10.25, 40.0, 100.0]),
            draw.choice([1.0, 1.0, 2.5, -1.5]),
        )
        for _ in range(count)
    ]


def shuffled(lines: list[Line]) -> list[Line]:
    return random.Random(9).sample(lines, len(lines))
