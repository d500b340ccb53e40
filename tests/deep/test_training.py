"""Trainings: the same to the bit, gone on with after a kill, in two processes as in one."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

torch = pytest.importorskip("torch", reason="the extra deep isn't installed")

from ebb.progress import Progress
from ebb.sequences import training
from ebb.sequences.asked import Asked
from ebb.sequences.batches import Rows
from ebb.sequences.fit import Desk, FittedNetwork, fit_network
from ebb.sequences.foresee import foresee
from ebb.sequences.model import Model
from ebb.sequences.rows import sequence_rows
from ebb.sequences.settings import Sequences
from models.lines import AS_OF

DAY = timedelta(days=1)
SCHEMA = (
    "event_id string, user_id string, item_id string, event_type string, event_ts timestamp, "
    "weight double"
)
SMALL = Sequences(
    dimension=16, layers=1, length=16, history=32, objective="next", epochs=3, patience=3, batch=8,
    rate=0.02, dropout=0.0, l2=0.0, held_out=0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def ring(spark: SparkSession) -> DataFrame:
    """Forty people who go round ten items in order, each from a place of their own."""
    return ring_of(spark)


def ring_of(spark: SparkSession, *later: tuple[str, str, timedelta]) -> DataFrame:
    """The same; later: (user, item, how long after as_of)."""
    draw, rows = random.Random(1), []
    for user in range(40):
        first = draw.randrange(10)
        rows += [
            (f"e{user}-{n:02}", f"u{user}", f"i{(first + n) % 10}", "view",
             AS_OF - (24 - n) * DAY / 4, 1.0)
            for n in range(24)
        ]  # fmt: skip
    rows += [(f"l{n}", u, i, "view", AS_OF + after, 1.0) for n, (u, i, after) in enumerate(later)]
    return spark.createDataFrame(rows, SCHEMA).cache()


def fit(events: DataFrame, folder: Path, **changed: object) -> FittedNetwork:
    settings = SMALL.model_copy(update=changed)
    desk = Desk(folder.as_uri(), "v", Progress(terminal=False))
    found = fit_network(events, AS_OF, DAY, settings, desk)
    assert found is not None
    return found


def hit_rate(found: FittedNetwork, events: DataFrame) -> float:
    """Of how many users the item that comes next in the ring is the one foreseen most."""
    model = Model.of(found.raw)
    table = sequence_rows(events, model.vocabulary, AS_OF, 16, 16).toArrow()
    rows, hits = Rows.of(table), 0
    vectors = np.stack(model.item_vectors().column("factors").to_pylist())
    for row in range(len(rows)):
        state, items, again = foresee(model, rows, row)
        chances = np.exp(vectors @ state)
        chances[items - 1] += again
        assert chances.sum() == pytest.approx(1.0, abs=1e-4)
        last = int(rows.items[rows.starts[row + 1] - 1])
        hits += int(np.argmax(chances)) + 1 == last % 10 + 1
    return hits / len(rows)


@pytest.mark.parametrize("kind", ["transformer", "gru", "lstm", "bilstm"])
def test_every_kind_learns_what_follows_what(ring, tmp_path, kind) -> None:
    found = fit(ring, tmp_path, kind=kind, epochs=25 if kind == "bilstm" else 8, patience=9)
    assert hit_rate(found, ring) > 0.9
    assert found.metrics["items"] == 10 and found.metrics["rows_read_0"] > 50
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_network_to_the_bit_whatever_the_partitions(
    ring, tmp_path
) -> None:
    one, again = fit(ring, tmp_path), fit(ring.repartition(7), tmp_path)
    assert (one.curve, one.version) == (again.curve, again.version)
    assert fit(ring, tmp_path, seed=8).curve != one.curve


def test_nothing_from_as_of_on_reaches_a_network(spark, ring, tmp_path) -> None:
    later = ring_of(spark, ("u1", "i3", timedelta(0)), ("new", "unheard", DAY))
    known = later.where(later["event_ts"] < AS_OF)
    assert fit(known, tmp_path).version == fit(ring, tmp_path).version


def test_a_training_that_was_killed_goes_on_and_comes_to_the_same(
    ring, tmp_path, monkeypatch, capsys
) -> None:
    whole = fit(ring, tmp_path / "whole")
    learn, begun = training._Training._learn_epoch, []

    def killed_in_the_second(self: training._Training) -> float:
        begun.append(self._status.epoch)
        if begun == [1, 2]:
            raise KeyboardInterrupt
        return learn(self)

    monkeypatch.setattr(training._Training, "_learn_epoch", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit(ring, tmp_path / "killed")
    found = fit(ring, tmp_path / "killed")
    assert begun == [1, 2, 2, 3]
    assert (found.curve, found.version) == (whole.curve, whole.version)
    told = capsys.readouterr().err
    assert told.count("epoch 1 of 3: loss") == 2 and "of people held out" in told


def test_two_processes_read_all_rows_once_and_come_near_what_one_does(ring, tmp_path) -> None:
    # Each with its own draws, so that epochs differ: at the end they have learned the same.
    one = fit(ring, tmp_path, epochs=8, patience=8)
    two = fit(ring, tmp_path, epochs=8, patience=8, workers=2)
    read = [two.metrics[f"rows_read_{rank}"] for rank in range(2)]
    assert min(read) > 0 and sum(read) == one.metrics["rows_read_0"]
    assert two.curve[-1][0] == pytest.approx(one.curve[-1][0], abs=0.3)
    assert hit_rate(two, ring) > 0.9


def test_what_is_foreseen_of_a_user_is_the_same_in_any_company(spark, ring, tmp_path) -> None:
    found = fit(ring, tmp_path, epochs=1)
    ids = Model.of(found.raw).vocabulary.items.to_pylist()
    # The catalogue lacks an item, and has one that the network doesn't know.
    asked = Asked.of(spark, found.raw, pa.chunked_array([["a", *ids[1:]]]))
    whole = {row["user_id"]: row for row in asked.foreseen(ring, AS_OF).collect()}
    few = ring.where("user_id IN ('u3', 'u7')").repartition(3)
    some = {row["user_id"]: row for row in asked.foreseen(few, AS_OF).collect()}
    assert len(whole) == 40 and some == {user: whole[user] for user in ("u3", "u7")}
    for row in whole.values():
        assert row["again_items"] == sorted(row["again_items"]) and 0 not in row["again_items"]
        assert len(row["state"]) == SMALL.dimension + 2
