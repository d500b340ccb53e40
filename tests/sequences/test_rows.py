"""Sequences against a plain oracle."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from ebb.sequences.batches import Rows, row_groups
from ebb.sequences.fit import write_rows
from ebb.sequences.folder import Folder
from ebb.sequences.rows import Vocabulary, sequence_rows, takes_of
from ebb.sequences.settings import Sequences
from ebb.sequences.task import JUDGE, LEARN
from models.lines import AS_OF

SCHEMA = (
    "event_id string, user_id string, item_id string, event_type string, event_ts timestamp, "
    "weight double"
)
# (event, user, item or None, type, age in days, weight)
Event = tuple[str, str, str | None, str, float, float]


def frame(spark: SparkSession, events: list[Event]) -> DataFrame:
    rows = [(e, u, i, kind, AS_OF - timedelta(days=age), w) for e, u, i, kind, age, w in events]
    return spark.createDataFrame(rows, SCHEMA)


def random_events(seed: int, count: int = 120) -> list[Event]:
    """Equal instants, dislikes, itemless events and several types among them."""
    draw = random.Random(seed)
    return [
        (
            f"e{draw.random()}",
            f"u{draw.randrange(5)}",
            None if draw.random() < 0.1 else f"i{draw.randrange(6)}",
            draw.choice(["buy", "view"]),
            draw.choice([0.5, 2.0, 3.25, 9.0, 40.0, 41.0]),
            draw.choice([1.0, 2.0, 0.0, -1.0]),
        )
        for _ in range(count)
    ]


def oracle(events: list[Event], most: int, length: int, history: int):
    taken = [event for event in events if event[2] is not None and event[5] > 0]
    counts: dict[str, int] = defaultdict(int)
    for event in taken:
        counts[str(event[2])] += 1
    items = sorted(sorted(counts, key=lambda item: (-counts[item], item))[:most])
    types = sorted({event[3] for event in taken})
    found = {}
    for user in {event[1] for event in taken}:
        own = sorted((-age, e, i, kind) for e, u, i, kind, age, _ in taken if u == user)
        own = [one for one in own if one[2] in items][-history:]
        for part in range(-(-len(own) // length)):
            end = len(own) - part * length
            cut = own[max(0, end - length) : end]
            found[user, part] = (
                [1 + items.index(item) for _, _, item, _ in cut],
                [1 + types.index(kind) for _, _, _, kind in cut],
                [day for day, _, _, _ in cut],
            )
    return found


@pytest.mark.parametrize(("most", "length", "history"), [(6, 4, 9), (3, 2, 100)])
def test_sequences_are_the_latest_takes_in_order_whatever_the_partitions(
    spark, most, length, history
) -> None:
    events = random_events(most)
    for given in (frame(spark, events), frame(spark, events[::-1]).repartition(5)):
        vocabulary = Vocabulary.of(takes_of(given), most)
        rows = sequence_rows(given, vocabulary, AS_OF, length, history).collect()
        found = {(r["user_id"], r["part"]): (r["items"], r["types"], r["days"]) for r in rows}
        assert found == oracle(events, most, length, history)


def test_a_vocabulary_knows_how_often_its_items_were_taken(spark) -> None:
    events = [(f"e{n}", "u", item, "view", 1.0, 1.0) for n, item in enumerate("bbacc")]
    vocabulary = Vocabulary.of(takes_of(frame(spark, events)), 2)
    assert vocabulary.items.to_pylist() == ["b", "c"] and vocabulary.takes.tolist() == [2, 2]
    assert vocabulary.types == ("view",)
    nothing = Vocabulary.of(takes_of(frame(spark, [])), 2)
    assert len(nothing) == 0 and nothing.types == ()


def _days(rows: Rows) -> list[np.ndarray]:
    """Of each row."""
    return np.split(rows.days, rows.starts[1:-1]) if len(rows) else []


def test_of_people_held_out_all_but_their_last_window_is_learned_from(spark, tmp_path) -> None:
    people, ages = range(12), (5.5, 4.5, 3.5, 2.0, 1.5, 0.5)
    events = [(f"e{u}-{age}", f"u{u}", "i", "view", age, 1.0) for u in people for age in ages]
    given, window = frame(spark, events), timedelta(days=2)
    settings, folder = Sequences(held_out=0.4), Folder(spark, tmp_path.as_uri())
    write_rows(given, Vocabulary.of(given, 1), AS_OF, settings, window, folder)
    learn, judge = (
        [days.tolist() for group in row_groups(tmp_path / name) for days in _days(group.read())]
        for name in (LEARN, JUDGE)
    )
    assert 0 < len(judge) < 12 and all(days == [-age for age in ages] for days in judge)
    assert sorted(map(len, learn)) == [3] * len(judge) + [6] * (12 - len(judge))
    assert all(days == [-age for age in ages[: len(days)]] for days in learn)
