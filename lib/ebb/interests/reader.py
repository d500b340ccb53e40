"""The one way that jobs read interests: right at any as_of, from as few events as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.catalogue import versions_at
from ebb.interests.counted import counted
from ebb.interests.snapshot import interests_from_events, interests_with_stored
from ebb.interests.state import Setup, Stored, apart, lacking, latest
from ebb.interests.sums import reach
from ebb.schema import EVENTS, INTEREST_STATE, ITEMS
from ebb.tables import Tables

# `maintain` keeps the files of replaced versions this long at least; older ones may be gone.
KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Reading:
    """How interests at an instant are to be read.

    Attributes
    ----------
    stored : sums to go on from; None where all events have to be read.
    below : only events of ingests numbered below this are known; None: all are.
    """

    setup: Setup
    stored: Stored | None
    below: int | None


def interests_at(tables: Tables, as_of: datetime, users: DataFrame | None = None) -> DataFrame:
    """Interests valued at `as_of`, of everybody or of some users, under the latest configuration.

    Exactly what a rebuild from the events would give. Where stored sums from before `as_of` serve,
    only the events that they lack and those that windows and lines still reach are read. Under
    ``late: frozen`` an as_of that had its night is read from what was taken in until then.

    Parameters
    ----------
    users : a frame with user_id; None means everybody.

    Returns
    -------
    DataFrame of as_of, user_id, facet, key, n, last_ts, one column a measure and a ratio, share,
    rank, drift, trend.

    Raises
    ------
    RunError
        When no night has computed interests yet.
    """
    reading = plan_reading(tables, as_of)
    setup, stored = reading.setup, reading.stored
    events = _known(tables, reading, users)
    items = versions_at(tables.read(ITEMS), as_of)
    shared = (items, setup.facets, setup.interests, setup.events.types, as_of)
    if stored is None:
        return interests_from_events(counted(events, setup.events, as_of), *shared)
    reaching = reach(setup.interests.measures) or timedelta(0)
    needed = lacking(events, stored.slots, as_of, reaching)
    rows = _of_users(stored.rows(tables, as_of).drop("slot"), users)
    fresh, kept = apart(needed, rows, events, setup.events, as_of)
    return interests_with_stored(kept, fresh, *shared)


def plan_reading(tables: Tables, as_of: datetime) -> Reading:
    """Find the stored sums that a reading at `as_of` can go on from."""
    now = latest(tables)
    if now is None:
        raise RunError(
            f"there are no interests under {tables.root}; "
            f"run: ./spark-submit.sh interests --as-of {format_instant(as_of)}"
        )
    below = None
    if now.setup.interests.late == "frozen":
        night = tables.commit_of(INTEREST_STATE, "interests", as_of)
        below = night.stamp.facts["batch"] if night and night.stamp else None
    everything = reach(now.setup.interests.measures) is None
    return Reading(now.setup, None if everything else _usable(tables, now, as_of, below), below)


def _usable(tables: Tables, now: Stored, as_of: datetime, below: int | None) -> Stored | None:
    """The newest version whose sums are all from before `as_of`, and of known events only."""
    for commit in tables.newest_first(INTEREST_STATE):
        stored = Stored.of(commit)
        if stored is None or not now.setup.stores_as(stored.setup):
            continue
        if stored.version != now.version and commit.at < datetime.now(UTC) - KEPT:
            return None
        known = below is None or stored.slots.last_batch <= below
        if known and stored.slots.latest <= as_of:
            return stored
    return None


def _known(tables: Tables, reading: Reading, users: DataFrame | None) -> DataFrame:
    events = tables.read(EVENTS)
    if reading.below is not None:
        events = events.where(F.col("batch") < F.lit(reading.below))
    return _of_users(events, users)


def _of_users(rows: DataFrame, users: DataFrame | None) -> DataFrame:
    if users is None:
        return rows
    return rows.join(users.select("user_id").distinct(), on="user_id", how="left_semi")
