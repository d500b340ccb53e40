"""What trees may look at beside the features of the blend: user, item, calendar, context.

The blend can't use what is the same for all of a user's candidates; trees can, since they split on
it first and on what differs below. Pure numpy; never imports Spark, and sees nothing at or after
as_of.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from ebb.recommend.catalogue import Catalogue, Doubles
from ebb.recommend.scoring import Candidates, Plan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_A_DAY = 86_400e6
_LEAST_DAYS, _NEVER_DAYS = 0.05, 1000.0
_LEAST_EVENTS = 0.1
# So many events of doubt that an item's contexts are other than everybody's.
_DOUBT = 10.0

Matrix = npt.NDArray[np.float32]


def matrix_of(catalogue: Catalogue, plan: Plan, one: Candidates) -> Matrix:
    """(c, f + e) what trees look at of a user's candidates: the blend's features, then those of
    `Columns.beside`."""
    own = [one.features, beside(catalogue, plan, one)]
    return np.concatenate(own, axis=1, dtype=np.float32)


def beside(catalogue: Catalogue, plan: Plan, one: Candidates) -> Doubles:
    """(c, e) the features of `Columns.beside` for a user's candidates.

    Logarithms of counts and days, an event counting by its weight over the mean one's; of the
    calendar, the hour, weekday (Monday is 0) and month of as_of in UTC; declared numbers as they
    are, and less the mean over the distinct items that the user took; how well an item goes with
    where the user was last (`Contexts.lifts`). What isn't known is NaN, which trees take as
    missing.
    """
    past, items = one.past, one.items
    taken = past.n > 0
    idle = _NEVER_DAYS
    if taken.any():
        idle = (plan.as_of - int(past.last_ts[taken].max())) / _MICROS_A_DAY + _LEAST_DAYS
    at = _EPOCH + timedelta(microseconds=plan.as_of)
    of_user = [np.log1p(past.n.sum()), np.log1p(taken.sum()), np.log(idle)]
    same = np.array([*of_user, at.hour, at.weekday(), at.month], dtype=np.float64)
    events = np.maximum(catalogue.popularity[items, -1], 0.0) / plan.mean_weight
    age = np.log(np.maximum(catalogue.age_days[items], _LEAST_DAYS))
    numbers = catalogue.numbers[items]
    return np.column_stack(
        [
            np.broadcast_to(same, (len(items), len(same))),
            np.log(_LEAST_EVENTS + events),
            age,
            numbers,
            numbers - _usual(catalogue.numbers[past.items[taken]]),
            *_context_lifts(catalogue, plan, one),
        ]
    )


def _context_lifts(catalogue: Catalogue, plan: Plan, one: Candidates) -> list[Doubles]:
    keys = plan.columns.context
    last = one.past.context or (None,) * len(keys)
    doubt = _DOUBT * plan.mean_weight
    return [
        catalogue.contexts[key].lifts(value, one.items, doubt)
        for key, value in zip(keys, last, strict=True)
    ]


def _usual(numbers: Doubles) -> Doubles:
    """(k,) the mean of each column over the rows that have it; NaN where none has."""
    is_known = ~np.isnan(numbers)
    count = is_known.sum(axis=0)
    total = np.where(is_known, numbers, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
