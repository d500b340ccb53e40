"""Taking events in: every row is somewhere, each event once, bad rows with every reason."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from ebb.config import Config
from ebb.errors import RunError
from ebb.events.identity import CONFLICT
from ebb.events.ingest import Batch, Intake, ingest_events
from ebb.events.reading import parse_time
from ebb.schema import EVENTS, FILES, QUARANTINE, USERS
from ebb.sources import Timestamps
from ebb.tables import Tables
from small import Shop, line

MORNING = [
    line("u1", "a", "view", "01-05 10:00"),
    line("u1", "a", "buy", "01-05 10:01", value=2),
    line("u2", None, "search", "01-05 11:00", text="jazz"),
]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


def counts(intake: Intake) -> tuple[int, int, int, int]:
    return intake.read, intake.inserted, intake.repeated, intake.quarantined


def test_every_row_is_inserted_repeated_or_quarantined(shop: Shop) -> None:
    shop.land("1.jsonl", [*MORNING, "{broken", line(None, "a", "view", "01-05 12:00")])
    intake = ingest_events(shop.tables, shop.config())
    assert counts(intake) == (5, 3, 0, 2)
    assert intake.reasons == {"line does not parse": 1, "missing user_id": 1}
    stored = {
        (r["user_id"], r["item_id"], r["event_type"]): r for r in shop.tables.read(EVENTS).collect()
    }
    assert stored.keys() == {("u1", "a", "view"), ("u1", "a", "buy"), ("u2", None, "search")}
    assert stored["u1", "a", "buy"]["weight"] == pytest.approx(2 * 1.0986122886681098)
    assert stored["u2", None, "search"]["text"] == "jazz"
    users = {r["user_id"]: r["first_seen"] for r in shop.tables.read(USERS).collect()}
    assert users["u1"].astimezone(UTC) == datetime(2026, 1, 5, 10, tzinfo=UTC)


def test_a_second_run_finds_nothing_new(shop: Shop) -> None:
    shop.land("1.jsonl", MORNING)
    config = shop.config()
    ingest_events(shop.tables, config)
    version = shop.tables.history(EVENTS)[0].version
    assert ingest_events(shop.tables, config) == Intake()
    assert shop.tables.history(EVENTS)[0].version == version


def test_files_that_overlap_bring_each_event_once(shop: Shop) -> None:
    config = shop.config()
    shop.land("1.jsonl", MORNING)
    ingest_events(shop.tables, config)
    late = line("u3", "b", "view", "01-04 09:00")
    shop.land("2.jsonl", [*MORNING[1:], late])
    assert counts(ingest_events(shop.tables, config)) == (3, 1, 2, 0)
    shop.land("3.jsonl", [late])
    shop.land("4.jsonl", [late])
    assert counts(ingest_events(shop.tables, config)) == (2, 0, 2, 0)
    assert shop.tables.read(EVENTS).count() == 4


def test_identical_rows_of_one_file_are_real_repeats_unless_dropped(shop: Shop) -> None:
    shop.land("1.jsonl", [MORNING[0]] * 3)
    assert counts(ingest_events(shop.tables, shop.config())) == (3, 3, 0, 0)
    dropping = shop.config()
    source = dropping.events.sources[0].model_copy(update={"identical_rows": "drop"})
    events = dropping.events.model_copy(update={"sources": (source,)})
    fresh = Tables(shop.tables.spark, shop.tables.root + "-dropping")
    again = dropping.model_copy(update={"events": events})
    assert counts(ingest_events(fresh, again)) == (3, 1, 2, 0)


def with_ids(shop: Shop) -> Config:
    config = shop.config()
    columns = config.events.sources[0].columns.model_copy(update={"event_id": "id"})
    source = config.events.sources[0].model_copy(update={"columns": columns})
    events = config.events.model_copy(update={"sources": (source,)})
    return config.model_copy(update={"events": events})


def test_sources_with_and_without_ids_of_their_own_are_looked_up_each_its_way(shop: Shop) -> None:
    config = with_ids(shop)
    other = shop.folder / "shops"
    other.mkdir()
    plain = shop.config().events.sources[0].model_copy(update={"path": str(other)})
    both = config.events.model_copy(update={"sources": (*config.events.sources, plain)})
    config = config.model_copy(update={"events": both})
    named, unnamed = line("u1", "a", "view", "01-05 10:00", id="e1"), MORNING[1]
    shop.land("1.jsonl", [named])
    shop.land("../shops/1.jsonl", [unnamed])
    assert counts(ingest_events(shop.tables, config)) == (2, 2, 0, 0)
    shop.land("2.jsonl", [named, {**named, "item_id": "b"}])
    shop.land("../shops/2.jsonl", [unnamed, MORNING[2]])
    intake = ingest_events(shop.tables, config)
    assert counts(intake) == (4, 1, 2, 1)
    assert intake.reasons == {CONFLICT: 1}


def test_an_own_id_met_with_other_fields_or_another_day_is_a_conflict(shop: Shop) -> None:
    first = line("u1", "a", "view", "01-05 10:00", id="e1")
    shop.land("1.jsonl", [first, first])
    assert counts(ingest_events(shop.tables, with_ids(shop))) == (2, 1, 1, 0)
    other_item = {**first, "item_id": "b"}
    other_day = {**first, "ts": "2026-03-05T10:00:00Z"}
    shop.land("2.jsonl", [other_item, other_day, first, line("u1", "a", "view", "01-05 10:00")])
    intake = ingest_events(shop.tables, with_ids(shop))
    assert counts(intake) == (4, 0, 1, 3)
    assert intake.reasons == {CONFLICT: 2, "missing event_id": 1}


def test_a_bad_row_keeps_its_text_and_every_reason(shop: Shop) -> None:
    bad = line(" ", None, "view", "1901-01-05T10:00:00Z", value="many")
    path = shop.land("1.jsonl", [*MORNING, bad])
    ingest_events(shop.tables, shop.config())
    [row] = shop.tables.read(QUARANTINE).collect()
    assert sorted(row["reasons"]) == [
        "missing item_id",
        "missing user_id",
        "time before 1990-01-01T00:00:00Z",
        "unreadable value",
    ]
    assert '"value": "many"' in row["raw"]
    assert row["file"].endswith(path.name)


FAULTS = [
    ({"event_type": "veiw"}, "unknown event_type"),
    ({"event_type": None}, "missing event_type"),
    ({"ts": None}, "missing time"),
    ({"ts": "2026-02-30T10:00:00Z"}, "unreadable time"),
    ({"ts": "10:00"}, "unreadable time"),
    ({"ts": "2125-01-01T00:00:00Z"}, "time later than the ingestion clock"),
    ({"user_id": "u" * 257}, "user_id longer than 256"),
    ({"item_id": "i" * 257}, "item_id longer than 256"),
    ({"value": "NaN"}, "weight not finite"),
    ({"value": "Infinity"}, "weight not finite"),
]


def test_each_fault_has_its_reason(shop: Shop) -> None:
    good = line("u1", "a", "buy", "01-05 10:00", value=1)
    # The text tells the rows apart, in the table of bad rows as well.
    lines = [{**good, "text": f"row {n}.", **fields} for n, (fields, _) in enumerate(FAULTS)]
    shop.land("1.jsonl", lines)
    ingest_events(shop.tables, shop.config())
    found = {
        r["raw"].split("row ")[1][0]: r["reasons"] for r in shop.tables.read(QUARANTINE).collect()
    }
    assert found == {str(n): [reason] for n, (_, reason) in enumerate(FAULTS)}


def test_too_many_bad_rows_stop_the_batch_and_publish_nothing(shop: Shop) -> None:
    shop.land("1.jsonl", [*MORNING, *["{broken"] * 3])
    with pytest.raises(RunError, match=r"3 of 6 rows \(50.0%\) are bad.*line does not parse"):
        ingest_events(shop.tables, shop.config(events={"max_bad_share": 0.49}))
    assert [shop.tables.read(t).count() for t in (EVENTS, QUARANTINE, FILES)] == [0, 0, 0]


@pytest.mark.parametrize("step", ["_write_quarantine", "upsert", "ledger"])
def test_a_crash_after_any_commit_is_made_good_by_the_next_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    config = shop.config()
    shop.land("1.jsonl", [*MORNING, "{broken"])

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if step.startswith("_"):
            original = getattr(Batch, step)
            patched.setattr(Batch, step, lambda *args: (original(*args), die()))
        else:
            name = {"upsert": "upsert_event_users", "ledger": "enter"}[step]
            patched.setattr(f"ebb.events.ingest.{name}", die)
        with pytest.raises(KeyboardInterrupt):
            ingest_events(shop.tables, config)
    intake = ingest_events(shop.tables, config)
    assert (intake.read, intake.inserted + intake.repeated, intake.quarantined) == (4, 3, 1)
    found = [shop.tables.read(t).count() for t in (EVENTS, QUARANTINE, FILES, USERS)]
    assert found == [3, 1, 1, 2]


def test_a_changed_configuration_reads_every_file_again_and_says_why(shop: Shop) -> None:
    shop.land("1.jsonl", MORNING)
    ingest_events(shop.tables, shop.config())
    shop.land("2.jsonl", [line("u3", "b", "view", "01-06 10:00")])
    heavier = {**shop.config().model_dump(mode="json")["events"]["types"], "view": {"weight": 7}}
    intake = ingest_events(shop.tables, shop.config(events={"types": heavier}))
    assert intake.again == "the configuration of events changed since files were taken in"
    assert counts(intake) == (4, 4, 0, 0)
    weights = Counter(
        r["weight"] for r in shop.tables.read(EVENTS).where("event_type = 'view'").collect()
    )
    assert weights == {7.0: 2}
    assert shop.tables.read(FILES).count() == 2


def test_a_changed_configuration_never_loses_what_is_no_longer_there(shop: Shop) -> None:
    path = shop.land("1.jsonl", MORNING)
    ingest_events(shop.tables, shop.config())
    path.unlink()
    shop.land("2.jsonl", [line("u3", "b", "view", "01-06 10:00")])
    with pytest.raises(RunError, match=r"1\.jsonl is gone or was changed"):
        ingest_events(shop.tables, shop.config(events={"max_id_length": 99}))
    assert shop.tables.read(EVENTS).count() == 3


def test_an_empty_landing_folder_is_an_error_at_first_and_an_empty_day_later(shop: Shop) -> None:
    with pytest.raises(RunError, match=r"events.sources\[0\] .*there is no file"):
        ingest_events(shop.tables, shop.config())
    shop.land("1.jsonl", MORNING)
    ingest_events(shop.tables, shop.config())
    assert ingest_events(shop.tables, shop.config()) == Intake()


def test_a_source_that_vanished_says_so(shop: Shop) -> None:
    config = shop.config()
    source = config.events.sources[0].model_copy(update={"path": str(shop.folder / "elsewhere")})
    events = config.events.model_copy(update={"sources": (source,)})
    with pytest.raises(RunError, match=r"events.sources\[0\] .*elsewhere.*nothing can be read"):
        ingest_events(shop.tables, config.model_copy(update={"events": events}))


def reading(path: Path, tables: Tables, form: str, **more: Any) -> Config:
    columns = {"value": "qty", **more.pop("columns", {})}
    source = {"path": str(path), "format": form, "columns": columns, **more}
    kinds = {"view": {"weight": 1, "value": {"transform": "none"}}}
    events = {"sources": [source], "types": kinds, "max_bad_share": 1.0}
    return Config.model_validate({"root": tables.root, "events": events})


CSV = """user_id,item_id,event_type,ts,qty
u1,"a, b",view,2026-01-05 10:00:00,2
u2,c,view,2026-01-05
"""


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_csv_is_read_compressed_and_short_lines_are_refused(
    tables: Tables, tmp_path: Path, ending: str
) -> None:
    packed = {".gz": gzip.compress, ".zst": zstandard.compress}[ending](CSV.encode())
    path = tmp_path / f"events.csv{ending}"
    path.write_bytes(packed)
    assert counts(ingest_events(tables, reading(path, tables, "csv"))) == (2, 1, 0, 1)
    assert tables.read(EVENTS).first()["item_id"] == "a, b"  # type: ignore[index]
    assert tables.read(QUARANTINE).first()["raw"] == "u2,c,view,2026-01-05"  # type: ignore[index]


def test_a_csv_file_with_other_columns_is_refused_by_name(tables: Tables, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.csv").write_text(CSV)
    (folder / "2.csv").write_text(CSV.replace("user_id,item_id", "item_id,user_id"))
    with pytest.raises(RunError, match="columns differ"):
        ingest_events(tables, reading(folder, tables, "csv"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_mapped_column_that_is_not_there_is_named(
    spark: SparkSession, tables: Tables, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"events.{form}"
    rows = [("u", "a", "view", datetime(2026, 1, 5))]
    frame = spark.createDataFrame(
        rows, "who string, item_id string, event_type string, ts timestamp"
    )
    match form:
        case "csv":
            path.write_text("who,item_id,event_type,ts\nu,a,view,2026-01-05\n")
        case "jsonl":
            path.write_text(
                '{"who": "u", "item_id": "a", "event_type": "view", "ts": "2026-01-05"}'
            )
        case _:
            frame.write.parquet(str(path))
    config = reading(path, tables, form, columns={"value": None})
    with pytest.raises(RunError, match=r"column user_id, mapped by .* to user_id, isn't there"):
        ingest_events(tables, config)


@pytest.mark.parametrize("form", ["parquet", "delta"])
def test_typed_sources_keep_their_times_and_take_numbers_as_ids(
    spark: SparkSession, tables: Tables, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "typed"
    ts = datetime(2026, 1, 5, 10, tzinfo=UTC)
    schema = "user_id long, item_id int, event_type string, ts timestamp, qty decimal(9,2)"
    frame = spark.createDataFrame([(-7, 3, "view", ts, Decimal("2.50"))], schema)
    frame.write.format(form).save(str(path))
    assert counts(ingest_events(tables, reading(path, tables, form))) == (1, 1, 0, 0)
    row = tables.read(EVENTS).first()
    assert row is not None
    assert (row["user_id"], row["item_id"], row["weight"]) == ("-7", "3", 2.5)
    assert row["event_ts"].astimezone(UTC) == ts
    assert ingest_events(tables, reading(path, tables, form)) == Intake()


TIMES = [
    ("2026-07-05 10:00:00", {"zone": "Europe/London"}, "2026-07-05T09:00:00"),
    ("2026-07-05T10:00:00+02:00", {"zone": "Europe/London"}, "2026-07-05T08:00:00"),
    ("2026-07-05T10:00:00.250Z", {}, "2026-07-05T10:00:00.250000"),
    ("12:30", {}, None),
    ("1767607200", {"format": "epoch_seconds"}, "2026-01-05T10:00:00"),
    ("9" * 30, {"format": "epoch_seconds"}, None),
    ("1767607200250", {"format": "epoch_milliseconds"}, "2026-01-05T10:00:00.250000"),
    ("05/01/2026 10:00", {"format": "dd/MM/yyyy HH:mm"}, "2026-01-05T10:00:00"),
    (
        "05/01/2026 10:00",
        {"format": "dd/MM/yyyy HH:mm", "zone": "Asia/Tokyo"},
        "2026-01-05T01:00:00",
    ),
]


@pytest.mark.parametrize(("text", "how", "expected"), TIMES)
def test_times_are_read_as_the_source_writes_them(
    spark: SparkSession, text: str, how: dict[str, str], expected: str | None
) -> None:
    frame = spark.createDataFrame([(text,)], "ts string")
    parsed = parse_time(F.col("ts"), StringType(), Timestamps.model_validate(how))
    [row] = frame.select(parsed.alias("ts")).collect()
    found = None if row["ts"] is None else row["ts"].astimezone(UTC)
    assert found == (None if expected is None else datetime.fromisoformat(expected + "+00:00"))


def test_the_earliest_instant_of_a_batch_tells_which_nights_it_touches(shop: Shop) -> None:
    config = shop.config()
    shop.land("1.jsonl", MORNING)
    ingest_events(shop.tables, config)
    night = datetime(2026, 1, 6, tzinfo=UTC)
    before = shop.tables.version_before(EVENTS, night)
    shop.land("2.jsonl", [line("u9", "a", "view", "01-06 00:00")])
    ingest_events(shop.tables, config)
    assert shop.tables.version_before(EVENTS, night) == before
    assert shop.tables.version_before(EVENTS, night + timedelta(days=1)) > before
    shop.land("3.jsonl", [line("u9", "a", "view", "01-05 23:59")])
    ingest_events(shop.tables, config)
    assert shop.tables.version_before(EVENTS, night) > before
