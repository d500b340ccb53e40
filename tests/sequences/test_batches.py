"""Batches against what a plain reading of their definition gives."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.sequences.batches import (
    RowGroup,
    Rows,
    Share,
    judging_batch,
    learning_batch,
    shares_of,
)
from ebb.sequences.settings import Sequences

WINDOW = 2.0
# Whole days, so that instants meet.
DAYS = st.lists(st.integers(-6, -1), min_size=2, max_size=7).map(sorted)


def rows_of(days: list[list[int]]) -> Rows:
    """Sequences with events at these days, of items 1, 2, 3, … and types 1, 2, 1, …"""
    return Rows.of(table_of(days))


def table_of(days: list[list[int]]) -> pa.Table:
    return pa.table(
        {
            "part": pa.array([0] * len(days), pa.int32()),
            "items": pa.array([list(range(1, len(own) + 1)) for own in days], pa.list_(pa.int32())),
            "types": pa.array([[1 + n % 2 for n in range(len(own))] for own in days]),
            "days": pa.array(days, pa.list_(pa.float64())),
        }
    )


@hypothesis.settings(deadline=None)
@given(st.lists(DAYS, min_size=1, max_size=4), st.integers(0, 99))
def test_labels_come_from_the_window_that_begins_between_an_event_and_the_next(days, seed) -> None:
    rows, settings = rows_of(days), Sequences(objective="window", labels=3)
    dice = np.random.default_rng(seed)
    batch = learning_batch(rows, np.arange(len(days)), dice, settings, WINDOW)
    assert batch.labels.shape == (len(days), max(map(len, days)), 3)
    for row, own in enumerate(days):
        assert batch.items[row, : len(own)].tolist() == list(range(1, len(own) + 1))
        assert not batch.items[row, len(own) :].any() and not batch.labels[row, len(own) :].any()
        for place, day in enumerate(own):
            following = own[place + 1 :]
            at = batch.at[row, place]
            assert day <= at <= (following[0] if following else day)
            then = {place + 2 + n for n, later in enumerate(following) if later < at + WINDOW}
            labels = set(batch.labels[row, place].tolist())
            assert labels <= then if then else labels == {0}


def test_an_item_of_a_window_is_as_likely_a_label_however_often_it_is_taken() -> None:
    days = [-9.0, *np.linspace(-1.9, -1.0, 9)]
    rows = Rows(
        np.array([0, 10]), np.array([3, 1, 2, 1, 1, 1, 1, 1, 1, 1]), np.ones(10, dtype=np.int64),
        np.array(days), np.zeros(1, dtype=np.int64),
    )  # fmt: skip
    # Asked at the second event's instant, or before: both are in the window.
    dice, settings = np.random.default_rng(1), Sequences(labels=2_000)
    labels = learning_batch(rows, np.arange(1), dice, settings, 99.0).labels[0, 0]
    assert 0.45 < np.mean(labels == 1) < 0.55 and 0.45 < np.mean(labels == 2) < 0.55


@hypothesis.settings(deadline=None)
@given(DAYS, st.integers(0, 99))
def test_the_next_item_alone_is_the_label_where_that_is_the_objective(days, seed) -> None:
    dice, settings = np.random.default_rng(seed), Sequences(objective="next")
    batch = learning_batch(rows_of([days]), np.arange(1), dice, settings, WINDOW)
    assert batch.labels[0, :, 0].tolist() == [*range(2, len(days) + 1), 0]


@hypothesis.settings(deadline=None)
@given(DAYS, st.integers(0, 99))
def test_who_reads_both_ways_is_asked_at_the_end_of_a_part_of_the_past_alone(days, seed) -> None:
    settings = Sequences(kind="bilstm", objective="next")
    batch = learning_batch(
        rows_of([days]), np.arange(1), np.random.default_rng(seed), settings, WINDOW
    )
    seen = int((batch.items[0] > 0).sum())
    assert 1 <= seen < len(days)
    assert batch.items[0, :seen].tolist() == list(range(1, seen + 1))
    labels = batch.labels[0, :, 0]
    assert np.flatnonzero(labels).tolist() == [seen - 1] and labels[seen - 1] == seen + 1


def test_people_held_out_are_judged_by_what_they_took_in_the_last_window() -> None:
    rows = rows_of([[-5, -3, -2, -1], [-5, -4, -3], [-2, -1, -1]])
    batch = judging_batch(rows, np.arange(3), Sequences(), WINDOW)
    assert batch.items.tolist() == [[1, 2, 0, 0], [1, 2, 3, 0], [0, 0, 0, 0]]
    assert batch.at[0, 1] == -WINDOW
    assert {one for one in batch.labels[0, 1].tolist() if one} == {3, 4}
    assert not batch.labels[1:].any() and not batch.labels[0, 0].any()
    following = judging_batch(rows, np.arange(3), Sequences(objective="next"), WINDOW)
    assert following.labels[0, :, 0].tolist() == [0, 3, 0, 0]


def test_shares_are_disjoint_complete_and_about_alike() -> None:
    groups = [RowGroup(Path("a"), number, rows) for number, rows in enumerate([5, 9, 1, 7, 3])]
    shares = shares_of(groups, 2)
    assert sorted(g.number for own in shares for g in own) == [0, 1, 2, 3, 4]
    assert [sum(group.rows for group in own) for own in shares] == [13, 12]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_process_takes_as_many_steps_and_together_they_meet_all_rows(tmp_path, ranks) -> None:
    starts = [0, 7, 12, 13]
    for file, (first, last) in enumerate(pairwise(starts)):
        # The first event's day names the row.
        own = table_of([[-100 - row, -1] for row in range(first, last)])
        pq.write_table(own, tmp_path / f"{file}.parquet")
    met, steps = [], []
    for rank in range(ranks):
        share = Share.of(tmp_path, rank, ranks)
        batches = list(share.epoch(2, np.random.default_rng(rank)))
        steps.append(len(batches))
        found = {-100 - rows.days[rows.starts[row]] for rows, own in batches for row in own}
        once = [-100 - rows.days[rows.starts[row]] for rows, own in share.once(2) for row in own]
        assert found == set(once) and len(once) == share.rows
        met.append(found)
    assert len(set(steps)) == 1 and steps[0] == Share.of(tmp_path, 0, ranks).steps(2)
    assert sum(map(len, met)) == 13 and set.union(*met) == set(range(13))
