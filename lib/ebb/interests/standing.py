"""A user's keys against each other in numpy: `profile.py` without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebb.digits import significant_array
from ebb.interests.measures import Drift, Interests

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """Where each (user, facet, key) stands; entries as they were given, but for `order`.

    Attributes
    ----------
    order : the entries by user, facet and rank.
    rank : from 1.
    share, drift : NaN where they are empty.
    trend : rising, fading or steady; None where drift is empty.
    """

    order: Integers
    rank: Integers
    share: Doubles
    drift: Doubles
    trend: npt.NDArray[np.object_]


def standing(
    user: Integers,
    facet: Integers,
    key: Integers,
    measures: Mapping[str, Doubles],
    settings: Interests,
) -> Standing:
    """Rank, share, drift and trend, by the rules of `profile.with_profile`.

    Parameters
    ----------
    user, facet, key : numbers that order as their texts do.
    measures : by name, NaN for empty.
    """
    # NaN comes last, as an empty one does.
    falling = -significant_array(measures[settings.rank_by])
    order = np.lexsort((key, falling, facet, user))
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (np.diff(user[order]) != 0) | (np.diff(facet[order]) != 0)
    first = np.flatnonzero(is_first)
    of_order = np.cumsum(is_first) - 1
    rank, group = np.empty_like(order), np.empty_like(order)
    rank[order] = np.arange(len(order)) - first[of_order] + 1
    group[order] = of_order
    plain = _plain_share(measures[settings.rank_by], group)
    share = plain if settings.share == "plain" else _softmax(plain, group, settings.temperature)
    if settings.drift is None:
        drift = np.full(len(order), np.nan)
        return Standing(order, rank, share, drift, np.full(len(order), None))
    drift = _plain_share(measures[settings.drift.short], group) - _plain_share(
        measures[settings.drift.long], group
    )
    return Standing(order, rank, share, drift, _trend(drift, settings.drift))


def _plain_share(values: Doubles, group: Integers) -> Doubles:
    positive = np.fmax(values, 0.0)
    total = np.bincount(group, positive)[group]
    empty: Doubles = np.full(len(total), np.nan)
    return np.divide(positive, total, out=empty, where=total > 0)


def _softmax(shares: Doubles, group: Integers, temperature: float) -> Doubles:
    raised: Doubles = np.exp((shares - 1.0) / temperature)
    shares = raised / np.bincount(group, raised)[group]
    return shares


def _trend(drift: Doubles, settings: Drift) -> npt.NDArray[np.object_]:
    is_known = ~np.isnan(drift)
    trend: npt.NDArray[np.object_] = np.full(len(drift), None)
    trend[is_known] = "steady"
    trend[is_known & (drift >= settings.threshold)] = "rising"
    trend[is_known & (drift <= -settings.threshold)] = "fading"
    return trend
