"""Interests at an instant without Spark: what `reader.py` gives, as a pandas frame.

For services and notebooks: needs deltalake, pyarrow, numpy and pandas. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ebb.durations import parse_instant
from ebb.interests.coding import Integers, micros, micros_of, places, texts
from ebb.interests.item_keys import Keys, item_keys
from ebb.interests.measures import Interests
from ebb.interests.needed import Needed
from ebb.interests.netting import counted
from ebb.interests.setup import Setup, choose_reading
from ebb.interests.standing import standing
from ebb.interests.stored import counts_later
from ebb.interests.totals import (
    Carried,
    Doubles,
    Happened,
    OwnByUser,
    Totals,
    age_days,
    totals,
)
from ebb.lake import Lake


def interests_at(
    root: str,
    as_of: datetime,
    users: Sequence[str] | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Interests valued at `as_of`, of everybody or of some users, under the latest configuration.

    Exactly what a rebuild from the events would give, and what `reader.interests_at` gives with
    Spark, but for the last digits of sums. With `users`, the files and the parts of files that
    hold none of them are skipped.

    Parameters
    ----------
    root : where the tables are: a folder, or a URI that deltalake knows.
    as_of : with a zone; what happened at it or after it isn't known.
    users : ids of users; None means everybody.
    storage_options : deltalake's options for the storage, such as its keys.

    Returns
    -------
    DataFrame of as_of, user_id, facet, key, n, last_ts, one column a measure and a ratio, share,
    rank, drift, trend; by user, facet and rank. Empty numbers are NaN, empty instants NaT.

    Raises
    ------
    RunError
        When no night has computed interests under `root` yet.
    """
    as_of = parse_instant(as_of)
    lake = Lake(root, storage_options)
    states, fits = (partial(lake.newest_first, name) for name in ("interest_state", "half_lives"))
    reading = choose_reading(states, fits, as_of, lake.root)
    setup = reading.setup
    needed = Needed(lake, reading, as_of, users)
    events, sums = needed.events_and_sums()
    events = counted(events, setup.events)
    user_ids = texts([events.column("user_id"), sums.column("user_id")])
    item_ids = texts([events.column("item_id"), sums.column("item_id")])
    keys = item_keys(needed.items(item_ids), item_ids, setup.facets)
    own = _own(needed.half_lives(), user_ids, setup)
    found = totals(
        _happened(events, user_ids, item_ids, setup),
        _carried(sums, user_ids, item_ids, own, setup, micros_of(as_of)),
        keys,
        own,
        setup,
        micros_of(as_of),
    )
    return _frame(found, user_ids, keys, setup, as_of)


def _happened(events: pa.Table, user_ids: pa.Array, item_ids: pa.Array, setup: Setup) -> Happened:
    user = places(events.column("user_id"), user_ids)
    later = np.zeros(len(events))
    if counts_later(setup.interests.measures):
        later = _later(events, user)
    is_on_item = pc.is_valid(events.column("item_id"))
    on_items, at = events.filter(is_on_item), is_on_item.to_numpy()
    return Happened(
        user=user[at],
        item=places(on_items.column("item_id"), item_ids),
        kind=places(on_items.column("event_type"), pa.array(setup.events.types, pa.string())),
        ts=micros(on_items.column("event_ts")),
        weight=on_items.column("weight").to_numpy(),
        later=later[at],
        is_fresh=on_items.column("fresh").to_numpy(),
    )


def _later(events: pa.Table, user: Integers) -> Doubles:
    """The number of the user's later events, by (event_ts, event_id)."""
    newest_first = [
        ("user_id", "ascending"),
        ("event_ts", "descending"),
        ("event_id", "descending"),
    ]
    order = pc.sort_indices(events, sort_keys=newest_first).to_numpy()
    is_first = np.diff(user[order], prepend=-1) != 0
    first = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    later = np.empty(len(events))
    later[order] = np.arange(len(events)) - first
    return later


def _own(half_lives: pa.Table, user_ids: pa.Array, setup: Setup) -> OwnByUser:
    """Half-lives of the users, from rows of user_id, facet, half_life_days."""
    by_facet = {}
    for facet in setup.fit.tuned if setup.fit else ():
        rows = half_lives.filter(pc.equal(half_lives.column("facet"), facet))
        user = places(rows.column("user_id"), user_ids)
        by_facet[facet] = np.full(len(user_ids), np.nan)
        by_facet[facet][user[user >= 0]] = rows.column("half_life_days").to_numpy()[user >= 0]
    return OwnByUser(by_facet)


def _carried(
    sums: pa.Table,
    user_ids: pa.Array,
    item_ids: pa.Array,
    own: OwnByUser,
    setup: Setup,
    as_of: int,
) -> Carried:
    """The stored sums, carried on to `as_of`."""
    age = age_days(as_of, micros(sums.column("as_of")))
    user = places(sums.column("user_id"), user_ids)
    return Carried(
        user=user,
        item=places(sums.column("item_id"), item_ids),
        n=sums.column("n").to_numpy(),
        last_ts=micros(sums.column("last_ts")),
        sums={
            s.name: micros(sums.column(s.name))
            if s.what == "last"
            else sums.column(s.name).to_numpy() * np.exp2(-age / own.of(s, user))
            for s in setup.sums
        },
    )


def _frame(
    found: Totals, user_ids: pa.Array, keys: Keys, setup: Setup, as_of: datetime
) -> pd.DataFrame:
    settings = setup.interests
    facet = keys.facet[found.key]
    stands = standing(found.user, facet, found.key, found.measures, settings)
    columns = {
        "as_of": _instants(np.full(len(facet), micros_of(as_of))),
        "user_id": _texts(user_ids, found.user),
        "facet": np.array(setup.facets, dtype=object)[facet],
        "key": _texts(keys.text, found.key),
        "n": found.n,
        "last_ts": _instants(found.last_ts),
        **_measures(found, settings),
        "share": stands.share,
        "rank": stands.rank.astype(np.int32),
        "drift": stands.drift,
        "trend": stands.trend,
    }
    return pd.DataFrame(columns).take(stands.order).reset_index(drop=True)


def _measures(found: Totals, settings: Interests) -> dict[str, Doubles | pd.DatetimeIndex]:
    """Measures and ratios, by name."""
    columns: dict[str, Doubles | pd.DatetimeIndex] = {}
    for measure in settings.measures:
        value = found.measures[measure.name]
        columns[measure.name] = _instants(value) if measure.aggregate == "last" else value
    for ratio in settings.ratios:
        over, under = found.measures[ratio.of], found.measures[ratio.to]
        empty = np.full(len(over), np.nan)
        columns[ratio.name] = np.divide(over, under, out=empty, where=under != 0)
    return columns


def _instants(micros: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(micros.view("datetime64[us]")).tz_localize("UTC")


def _texts(known: pa.Array, place: Integers) -> npt.NDArray[np.object_]:
    found: npt.NDArray[np.object_] = known.to_numpy(zero_copy_only=False)[place]
    return found
