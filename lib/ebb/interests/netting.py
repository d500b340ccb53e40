"""Which events count at an as_of, and for how much: `counted.py` without Spark.

Only the (user, item) that ever saw a cancellation are looked at; all else stays as it was read.
Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ebb.config import Events, EventType, ValueTransform

# A remainder below this part of the quantity is the rounding of float sums, not a quantity.
DUST = 1e-9
_PAIR = ["user_id", "item_id"]
_STACK = [*_PAIR, "order_id", "stack"]
_Doubles = npt.NDArray[np.float64]


def among(rows: pa.Table, pairs: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether the (user_id, item_id) of each row is one of `pairs`; none equals none."""
    users, items = (pc.unique(pairs.column(name)) for name in _PAIR)

    def number(table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        user, item = (
            pc.index_in(table.column(name), value_set=known).cast(pa.int64()).fill_null(-1)
            for name, known in zip(_PAIR, (users, items), strict=True)
        )
        user, item = user.to_numpy(), item.to_numpy()
        return user * len(items) + item, (user >= 0) & (item >= 0)

    (code, is_known), (wanted, _) = number(rows), number(pairs)
    return np.isin(code, wanted) & is_known


def counted(events: pa.Table, settings: Events) -> pa.Table:
    """`events` without the cancelling ones and what they take back wholly; weights of the rest.

    Parameters
    ----------
    events : strictly before the as_of, with at least event_id, user_id, item_id, order_id,
        event_type, event_ts, value, weight.
    """
    cancelled_by = settings.cancelled_by()
    if not cancelled_by:
        return events
    takes = pc.is_in(events.column("event_type"), pa.array(sorted(set(cancelled_by.values()))))
    cancels = events.filter(takes)
    if not len(cancels):
        return events
    rows = np.flatnonzero(among(events, cancels))
    left = _left(events.take(rows).to_pandas(), cancelled_by, settings.types)
    weights = np.array(events.column("weight").to_numpy())
    weights[rows] = left.weight
    stays = np.ones(len(events), dtype=np.bool_)
    stays[rows] = left.stays
    place = events.schema.get_field_index("weight")
    return events.set_column(place, "weight", pa.array(weights)).filter(pa.array(stays))


def _left(
    events: pd.DataFrame, cancelled_by: Mapping[str, str], types: Mapping[str, EventType]
) -> pd.DataFrame:
    """What is left of each event, in its row: `weight`, and `stays`, whether it still counts.

    Last in, first out, in the closed form of `counted.py`.
    """
    cancellers = set(cancelled_by.values())
    stack = {**cancelled_by, **{name: name for name in cancellers}}
    events = events.assign(
        stack=events["event_type"].map(stack), is_cancel=events["event_type"].isin(cancellers)
    )
    events["pair"] = events.groupby(_STACK, dropna=False, sort=False).ngroup()
    has_cancel = events.groupby("pair")["is_cancel"].transform("any")
    events["stays"] = ~events["is_cancel"]
    netted = events[has_cancel].sort_values(["pair", "event_ts", "is_cancel", "event_id"])
    stays, weight = _netted(netted, types)
    events.loc[netted.index, "stays"] = stays
    events.loc[netted.index, "weight"] = weight
    return events


def _netted(
    events: pd.DataFrame, types: Mapping[str, EventType]
) -> tuple[npt.NDArray[np.bool_], _Doubles]:
    """Whether events stay, and their weights; pair after pair, in the order of time."""
    is_cancel = events["is_cancel"].to_numpy()
    given = events["value"].fillna(1.0)
    quantity = np.where(is_cancel, given.abs(), given.clip(lower=0.0))
    pair = events["pair"].to_numpy()
    balance = pd.Series(np.where(is_cancel, -quantity, quantity)).groupby(pair).cumsum()
    height = balance - balance.groupby(pair).cummin().clip(upper=0.0)
    lowest_to_come = height[::-1].groupby(pair[::-1]).cummin()[::-1]
    remaining: _Doubles = np.clip((lowest_to_come - height).to_numpy() + quantity, 0.0, quantity)
    stays = ~is_cancel & ((quantity == 0) | (remaining > quantity * DUST))
    is_partly = remaining < quantity * (1.0 - DUST)
    rest = _weight_of(types, events["event_type"].to_numpy(), remaining)
    return stays, np.where(is_partly, rest, events["weight"].to_numpy())


def _weight_of(
    types: Mapping[str, EventType], event_types: npt.NDArray[Any], values: _Doubles
) -> _Doubles:
    """weight = a * v of events with a value."""
    weight = np.zeros(len(values))
    for name, kind in types.items():
        own = event_types == name
        weight[own] = kind.weight * _transformed(kind.value, values[own])
    return weight


def _transformed(transform: ValueTransform | None, values: _Doubles) -> _Doubles:
    if transform is None:
        return np.ones(len(values))
    match transform.transform:
        case "none":
            return values
        case "log1p":
            return np.log1p(np.maximum(values, 0.0))
        case "clip":
            return np.clip(values, transform.low, transform.high)
