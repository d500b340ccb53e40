"""Upkeep: what it cuts, puts together and removes, and that no night looks otherwise after it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ebb import maintain as upkeep
from ebb import night as boxes
from ebb.config import Keep
from ebb.config_file import load_config
from ebb.context import Night
from ebb.errors import ConfigError
from ebb.events.ingest import events_epoch
from ebb.interests.reader import interests_at
from ebb.interests.setup import latest
from ebb.interests.slots import USER_BUCKETS
from ebb.progress import Progress
from ebb.schema import ALL, EVENTS, HOT_LIST, INTEREST_STATE, RUNS
from ebb.tables import Stamp, Tables
from small import Shop, line

NIGHT = datetime(2026, 1, 10, tzinfo=UTC)
DAY = timedelta(days=1)
EIGHT_DAYS = 8 * 86_400.0  # seconds


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(terminal=False)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def night(shop: Shop, as_of: datetime = NIGHT, tables: Tables | None = None, **more: Any) -> Night:
    config = shop.config(maintain=more, interests={"now": False})
    own = tables or shop.tables
    return Night(own.spark, own, config, as_of, Said(), "maintain", "run")


def write_hot_list(tables: Tables, as_of: datetime, *items: str) -> None:
    rows = [(as_of, "all", rank, item, 1.0, 1) for rank, item in enumerate(items, start=1)]
    frame = tables.spark.createDataFrame(rows, HOT_LIST.schema).coalesce(1)
    tables.write_slice(HOT_LIST, frame, Stamp("hot list", as_of, "c"))


def seen_at(day: str, user: str, number: int, text: str | None) -> dict[str, Any]:
    """An event as ingest number `number` would have written it."""
    at = datetime.fromisoformat(f"2026-{day}T00:00:00Z")
    same = {"item_id": "a", "event_type": "view", "weight": 1.0, "source": "s", "batch_id": "b"}
    own = {"event_id": str(number), "user_id": user, "batch": number, "text": text}
    bucket = zlib.crc32(user.encode()) % USER_BUCKETS
    return {**same, **own, "user_bucket": bucket, "event_ts": at, "ingested_at": at}


def parquet(tables: Tables, table: Any = HOT_LIST) -> list[Path]:
    return sorted(Path(tables.path(table)).rglob("*.parquet"))


def versions(tables: Tables) -> dict[str, int]:
    return {t.name: tables.history(t, 1)[0].version for t in ALL if tables.exists(t)}


# ------------------------------------------------------------------------------ rows
def test_old_rows_are_cut_and_their_nights_stay_complete(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, ages = shop.tables, (30, 10, 0)
    nights = [NIGHT - age * DAY for age in ages]
    for as_of in nights:
        write_hot_list(tables, as_of, "a", "b")
    rows: list[tuple[Any, ...]] = [
        ("run", "ingest", "ingest", at, "done", at, 1.0, {}, "c", {}, None)
        for at in (nights[0], nights[2])
    ]
    runs = tables.spark.createDataFrame(rows, RUNS.schema).coalesce(1)
    tables.append(RUNS, runs, Stamp("log", NIGHT, ""))
    commits = [tables.commit_of(HOT_LIST, "hot list", as_of) for as_of in nights]
    changed = tables.version_before(HOT_LIST, NIGHT + DAY)
    keep = {"hot_list": "10d", "runs": "10d"}

    with monkeypatch.context() as patched:  # stopped in the middle of the first table
        patched.setattr(upkeep, "_vacuum", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upkeep.maintain(night(shop, keep=keep))
    upkeep.maintain(night(shop, keep=keep))
    assert {r[0].astimezone(UTC) for r in tables.read(HOT_LIST).select("as_of").collect()} == {
        NIGHT - 10 * DAY,  # of exactly that age: not older
        NIGHT,
    }
    said = {(r["step"], r["status"]): r for r in tables.read(RUNS).collect()}
    assert said.keys() == {
        ("ingest", "done"), ("maintain hot_list", "failed"), ("maintain runs", "done"),
    }  # fmt: skip
    assert said["ingest", "done"]["as_of"].astimezone(UTC) == NIGHT
    assert said["maintain runs", "done"]["rows"]["rows cut"] == 1
    assert [tables.commit_of(HOT_LIST, "hot list", as_of) for as_of in nights] == commits
    assert tables.version_before(HOT_LIST, NIGHT + DAY) == changed
    stamps = [commit.stamp for commit in tables.history(HOT_LIST)]
    assert [s.as_of for s in stamps if s and s.step == "maintain"] == [None]

    capsys.readouterr()
    before = versions(tables)
    # As after a forgotten --as-of: the table's own last night counts.
    upkeep.maintain(night(shop, NIGHT + 999 * DAY, keep={"hot_list": "10d"}))
    assert "Nothing to do" in capsys.readouterr().out
    assert versions(tables) == before


def test_every_table_that_is_sliced_or_a_log_can_be_cut_and_no_other() -> None:
    timed = {table.name for table in ALL if table.sliced} | upkeep._WRITTEN_AT.keys()
    assert set(Keep.model_fields) == timed
    columns = {table.name: table.schema.names for table in ALL}
    assert all(column in columns[name] for name, column in upkeep._WRITTEN_AT.items())


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("keep: {events: 30d}", "maintain.keep.events is not a setting, expected one of"),
        ("keep: {runs: soon}", 'maintain.keep.runs is "soon", expected a duration above zero'),
        ("vacuum_after: 6d", 'maintain.vacuum_after is "6d", expected at least 7d: readers go'),
    ],
)
def test_what_must_not_go_is_refused_by_its_key(
    tmp_path: Path, setting: str, sentence: str
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "root: tables\nevents: {sources: [{path: x, format: csv}], types: {view: {}}}\n"
        f"maintain: {{{setting}}}\n"
    )
    with pytest.raises(ConfigError, match=re.escape(f"line 3: {sentence}")):
        load_config(path)


# ----------------------------------------------------------------------------- files
def test_small_files_are_put_together_large_ones_stay_and_readings_too(shop: Shop) -> None:
    tables, spark = shop.tables, shop.tables.spark
    noise = random.Random(3).randbytes(2_000_000).hex()  # a file of about 2 MB
    for number in range(6):
        event = seen_at("01-05", f"u{number % 2}", number, text=noise if number == 1 else None)
        facts = {"earliest": "2026-01-05T00:00:00Z", "epoch": 0, "batch": number}
        rows = spark.createDataFrame([event], EVENTS.schema).coalesce(1)
        tables.append(EVENTS, rows, Stamp("ingest", None, "c", facts=facts))
    boxes.interests(night(shop))
    assert len(parquet(tables, EVENTS)) == 6
    large = max(parquet(tables, EVENTS), key=lambda path: path.stat().st_size)

    def seen() -> tuple[Any, ...]:
        rows = interests_at(tables, NIGHT).orderBy("user_id", "facet", "key").collect()
        stored = latest(tables.newest_first(INTEREST_STATE))
        return rows, stored, events_epoch(tables), tables.version_before(EVENTS, NIGHT)

    before = seen()
    spark.conf.set(upkeep._MIN_SIZE, "7")
    upkeep.maintain(night(shop, file_mb=2))
    assert spark.conf.get(upkeep._MIN_SIZE) == "7"
    spark.conf.unset(upkeep._MIN_SIZE)
    assert seen() == before
    now = {Path(name).name for name in tables.read(EVENTS).inputFiles()}
    assert len(now) == 2 and large.name in now
    newest = tables.history(EVENTS, 1)[0]
    assert newest.operation == "OPTIMIZE"
    assert newest.stamp is not None
    assert (newest.stamp.step, newest.stamp.as_of) == ("maintain", None)
    complete = night(shop)
    boxes.interests(complete)
    assert complete.progress.lines == ["interests … already complete"]  # type: ignore[attr-defined]
    shop.land("2.jsonl", [line("u1", "z", "view", "01-06 10:00")])
    boxes.ingest(night(shop))  # on top of the upkeep's version, and under a number above it
    (late,) = tables.read(EVENTS).where("item_id = 'z'").collect()
    assert late["batch"] == newest.version
    assert events_epoch(tables) == before[2]


def test_files_go_when_no_version_of_the_last_days_needs_them(shop: Shop, tmp_path: Path) -> None:
    first = shop.tables
    for item in "abc":
        write_hot_list(first, NIGHT, item)
    tables = Tables(first.spark, str(tmp_path / "later"))
    shutil.copytree(first.root, tables.root)  # for Delta keeps a log that it has read in mind
    folder = Path(tables.path(HOT_LIST))
    age_removals(folder / "_delta_log" / f"{2:020d}.json")
    (of_a,) = {path.name for path in replaced_by(folder, 2)}
    (of_b,) = {path.name for path in replaced_by(folder, 3)}
    (folder / "crashed.parquet").write_text("half of a table")
    for path in folder.rglob("*.parquet"):
        os.utime(path, (time.time() - EIGHT_DAYS,) * 2)
    (folder / "running.parquet").write_text("of a job that is at it")

    def left() -> set[str]:
        return {path.name for path in folder.rglob("*.parquet")}

    everything = left()
    upkeep.maintain(night(shop, tables=tables, vacuum_after="9d"))
    assert left() == everything
    upkeep.maintain(night(shop, tables=tables))
    assert everything - left() == {of_a, "crashed.parquet"}
    assert of_b in left()
    assert [r["item_id"] for r in tables.read(HOT_LIST).collect()] == ["c"]
    done = tables.commit_of(HOT_LIST, "hot list", NIGHT)
    assert done is not None and done.version == 3
    (run,) = tables.read(RUNS).collect()
    assert run["rows"] == {
        "rows cut": 0, "files before": 1, "files after": 1, "files removed": 2,
    }  # fmt: skip


def age_removals(commit: Path) -> None:
    """Have a commit say that it replaced its files eight days ago."""
    then = int((time.time() - EIGHT_DAYS) * 1000)
    text = re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{then}', commit.read_text())
    (commit.parent / f".{commit.name}.crc").unlink()
    commit.write_text(text)


def replaced_by(folder: Path, version: int) -> list[Path]:
    lines = (folder / "_delta_log" / f"{version:020d}.json").read_text().splitlines()
    actions = [json.loads(text) for text in lines]
    return [folder / action["remove"]["path"] for action in actions if "remove" in action]
