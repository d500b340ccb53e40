"""The one way that jobs read interests: right at any as_of, from as few events as it takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.events.catalogue import versions_at
from ebb.interests.counted import counted
from ebb.interests.named_columns import with_texts_named
from ebb.interests.own import OwnHalfLives, learned_in
from ebb.interests.setup import Reading, Setup, choose_reading
from ebb.interests.snapshot import interests_from_events, interests_with_stored
from ebb.interests.state import apart, lacking, stored_rows
from ebb.interests.stored import reach
from ebb.language.labelled import labelled_items, labelled_texts
from ebb.schema import EVENTS, HALF_LIVES, INTEREST_STATE
from ebb.tables import Tables


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
    items = versions_at(labelled_items(tables, setup.labels, as_of), as_of)
    own, texts = _own(tables, setup, users), labelled_texts(tables, setup.labels, as_of)
    shared = (items, setup.facets, setup.interests, setup.events.types, as_of, own, texts)
    if stored is None:
        return interests_from_events(counted(events, setup.events, as_of), *shared)
    reaching = reach(setup.interests.measures) or timedelta(0)
    needed = lacking(events, stored.slots, as_of, reaching)
    rows = _of_users(stored_rows(tables, stored).drop("slot"), users)
    fresh, kept = apart(needed, rows, events, setup.events, as_of)
    return interests_with_stored(kept, fresh, *shared)


def plan_reading(tables: Tables, as_of: datetime) -> Reading:
    """Find the stored sums that a reading at `as_of` can go on from."""
    states, fits = (partial(tables.newest_first, t) for t in (INTEREST_STATE, HALF_LIVES))
    return choose_reading(states, fits, as_of, tables.root)


def _known(tables: Tables, reading: Reading, users: DataFrame | None) -> DataFrame:
    events = with_texts_named(tables.read(EVENTS), reading.setup.told)
    if reading.below is not None:
        events = events.where(F.col("batch") < F.lit(reading.below))
    return _of_users(events, users)


def _own(tables: Tables, setup: Setup, users: DataFrame | None) -> OwnHalfLives | None:
    own = learned_in(tables, setup.fit)
    return own and replace(own, rows=_of_users(own.rows, users))


def _of_users(rows: DataFrame, users: DataFrame | None) -> DataFrame:
    if users is None:
        return rows
    return rows.join(users.select("user_id").distinct(), on="user_id", how="left_semi")
