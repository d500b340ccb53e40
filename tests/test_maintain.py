"""Upkeep: what it cuts, puts together and removes, and that no night looks otherwise after it."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from ebb import maintain as upkeep
from ebb import night as boxes
from ebb.config import Keep
from ebb.config_file import load_config
from ebb.context import Night
from ebb.errors import ConfigError
from ebb.events.ingest import events_epoch
from ebb.interests.reader import interests_at
from ebb.interests.setup import latest
from ebb.progress import Progress
from ebb.schema import ALL, EVENTS, HOT_LIST, INTEREST_STATE, INTERESTS_NOW, RUNS
from ebb.tables import Stamp, Tables
from small import Shop, line

NIGHT = datetime(2026, 1, 10, tzinfo=UTC)
DAY = timedelta(days=1)


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
    config = shop.config(maintain=more)
    own = tables or shop.tables
    return Night(own.spark, own, config, as_of, Said(), "maintain", "run")


def write_hot_list(tables: Tables, as_of: datetime, *items: str) -> None:
    rows = [(as_of, "all", rank, item, 1.0, 1) for rank, item in enumerate(items, start=1)]
    frame = tables.spark.createDataFrame(rows, HOT_LIST.schema).coalesce(1)
    tables.write_slice(HOT_LIST, frame, Stamp("hot list", as_of, "c"))


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
    old, new = (
        ("run", "ingest", "ingest", at, "done", at, 1.0, {}, "c", {}, None) for at in nights[::2]
    )
    runs = tables.spark.createDataFrame([old, new], RUNS.schema)
    tables.append(RUNS, runs.coalesce(1), Stamp("log", NIGHT, ""))
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

    capsys.readouterr()
    before = versions(tables)
    again = night(shop, keep=keep)
    upkeep.maintain(again)
    assert "Nothing to do" in capsys.readouterr().out
    assert versions(tables) == before
    years_on = night(shop, NIGHT + 999 * DAY, keep={"hot_list": "10d"})
    upkeep.maintain(years_on)  # as after a forgotten --as-of
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
    users = [f"u{number}" for number in range(9)]
    shop.land("1.jsonl", [line(u, i, "view", "01-05 10:00") for u in users for i in "abc"])
    boxes.ingest(night(shop))
    template = tables.read(EVENTS).where("user_id = 'u1' AND item_id = 'a'")
    noise = random.Random(3).randbytes(2_000_000).hex()  # a file of about 2 MB
    for number in range(1, 6):
        row = template.withColumns(
            {
                "event_id": F.lit(str(number)),
                "batch": F.lit(number),
                "text": F.lit(noise if number == 1 else None),
            }
        )
        facts = {"earliest": "2026-01-05T10:00:00Z", "epoch": 0, "batch": number}
        tables.append(EVENTS, row, Stamp("ingest", None, "c", facts=facts))
    boxes.interests(night(shop))
    assert len(parquet(tables, EVENTS)) == 6
    large = max(parquet(tables, EVENTS), key=lambda path: path.stat().st_size)

    def seen() -> tuple[Any, ...]:
        rows = interests_at(tables, NIGHT).orderBy("user_id", "facet", "key").collect()
        return (
            rows,
            latest(tables.newest_first(INTEREST_STATE)),
            events_epoch(tables),
            tables.version_before(EVENTS, NIGHT),
            tables.history(INTERESTS_NOW, 1),
        )

    before = seen()
    spark.conf.set(upkeep._MIN_SIZE, "7")
    upkeep.maintain(night(shop, file_mb=2))
    assert spark.conf.get(upkeep._MIN_SIZE) == "7"
    spark.conf.unset(upkeep._MIN_SIZE)
    assert seen() == before
    now = {Path(name.removeprefix("file://")).name for name in tables.read(EVENTS).inputFiles()}
    assert len(now) == 2 and large.name in now
    newest = tables.history(EVENTS, 1)[0]
    assert newest.operation == "OPTIMIZE"
    assert newest.stamp == Stamp("maintain", None, newest.stamp.config, facts={"earliest": None})  # type: ignore[union-attr]
    complete = night(shop)
    boxes.interests(complete)
    said = complete.progress.lines  # type: ignore[attr-defined]
    assert said == ["interests … already complete", "interests now … already complete"]
    shop.land("2.jsonl", [line("u1", "z", "view", "01-06 10:00")])
    boxes.ingest(night(shop))  # on top of the upkeep's version, and under a number above it
    assert tables.read(EVENTS).where("item_id = 'z'").first()["batch"] == newest.version  # type: ignore[index]
    assert events_epoch(tables) == before[2]


def test_files_go_when_no_version_of_the_last_days_needs_them(shop: Shop, tmp_path: Path) -> None:
    tables = shop.tables
    write_hot_list(tables, NIGHT, "a")
    (replaced,) = parquet(tables)
    write_hot_list(tables, NIGHT, "b")
    folder = Path(tables.path(HOT_LIST))
    half_written, being_written = folder / "part-1.parquet", folder / "part-2.parquet"
    half_written.write_text("crashed")
    for path in parquet(tables):
        os.utime(path, (time.time() - 8 * 86_400,) * 2)
    being_written.write_text("by a job that runs now")
    upkeep.maintain(night(shop))
    assert not half_written.exists()
    assert replaced.exists() and being_written.exists()

    later = Tables(tables.spark, str(tmp_path / "later"))
    _eight_days_later(tables, later)
    copy = Path(later.path(HOT_LIST)) / replaced.relative_to(folder)
    upkeep.maintain(night(shop, tables=later, vacuum_after="9d"))
    assert copy.exists()
    upkeep.maintain(night(shop, tables=later))
    assert not copy.exists()
    assert [r["item_id"] for r in later.read(HOT_LIST).collect()] == ["b"]
    assert later.commit_of(HOT_LIST, "hot list", NIGHT) == tables.commit_of(
        HOT_LIST, "hot list", NIGHT
    )
    (run,) = later.read(RUNS).where("step = 'maintain hot_list'").collect()[-1:]
    assert run["rows"] == {
        "rows cut": 0, "files before": 1, "files after": 1, "files removed": 1,
    }  # fmt: skip


def _eight_days_later(tables: Tables, later: Tables) -> None:
    """The same table as if its files had been replaced eight days ago."""
    shutil.copytree(tables.path(HOT_LIST), later.path(HOT_LIST))
    log = Path(later.path(HOT_LIST)) / "_delta_log"
    for checksum in log.glob("*.crc"):
        checksum.unlink()
    for checksum in log.glob(".*.crc"):
        checksum.unlink()
    then = int((time.time() - 8 * 86_400) * 1000)
    for commit in log.glob("*.json"):
        text = re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{then}', commit.read_text())
        commit.write_text(text)
