"""Who is known: from events, and from an optional table of users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.config import Config, UserSource
from ebb.durations import format_instant
from ebb.events.catalogue import ALWAYS
from ebb.events.ledger import changed_snapshot, enter
from ebb.events.listing import Source
from ebb.events.quarantine import quarantine_snapshot
from ebb.events.reading import ORIGIN, parse_time, read_rows, text_field, text_map
from ebb.schema import USERS
from ebb.tables import Stamp, Tables


def upsert_event_users(tables: Tables, events: DataFrame, stamp: Stamp, *, rebuild: bool) -> None:
    """Bring the users of new events in; an earlier event than any before moves first_seen."""
    seen = events.groupBy("user_id").agg(F.min("event_ts").alias("first_seen"))
    known = seen.withColumn("attributes", F.lit(None).cast("map<string,string>"))
    if rebuild or not tables.exists(USERS):
        # The table of users, if there is one, is read again right after the events.
        tables.replace(USERS, known, None, stamp)
        return
    before = tables.read(USERS).select("user_id", F.col("first_seen").alias("since"))
    # Nearly all users of a night are known: they cost a look, and no rewrite of the table.
    met = known.join(before.withColumn("is_known", F.lit(True)), on="user_id", how="left")
    is_new = F.col("is_known").isNull()
    earlier = F.coalesce(F.col("first_seen") < F.col("since"), F.lit(False))
    changed = met.where(is_new | earlier).withColumn("is_new", is_new).persist()
    try:
        kinds = {row["is_new"] for row in changed.select("is_new").distinct().collect()}
        if True in kinds:
            fresh = changed.where("is_new").select(*USERS.schema.names)
            tables.append(USERS, fresh.coalesce(1), stamp)
        if False in kinds:
            upsert_users(tables, changed.where(~F.col("is_new")), stamp)
    finally:
        changed.unpersist()


def upsert_users(tables: Tables, users: DataFrame, stamp: Stamp) -> None:
    """Merge user_id, first_seen, attributes: the earlier first_seen and the newer attributes win.

    An empty first_seen in `users` says nothing about a user who is known already.
    """
    target = F.col("t.first_seen")
    source = F.col("s.first_seen")
    changed = F.coalesce(source < target, F.lit(False)) | (
        F.col("s.attributes").isNotNull()
        & ~F.to_json("s.attributes").eqNullSafe(F.to_json("t.attributes"))
    )
    with tables.merging(stamp):
        (
            tables.delta(USERS)
            .alias("t")
            .merge(users.alias("s"), "t.user_id = s.user_id")
            .whenMatchedUpdate(
                condition=changed,
                set={
                    "first_seen": F.least(target, source),
                    "attributes": F.coalesce("s.attributes", "t.attributes"),
                },
            )
            .whenNotMatchedInsert(
                values={c: f"s.{c}" for c in ("user_id", "first_seen", "attributes")}
            )
            .execute()
        )


@dataclass(frozen=True)
class UserTable:
    """What became of the table of users: rows taken in and rows refused."""

    users: int = 0
    refused: int = 0


def ingest_users(tables: Tables, config: Config, *, again: bool) -> UserTable:
    """Bring the optional table of users in, if one of its files, or its mapping, changed.

    Parameters
    ----------
    again : read it even if nothing changed, because `users` was just rebuilt from events.
    """
    if config.users is None:
        return UserTable()
    mapping = config.fingerprint("users")
    source = Source("users", "users", config.users)
    arrived = changed_snapshot(tables, source, "" if again else mapping)
    if arrived is None:
        return UserTable()
    rows = _typed(tables, source, config.users, arrived.paths["users"]).persist()
    try:
        stamp = Stamp("ingest", None, mapping, facts={"earliest": format_instant(ALWAYS)})
        unnamed = rows.where(F.col("user_id").isNull())
        reason = F.when(F.col("parses"), F.lit("user: missing user_id"))
        reason = F.coalesce(reason, F.lit("user: line does not parse"))
        refused = quarantine_snapshot(tables, unnamed.withColumn("reason", reason), "users", stamp)
        users = (
            rows.where(F.col("user_id").isNotNull())
            .groupBy("user_id")
            .agg(
                F.min("joined_at").alias("first_seen"),
                F.min_by("attributes", F.to_json("attributes")).alias("attributes"),
            )
        )
        upsert_users(tables, users, stamp)
        enter(tables, arrived.files, "users", "users", datetime.now(UTC), stamp, only=True)
        return UserTable(users.count(), refused)
    finally:
        rows.unpersist()


def _typed(tables: Tables, source: Source, reader: UserSource, paths: list[str]) -> DataFrame:
    columns = reader.columns
    attributes = {f"attribute_{name}": column for name, column in columns.attributes.items()}
    mapped = {"user_id": columns.user_id, "joined_at": columns.joined_at, **attributes}
    rows = read_rows(tables.spark, source, paths, mapped, ["user_id"])
    kind = rows.schema["in_joined_at"].dataType
    return rows.select(
        *ORIGIN,
        text_field("in_user_id").alias("user_id"),
        parse_time(F.col("in_joined_at"), kind, reader.timestamp).alias("joined_at"),
        text_map("attribute", columns.attributes).alias("attributes"),
    )
