"""A night with a network: trained, kept, asked, and never told what was to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra deep isn't installed")

from ebb.boxes.choose import choose_strategy
from ebb.boxes.sequences import network_of
from ebb.boxes.slates import recommend
from ebb.boxes.train import train
from ebb.boxes.windows import view_in
from ebb.context import Night
from ebb.evaluate.splits import Split
from ebb.hashes import short_hash
from ebb.progress import Progress
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import half_lives_for
from ebb.schema import (
    ITEM_FACTORS,
    MODELS,
    RECOMMENDATIONS,
    SEQUENCE_MODELS,
    USER_VECTORS,
    USERS,
)
from ebb.sequences.model import Model
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from small import Arriving, Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)
NETWORK = {"dimension": 8, "layers": 1, "length": 8, "history": 16, "epochs": 20, "batch": 4,
           "objective": "next", "rate": 0.03, "dropout": 0, "held_out": 0}  # fmt: skip


def round_trip(until: datetime) -> list[Arriving]:
    """Twelve people who go round six items in order, twice a day, for six days."""
    return [
        (f"u{user}", f"i{(user + n) % 6}", "view", until - (12 - n) * DAY / 2, None)
        for user in range(12)
        for n in range(12)
    ]


def night_of(tables: Tables, folder: Path) -> Night:
    config = Shop(tables, folder).config(
        recommend={"weights": {"sequence": 1.0}, "n": 2, "repeat": "allow"},
        train={"models": [], "sequences": NETWORK},
    )
    progress = Progress(terminal=False)
    return Night(tables.spark, tables, config, AS_OF, progress, "nightly", "run")


@pytest.fixture
def night(tables: Tables, tmp_path: Path) -> Night:
    arrive(tables, round_trip(AS_OF))
    users = [(f"u{user}", AS_OF - 9 * DAY, None) for user in range(12)]
    known = tables.spark.createDataFrame(users, USERS.schema)
    tables.append(USERS, known, Stamp("users", None, "c"))
    return night_of(tables, tmp_path / "landing")


def test_a_night_trains_a_network_keeps_it_and_slates_go_by_it(night: Night) -> None:
    log = RunLog(night)
    decision, _ = choose_strategy(night, log)
    assert decision.columns.models == ("sequence",)
    train(night, log, decision)
    recommend(night, log, decision)
    (kept,) = night.tables.read_slice(SEQUENCE_MODELS, AS_OF).collect()
    assert kept["kind"] == "transformer" and kept["version"] == short_hash(kept["network"])
    assert kept["metrics"]["items"] == 6 and kept["metrics"]["rows_read_0"] == 24
    assert network_of(night) == bytes(kept["network"])
    (entered,) = night.tables.read_slice(MODELS, AS_OF).collect()
    assert (entered["name"], entered["artefact"]) == ("sequence", "sequence_models")
    vectors = night.tables.read_slice(ITEM_FACTORS, AS_OF).orderBy("item_id").collect()
    model = Model.of(bytes(kept["network"]))
    assert [row["item_id"] for row in vectors] == model.vocabulary.items.to_pylist()
    assert {(row["model"], len(row["factors"])) for row in vectors} == {("sequence", 10)}
    # A user's vector times an item's is the log of what taste gives it; the pointer has the rest.
    tastes = np.stack([row["factors"] for row in vectors])
    users = night.tables.read_slice(USER_VECTORS, AS_OF).collect()
    assert sorted(row["user_id"] for row in users) == sorted(f"u{user}" for user in range(12))
    for row in users:
        assert row["model"] == "sequence" and len(row["factors"]) == 10
        assert 0 < np.exp(tastes @ np.array(row["factors"])).sum() < 1
    slates = night.tables.read_slice(RECOMMENDATIONS, AS_OF).where("rank = 1").collect()
    # Somebody's last event was their twelfth, on the item before their first.
    right = [row["item_id"] == f"i{int(row['user_id'][1:]) % 6}" for row in slates]
    assert len(right) == 12 and sum(right) >= 10
    assert {row["source"] for row in slates} <= {"sequence", "history"}


def test_what_comes_after_a_window_begins_changes_nothing_that_its_network_says(
    night: Night, tables: Tables, tmp_path: Path
) -> None:
    start = AS_OF - 2 * DAY
    lives = half_lives_for(6 * DAY, night.config.recommend.half_lives)
    columns = Columns(lives, (), ("sequence",), repeat=True)
    window = Split(start, AS_OF)
    before = view_in(night, columns, window, 99)
    other = Tables(tables.spark, str(tmp_path / "other"))
    events = [event for event in round_trip(AS_OF) if event[3] < start]
    later = [(f"u{user}", f"i{(user + 3) % 6}", "buy", start, 2.0) for user in range(12)]
    arrive(other, [*events, *later])
    after = view_in(night_of(other, tmp_path / "later"), columns, window, 99)
    assert before.users == after.users and before.places.tolist() == after.places.tolist()
    assert before.column("sequence").tolist() == after.column("sequence").tolist()
    assert len(set(before.column("sequence").tolist())) > 6
