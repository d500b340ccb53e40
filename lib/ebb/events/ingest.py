"""Taking events in: new files → judged rows → events, quarantine, users, ledger.

The order of the commits makes a crash harmless: quarantine (its files' slice rewritten), events
(inserted only if their id is new), users, and the ledger last. Whatever came before is found
again, and nothing is counted twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, reduce
from itertools import pairwise

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from ebb.config import Config, EventSource
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.identity import payload_hash, with_fate, with_ids
from ebb.events.ledger import Arrivals, enter, new_files
from ebb.events.listing import Source
from ebb.events.reading import read_rows
from ebb.events.users import upsert_event_users
from ebb.events.validation import judge, mapped_columns
from ebb.hashes import short_hash
from ebb.interests.slots import USER_BUCKETS
from ebb.schema import EVENTS, QUARANTINE
from ebb.storage import stored
from ebb.tables import Stamp, Tables

# So many days apart, at most, are asked for one by one when earlier events are looked up.
_STRETCHES = 40
# A batch is written by all cores at once where each gets so many rows; none has more than a file's.
_ROWS_A_CORE, _ROWS_A_FILE = 150_000, 4_000_000
# So many ids or instants fit into every task; more are better shuffled.
_FEW_ROWS = 2_000_000
_SECOND = "another ingest wrote at the same time; run again, one job a root at a time"


@dataclass(frozen=True)
class Intake:
    """What became of the rows read: read = inserted + repeated + quarantined."""

    files: int = 0
    read: int = 0
    inserted: int = 0
    repeated: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    again: str | None = None

    def counts(self) -> dict[str, int]:
        return {
            "files": self.files,
            "rows read": self.read,
            "inserted": self.inserted,
            "repeated": self.repeated,
            "quarantined": self.quarantined,
        }


def ingest_events(tables: Tables, config: Config) -> Intake:
    """Take in what has landed since the last run; everything again if its configuration changed.

    Raises
    ------
    RunError
        When a source can't be read, too many rows are bad, or the counts of what was written
        don't add up to what was read. Too many bad rows publish nothing.
    """
    mapping = config.fingerprint("events")
    sources = {f"events.sources[{i}]": reader for i, reader in enumerate(config.events.sources)}
    named = [Source(name, "events", reader) for name, reader in sources.items()]
    arrived = new_files(tables, named, mapping)
    if not arrived.count:
        return Intake()
    now = datetime.now(UTC)
    batch = Batch(tables, config, arrived, mapping, now)
    rows = reduce(
        DataFrame.unionByName, (batch.judged(name, sources[name]) for name in arrived.paths)
    )
    try:
        return batch.take_in(rows)
    except (PySparkException, Py4JJavaError) as error:
        if "CSV header does not conform" in str(error):
            raise RunError(_other_columns(str(error))) from error
        if "ConcurrentTransaction" in str(error):
            raise RunError(_SECOND) from error
        raise


@dataclass(frozen=True)
class Batch:
    """The files of one ingest and the clock they are judged by."""

    tables: Tables
    config: Config
    arrived: Arrivals
    mapping: str
    now: datetime

    @property
    def rebuild(self) -> bool:
        return self.arrived.reason is not None

    @cached_property
    def number(self) -> int:
        """The version of the events that the batch comes upon: later batches have larger ones."""
        last = self.tables.history(EVENTS, limit=1)
        return last[0].version if last else 0

    @property
    def first(self) -> bool:
        """Whether the table begins with this batch: there are no earlier events to regard."""
        return self.rebuild or self.number == 0

    def judged(self, name: str, reader: EventSource) -> DataFrame:
        """The rows of one source, typed and judged."""
        source = Source(name, "events", reader)
        columns = mapped_columns(reader)
        required = [ours for ours in ("user_id", "ts", "event_type", "event_id") if columns[ours]]
        raw = read_rows(self.tables.spark, source, self.arrived.paths[name], columns, required)
        typed = judge(raw, reader, self.config.events, self.now)
        return typed.withColumn("keeps_identical", F.lit(reader.identical_rows == "keep"))

    def take_in(self, rows: DataFrame) -> Intake:
        """Write the batch: every row of it, judged, once."""
        with ExitStack() as kept:
            known = kept.enter_context(stored(self._met(rows)))
            is_small = self.first or known.count() <= _FEW_ROWS
            identified = with_ids(rows, F.col("keeps_identical")).drop("keeps_identical")
            fated = with_fate(identified, F.broadcast(known) if is_small else known)
            fated = kept.enter_context(stored(fated))
            counted = fated.groupBy("source", "fate", "reasons").agg(
                F.count(F.lit(1)).alias("rows"), F.min("event_ts").alias("earliest")
            )
            groups = counted.collect()
            self._refuse_bad_sources(groups)
            intake = self._counted(groups)
            self._write(fated, intake, _earliest(groups))
            return intake

    def _met(self, rows: DataFrame) -> DataFrame:
        """Earlier events that may have an id of the batch: event_id and payload.

        Which do is for the join with the rows to say. The payload is empty where the id is made
        of it.
        """
        spark = self.tables.spark
        if self.first:
            return spark.createDataFrame([], "event_id string, payload string")
        # Pinned, so that what this batch writes is never taken for what was there before.
        events = self.tables.read(EVENTS, version=self.number)
        found = []
        is_own = F.col("own_id").isNotNull()
        if any(s.columns.event_id is not None for s in self.config.events.sources):
            found.append(_with_ids_of(events, rows.where(is_own)))
        if any(s.columns.event_id is None for s in self.config.events.sources):
            found.append(_at_instants_of(events, rows.where(~is_own)))
        if len(found) == 1:
            return found[0]
        return (
            found[0]
            .unionByName(found[1])
            .groupBy("event_id")
            .agg(F.max("payload").alias("payload"))
        )

    def _refuse_bad_sources(self, groups: list[Row]) -> None:
        most = self.config.events.max_bad_share
        for source in sorted({group["source"] for group in groups}):
            own = [group for group in groups if group["source"] == source]
            read = sum(group["rows"] for group in own)
            bad = [group for group in own if group["fate"] == "quarantined"]
            refused = sum(group["rows"] for group in bad)
            if refused > most * read:
                reason, times = _by_reason(bad).most_common(1)[0]
                raise RunError(
                    f"{source}: {refused} of {read} rows ({refused / read:.1%}) are bad, more than "
                    f"events.max_bad_share {most:.1%} allows; most often: {reason} ({times}). "
                    "Nothing was published: mend the source or the mapping, or raise the limit"
                )

    def _counted(self, groups: list[Row]) -> Intake:
        fates: Counter[str] = Counter()
        for group in groups:
            fates[group["fate"]] += group["rows"]
        return Intake(
            files=self.arrived.count,
            read=fates.total(),
            inserted=fates["new"],
            repeated=fates["repeated"],
            quarantined=fates["quarantined"],
            reasons=dict(sorted(_by_reason(groups).items())),
            again=self.arrived.reason,
        )

    def _write(self, fated: DataFrame, intake: Intake, earliest: datetime | None) -> None:
        marked = fated.withColumns(
            {
                "batch_id": F.lit(self.batch_id),
                "batch": F.lit(self.number),
                "user_bucket": user_bucket(F.col("user_id")),
                "ingested_at": F.lit(self.now),
            }
        )
        refused = marked.where(F.col("fate") == "quarantined")
        quarantined = self._write_quarantine(refused, intake)
        new = marked.where(F.col("fate") == "new")
        inserted = self._write_events(new, intake, self._stamp(earliest))
        if quarantined + inserted + intake.repeated != intake.read:
            raise RunError(
                f"ingest: {intake.read} rows read, but {inserted} inserted, {intake.repeated} "
                f"repeated and {quarantined} quarantined; another ingest may have run at the same "
                "time: run again"
            )
        # Repeated rows too: a crash after the events leaves their users to be brought in.
        accepted = marked.where(F.col("fate") != "quarantined")
        upsert_event_users(self.tables, accepted, self._stamp(None), rebuild=self.rebuild)
        enter(
            *(self.tables, self.arrived.files, "events", self.batch_id, self.now),
            stamp=self._stamp(None),
            only=self.rebuild,
        )

    @property
    def batch_id(self) -> str:
        """The same for the same files under the same configuration."""
        paths = sorted(path for paths in self.arrived.paths.values() for path in paths)
        return _short_hash([self.mapping, *paths])

    def _stamp(self, earliest: datetime | None) -> Stamp:
        facts = {
            "earliest": format_instant(earliest) if earliest else None,
            "batch_id": self.batch_id,
            "batch": self.number,
            "epoch": self.number if self.first else events_epoch(self.tables),
        }
        return Stamp("ingest", None, self.mapping, facts=facts)

    def _write_quarantine(self, refused: DataFrame, intake: Intake) -> int:
        if not intake.quarantined and not self.rebuild:
            return 0
        rows = refused.select(*QUARANTINE.schema.names)
        ids = [r["file_id"] for r in self.arrived.files.select("file_id").collect()]
        slices = None if self.rebuild else f"file_id IN ({', '.join(map(repr, ids))})"
        return self.tables.replace(QUARANTINE, rows, slices, self._stamp(None)).rows_written

    def _write_events(self, new: DataFrame, intake: Intake, stamp: Stamp) -> int:
        rows = new.select(*EVENTS.schema.names)
        if not intake.inserted and not self.rebuild:
            return 0
        if self.first:
            # Files that each hold a stretch of time let a reader of one stretch skip the rest.
            stretched = rows.repartitionByRange("event_ts")
            return self.tables.replace(EVENTS, by_bucket(stretched), None, stamp).rows_written
        cores = self.tables.spark.sparkContext.defaultParallelism
        files = max(1, min(cores, intake.inserted // _ROWS_A_CORE), intake.inserted // _ROWS_A_FILE)
        self.tables.append(EVENTS, by_bucket(rows.coalesce(files)), stamp, once=self.number)
        commit = self.tables.history(EVENTS, limit=1)[0]
        mine = commit.stamp is not None and commit.stamp.facts.get("batch") == self.number
        return commit.rows_written if mine else 0


def events_epoch(tables: Tables) -> int:
    """The number of the ingest that the table began with: another one when all files were read
    again, so that what was made of the earlier events no longer holds."""
    for commit in tables.newest_first(EVENTS):
        if commit.stamp and "epoch" in commit.stamp.facts:
            return int(commit.stamp.facts["epoch"])
    return -1


def user_bucket(user_id: Column) -> Column:
    """The bucket of a user: crc32 of the id modulo 256, an int."""
    return (F.crc32(user_id) % F.lit(USER_BUCKETS)).cast("int")


def by_bucket(rows: DataFrame) -> DataFrame:
    """Sort each file so that a reader of a few buckets can skip the pages of the others."""
    return rows.sortWithinPartitions("user_bucket", "event_ts", "event_id")


def _with_ids_of(events: DataFrame, rows: DataFrame) -> DataFrame:
    """The events, of any time, that have the source's own id of a row."""
    ids = rows.select(F.col("own_id").alias("event_id"))
    few = ids.count() <= _FEW_ROWS
    met = events.join(F.broadcast(ids) if few else ids, on="event_id", how="left_semi")
    return met.select("event_id", payload_hash().alias("payload"))


def _at_instants_of(events: DataFrame, rows: DataFrame) -> DataFrame:
    """The events at an instant of a row: only they can have an id that is made of its fields.

    Instants are numbers, and far cheaper to look up than ids are.
    """
    is_date = F.year("event_ts").between(1, 9999)  # others are bad rows, and no dates in Python
    instants = rows.where(is_date).select(F.unix_micros("event_ts").alias("instant"))
    day = F.to_date(F.timestamp_micros("instant"))
    by_day = instants.groupBy(day.alias("day")).count().orderBy("day").collect()
    few = sum(row["count"] for row in by_day) <= _FEW_ROWS
    near = events.where(_on_days([row["day"] for row in by_day]))
    met = near.withColumn("instant", F.unix_micros("event_ts")).join(
        F.broadcast(instants) if few else instants, on="instant", how="left_semi"
    )
    return met.select("event_id", F.lit(None).cast("string").alias("payload"))


def _on_days(days: Sequence[date]) -> Column:
    """True for events on the given UTC days, in order; few conditions, so that files of other
    days are skipped."""
    stretches: list[list[date]] = []
    for day in days:
        if stretches and day - stretches[-1][1] <= timedelta(days=1):
            stretches[-1][1] = day
        else:
            stretches.append([day, day])
    while len(stretches) > _STRETCHES:
        gaps = [after[0] - before[1] for before, after in pairwise(stretches)]
        at = gaps.index(min(gaps))
        stretches[at : at + 2] = [[stretches[at][0], stretches[at + 1][1]]]
    within = [
        (F.col("event_ts") >= F.lit(_midnight(first)))
        & (F.col("event_ts") < F.lit(_midnight(last) + timedelta(days=1)))
        for first, last in stretches
    ]
    return reduce(Column.__or__, within, F.lit(False))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _by_reason(groups: list[Row]) -> Counter[str]:
    """Rows by reason; a row with two reasons counts for both."""
    reasons: Counter[str] = Counter()
    for group in groups:
        for reason in group["reasons"]:
            reasons[reason] += group["rows"]
    return reasons


def _earliest(groups: list[Row]) -> datetime | None:
    """The first event_ts of the new events, in UTC."""
    found = [group["earliest"] for group in groups if group["fate"] == "new"]
    return min(found).astimezone(UTC) if found else None


def _other_columns(error: str) -> str:
    """Spark's complaint about a CSV file, in a sentence that names the file and the column."""
    facts = dict(re.findall(r"(Expected|CSV file): (.+)", error))
    return (
        f"{facts.get('CSV file', 'a CSV file')}: its columns differ from those of its source's "
        f"first file (expected {facts.get('Expected', 'the same header')}); nothing was published: "
        "mend the file, or give it a source of its own"
    )


def _short_hash(parts: Sequence[str]) -> str:
    return short_hash("\n".join(parts).encode())
