"""What a reading needs of the tables, read without Spark: events, stored sums, item versions.

The same choice of rows as `state.lacking` and `state.apart` make. Never imports Spark.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression, field

from ebb.config import Events
from ebb.interests.coding import micros, micros_of
from ebb.interests.named import with_texts_named
from ebb.interests.netting import among
from ebb.interests.setup import Reading, Setup, Stored
from ebb.interests.slots import USER_BUCKETS, Slots
from ebb.interests.stored import counts_later, reach
from ebb.lake import Lake
from ebb.language.labelled_table import with_labels, with_texts

_INSTANT = pa.timestamp("us", tz="UTC")
_PAIR = ["user_id", "item_id"]
_EVENT = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "event_type": pa.string(),
    "event_ts": _INSTANT,
    "weight": pa.float64(),
}
# What it takes to apply cancellations, and to tell what the stored sums lack.
_NETTED = {"event_id": pa.string(), "order_id": pa.string(), "value": pa.float64()}
_KNOWN_SINCE = {"user_bucket": pa.int32(), "batch": pa.int64()}
_SUMS = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "as_of": _INSTANT,
    "n": pa.int64(),
    "last_ts": _INSTANT,
}
_ITEM = {
    "item_id": pa.string(),
    "categories": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
    "attributes": pa.map_(pa.string(), pa.string()),
}
_HALF_LIFE = {"user_id": pa.string(), "facet": pa.string(), "half_life_days": pa.float64()}
_TEXT = {"title": pa.string(), "text": pa.string()}
_TAGS = pa.schema(
    {
        "version": pa.string(),
        "item_id": pa.string(),
        "text_hash": pa.string(),
        "tags": pa.list_(pa.string()),
    }
)
_Booleans = npt.NDArray[np.bool_]


class Needed:
    """Reads what interests at an instant are made from.

    Parameters
    ----------
    users : ids of users; None means everybody.
    """

    def __init__(
        self, lake: Lake, reading: Reading, as_of: datetime, users: Sequence[str] | None
    ) -> None:
        self._lake, self._reading, self._setup = lake, reading, reading.setup
        self._as_of, self._users = as_of, users

    def events_and_sums(self) -> tuple[pa.Table, pa.Table]:
        """Events before the as_of with `fresh` (the stored sums lack it), and the stored sums.

        The stored sums are user_id, item_id, as_of (when they are true), n, last_ts and a column
        each; no rows where all events are read.
        """
        if self._reading.stored is None:
            return _all_fresh(self._events(self._users)), _sums_schema(self._setup).empty_table()
        return self._beside(self._reading.stored)

    def items(self, item_ids: pa.Array) -> pa.Table:
        """The item versions known at the as_of, with their labels; at most one row an item.

        Parameters
        ----------
        item_ids : those asked for; of them each that names a text has a row of its own.
        """
        if self._setup.facets == ("item",):
            return pa.schema(_ITEM).empty_table()
        at = pa.scalar(self._as_of, _INSTANT)
        until = field("valid_to").is_null() | (field("valid_to") >= at)
        known = (field("valid_from") < at) & until
        labels = self._setup.labels
        if labels is None:
            return self._lake.read("items", pa.schema(_ITEM), known)
        items = self._lake.read("items", pa.schema(_ITEM | _TEXT), known)
        versions = labels.versions_at(lambda: self._lake.newest_first("labellers"), self._as_of)
        theirs = field("version").isin(pa.array(versions.values(), pa.string()))
        made = self._lake.read("item_tags", _TAGS, theirs)
        items = with_labels(items, made, versions, labels.language)
        if not labels.told:
            return items
        return with_texts(items.select(list(_ITEM)), item_ids, made, versions.get("tag", ""))

    def half_lives(self) -> pa.Table:
        """What was learned of the users in the setup's fit: user_id, facet, half_life_days."""
        fit = self._setup.fit
        if fit is None:
            return pa.schema(_HALF_LIFE).empty_table()
        rows = field("as_of") == pa.scalar(fit.as_of, _INSTANT)
        if self._users is not None:
            rows = rows & field("user_id").isin(pa.array(self._users, pa.string()))
        return self._lake.read("half_lives", pa.schema(_HALF_LIFE), rows)

    def _beside(self, stored: Stored) -> tuple[pa.Table, pa.Table]:
        """The stored sums, and the events that they lack or that windows and lines still reach.

        The (user, item) that a cancellation reaches are apart: they lose their stored sums and
        get all of their events.
        """
        slots = stored.slots
        recent = self._as_of - (reach(self._setup.interests.measures) or timedelta(0))
        since = pa.scalar(min(slots.earliest, recent), _INSTANT)
        maybe = (field("event_ts") >= since) | (field("batch") >= slots.first_batch)
        events = self._events(self._users, maybe)
        is_late, is_fresh = _against(slots, events)
        is_needed = is_fresh | (micros(events.column("event_ts")) >= micros_of(recent))
        reached = _reached(events, is_late, is_fresh, self._setup.events)
        needed = _with_fresh(events, is_fresh).filter(pa.array(is_needed))
        rows = _of_users(self._users, "slot", slots.count)
        sums = self._lake.read("interest_state", _sums_schema(self._setup), rows, stored.version)
        if not len(reached):
            return needed, sums
        theirs = self._events(pc.unique(reached.column("user_id")).to_pylist())
        theirs = _all_fresh(theirs.filter(pa.array(among(theirs, reached))))
        others = needed.filter(pa.array(~among(needed, reached)))
        kept = sums.filter(pa.array(~among(sums, reached)))
        return pa.concat_tables([others, theirs]), kept

    def _events(self, users: Sequence[str] | None, rows: Expression | None = None) -> pa.Table:
        """What users did before the as_of, of known ingests, that meets a condition."""
        setup, below = self._setup, self._reading.below
        columns = dict(_EVENT)
        if setup.events.cancelled_by():
            columns |= _NETTED
        if counts_later(setup.interests.measures):
            columns["event_id"] = pa.string()
        if self._reading.stored is not None:
            columns |= _KNOWN_SINCE
        known = field("event_ts") < pa.scalar(self._as_of, _INSTANT)
        known = known & _of_users(users, "user_bucket", USER_BUCKETS)
        if setup.events.shown:
            known = known & ~field("event_type").isin(pa.array(setup.events.shown, pa.string()))
        if below is not None:
            known = known & (field("batch") < below)
        if rows is not None:
            known = known & rows
        if not setup.told:
            return self._lake.read("events", pa.schema(columns), known)
        events = self._lake.read("events", pa.schema(columns | {"text": pa.string()}), known)
        return with_texts_named(events, setup.told)


def _sums_schema(setup: Setup) -> pa.Schema:
    kinds = {s.name: _INSTANT if s.what == "last" else pa.float64() for s in setup.sums}
    return pa.schema({**_SUMS, **kinds})


def _of_users(users: Sequence[str] | None, column: str, count: int) -> Expression:
    """Rows of the users; `column` says in which of `count` parts of all buckets a user is."""
    if users is None:
        return pc.scalar(True)
    parts = {zlib.crc32(user.encode()) % USER_BUCKETS * count // USER_BUCKETS for user in users}
    is_theirs = field("user_id").isin(pa.array(users, pa.string()))
    return field(column).isin(pa.array(sorted(parts), pa.int32())) & is_theirs


def _against(slots: Slots, events: pa.Table) -> tuple[_Booleans, _Booleans]:
    """Which events are from before their user's stored sums, and which these lack."""
    slot = events.column("user_bucket").to_numpy() * slots.count // USER_BUCKETS
    since = np.array([micros_of(s.as_of) for s in slots.slots])[slot]
    batch = np.array([s.batch for s in slots.slots])[slot]
    is_late = micros(events.column("event_ts")) < since
    return is_late, ~is_late | (events.column("batch").to_numpy() >= batch)


def _reached(
    events: pa.Table, is_late: _Booleans, is_fresh: _Booleans, settings: Events
) -> pa.Table:
    """user_id, item_id of which a cancellation, or a late event that one may take back, is new."""
    cancelled_by = settings.cancelled_by()
    takes, taken = (
        pc.is_in(events.column("event_type"), pa.array(sorted(set(names)), pa.string())).to_numpy()
        for names in (cancelled_by.values(), cancelled_by)
    )
    pairs = events.filter(pa.array(is_fresh & (takes | (taken & is_late)))).select(_PAIR)
    return pairs.filter(field("item_id").is_valid())


def _all_fresh(events: pa.Table) -> pa.Table:
    return _with_fresh(events, np.ones(len(events), dtype=np.bool_))


def _with_fresh(events: pa.Table, is_fresh: _Booleans) -> pa.Table:
    return events.append_column("fresh", pa.array(is_fresh))
