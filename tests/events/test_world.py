"""The demo world's files and tables: complete, readable, and the same bytes for the same seed."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ebb.config import World
from ebb.errors import RunError
from ebb.events import world as world_module
from ebb.events.world import make_world, shards, world_exists
from ebb.events.world_clock import DAY, instant
from ebb.events.world_lines import event_lines
from ebb.events.world_truth import WORLD_ITEMS, WORLD_USERS
from ebb.events.world_users import people
from ebb.tables import Tables


def a_world(landing: Path, **changes: object) -> World:
    size = {"users": 60, "items": 40, "categories": 4, "days": 8, **changes}
    return World.model_validate({"landing": str(landing), **size})


def digests(landing: Path) -> dict[str, str]:
    return {
        str(path.relative_to(landing)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(landing.rglob("*.gz"))
    }


def lines_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


@pytest.fixture(scope="module")
def landing(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(spark, a_world(folder / "landing"), Tables(spark, str(folder / "root")))
    return folder / "landing"


def test_files_are_named_by_day_of_arrival_and_hold_every_line_in_order(landing: Path) -> None:
    files = sorted((landing / "events").glob("*.gz"))
    assert [path.name for path in files] == [f"2026-01-0{d}.jsonl.gz" for d in range(1, 9)]
    written = event_lines(a_world(landing), np.arange(60))
    expected = sorted(zip(written.arrived.tolist(), written.line, strict=True))
    days = [
        [line for arrived, line in expected if arrived // DAY == 20_454 + number]
        for number in range(8)
    ]  # 2026-01-01 is day 20,454
    assert [lines_of(path) for path in files] == days


def test_only_finished_files_are_left(landing: Path) -> None:
    assert sorted(path.name for path in landing.iterdir()) == ["events", "items", "users"]
    assert (landing / "items/items.jsonl.gz").exists()
    assert (landing / "users/users.jsonl.gz").exists()


def test_the_users_file_holds_everybody_in_order(landing: Path) -> None:
    users = [json.loads(line) for line in lines_of(landing / "users/users.jsonl.gz")]
    assert [user["user_id"] for user in users] == [f"u{n:06d}" for n in range(60)]
    assert set(users[0]) == {"user_id", "country", "segment", "joined_at"}


def test_spark_reads_the_files_and_each_time(spark: SparkSession, landing: Path) -> None:
    rows = spark.read.json(str(landing / "events"))
    assert {"user_id", "item_id", "event_type", "ts", "value", "query", "device"} <= set(
        rows.columns
    )
    users = spark.read.json(str(landing / "users"))
    assert users.where(F.to_timestamp("joined_at").isNull()).isEmpty()


def test_the_truth_tables_hold_what_the_draws_used(spark: SparkSession, landing: Path) -> None:
    tables = Tables(spark, str(landing.parent / "root"))
    users = tables.read(WORLD_USERS).orderBy("user_id").collect()
    group = people(a_world(landing), np.arange(60))
    assert [user.half_life_days for user in users] == group.half_life.tolist()
    assert [user.mu for user in users] == group.mu.tolist()
    paths = ["Music > Jazz", "Outdoor > Hiking", "Kitchen > Baking", "Books > Crime"]
    assert users[7].floors == dict(zip(paths, group.floors[7].tolist(), strict=True))
    late = users[int(np.argmax(group.active))].active_from.astimezone(UTC)
    assert late == instant(int(group.active.max()))
    items = tables.read(WORLD_ITEMS)
    assert items.count() == 40
    assert 0 < items.where("died_at is not null").count() < 20
    assert items.where("died_at <= born_at").isEmpty()
    assert tables.history(WORLD_USERS, 1)[0].stamp.step == "world"


def test_the_same_seed_gives_the_same_bytes_in_any_cut(
    spark: SparkSession, landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "_USERS_A_TASK", 7)  # nine tasks where there was one a core
    monkeypatch.setattr(world_module, "_EVENTS_A_BATCH", 1)
    before = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "3")
    try:
        make_world(spark, a_world(tmp_path / "again"), None)
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", before)
    assert digests(tmp_path / "again") == digests(landing)
    assert len(digests(landing)) == 10


def test_a_big_world_has_several_files_a_day(
    spark: SparkSession, landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "EVENTS_A_FILE", 50)  # 60 users * 1.5 events a day
    world = a_world(tmp_path / "shards")
    assert shards(world) == 2
    make_world(spark, world, None)
    names = sorted(path.name for path in (tmp_path / "shards/events").glob("*.gz"))
    assert names[:2] == ["2026-01-01-00.jsonl.gz", "2026-01-01-01.jsonl.gz"]
    both = [line for n in names[:2] for line in lines_of(tmp_path / "shards/events" / n)]
    assert sorted(both) == sorted(lines_of(landing / "events/2026-01-01.jsonl.gz"))


def test_another_seed_gives_other_bytes(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    make_world(spark, a_world(tmp_path / "other", seed=8, users=10), None)
    assert not set(digests(tmp_path / "other").values()) & set(digests(landing).values())


def test_a_world_exists_once_its_events_are_there(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    assert world_exists(spark, str(landing))
    assert world_exists(spark, f"{landing.as_uri()}/")
    assert not world_exists(spark, str(tmp_path / "nowhere"))
    (tmp_path / "empty/events").mkdir(parents=True)
    (tmp_path / "empty/events/_hidden").touch()
    assert not world_exists(spark, str(tmp_path / "empty"))


def test_events_that_are_there_are_never_overwritten(spark: SparkSession, landing: Path) -> None:
    before = digests(landing)
    with pytest.raises(RunError, match="holds events already"):
        make_world(spark, a_world(landing, seed=9), None)
    assert digests(landing) == before


def test_what_a_killed_run_left_behind_does_not_matter(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    (tmp_path / "l/_making/events").mkdir(parents=True)
    (tmp_path / "l/_making/events/1999-01-01.jsonl.gz").write_bytes(b"half a file")
    (tmp_path / "l/events").mkdir()
    (tmp_path / "l/users").mkdir()
    (tmp_path / "l/users/users.jsonl.gz").write_bytes(b"old")
    make_world(spark, a_world(tmp_path / "l"), None)
    assert digests(tmp_path / "l") == digests(landing)
