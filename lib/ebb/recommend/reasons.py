"""Why an item is in a slate, as a support person would say it.

A score is a sum of parts: one for each source and, but for popularity, for each item of the
user's past that the source leaned on. Reasons are its largest parts. They cite nothing but items
that the user took before as_of and that added to the score. Never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ebb.models.foldin import contributions
from ebb.recommend.catalogue import Catalogue
from ebb.recommend.histories import Doubles, History, Integers
from ebb.recommend.scoring import (
    ALS,
    HISTORY,
    NEIGHBOURS,
    NOTHING,
    POPULARITY,
    Blending,
    neighbour_entries,
)
from ebb.rounding import significant_array

MOST_REASONS = 3
COLD = "We don't know you yet: this is popular now."
POPULAR = "Popular now with everyone."
FILLER = "Nothing speaks for it yet: it fills up your list."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Reason:
    """One part of a score.

    Attributes
    ----------
    source : place in `SOURCES`.
    entry : the entry of the user's history that it cites; None for popularity.
    contribution : what it adds to the score, in 6 significant digits.
    """

    source: int
    entry: int | None
    contribution: float


def explain(
    catalogue: Catalogue,
    user: History,
    blending: Blending,
    scales: Doubles,
    vector: Doubles,
    slate: Integers,
) -> tuple[Integers, list[list[Reason]]]:
    """Each slate item's main source and its reasons.

    Parameters
    ----------
    scales, vector : (4,) and (rank,), the user's row of `Scores`.
    slate : (k,) places of the items.

    Returns
    -------
    sources : (k,) the source with the largest part, ties in the order of `SOURCES`; popularity
        where the score is 0.
    reasons : at most 3 an item: those of the main source first, then of the next, each with its
        largest parts first, ties in the order of `SOURCES` and of item_id; a past item is cited
        once.
    """
    parts = _parts(catalogue, user, blending, scales, slate)
    sums = np.zeros((len(slate), 4))
    sums[:, [HISTORY, NEIGHBOURS]] = parts[[HISTORY, NEIGHBOURS]].sum(axis=2).T
    # Negative parts count here: a source gives what it adds up to.
    als = scales[ALS] * (catalogue.factors[slate].astype(np.float64) @ vector)
    sums[:, ALS] = np.where(als < NOTHING * blending.weights[ALS], 0.0, als)
    sums[:, POPULARITY] = scales[POPULARITY] * catalogue.popularity[slate]
    sums = significant_array(np.maximum(sums, 0.0))
    sources = np.where(sums.any(axis=1), sums.argmax(axis=1), POPULARITY)
    rounded = significant_array(np.maximum(parts, 0.0))
    # Stable: equal parts stay in the order of item_id.
    largest = np.argsort(-rounded, axis=2, kind="stable")[:, :, :MOST_REASONS]
    values = np.take_along_axis(rounded, largest, axis=2)
    reasons = [
        _strongest(sums[row], largest[:, row].tolist(), values[:, row].tolist())
        for row in range(len(slate))
    ]
    return sources, reasons


def sentence(catalogue: Catalogue, user: History, reason: Reason, is_filler: bool = False) -> str:
    """Say a reason aloud."""
    if reason.entry is None:
        if is_filler:
            return FILLER
        return POPULAR if user.n.any() else COLD
    title = catalogue.titles[user.items[reason.entry]].as_py()
    day = date_of(int(user.last_ts[reason.entry]))
    if reason.source == HISTORY:
        n = int(user.n[reason.entry])
        return f"You took it {n} times, last on {day}." if n > 1 else f"You took it on {day}."
    if reason.source == NEIGHBOURS:
        return f"People who took {title} also take this; you took {title} on {day}."
    return f"People of your taste take this; you took {title} on {day}."


def date_of(micros: int) -> str:
    """The UTC day of an instant given in microseconds since 1970."""
    return (_EPOCH + timedelta(microseconds=micros)).date().isoformat()


def _parts(
    catalogue: Catalogue, user: History, blending: Blending, scales: Doubles, slate: Integers
) -> Doubles:
    """(3, k, entries) for history, neighbours, als: what each past item adds to each score."""
    parts = np.zeros((POPULARITY, len(slate), len(user.items)))
    if scales[HISTORY] > 0.0:
        row, entry = np.nonzero(slate[:, None] == user.items[None, :])
        parts[HISTORY, row, entry] = np.maximum(user.history[entry], 0.0) * scales[HISTORY]
    if scales[NEIGHBOURS] > 0.0:
        row_of = np.full(len(catalogue), -1)
        row_of[slate] = np.arange(len(slate))
        entries, items, strength = neighbour_entries(catalogue, user)
        in_slate = row_of[items] >= 0
        at = (row_of[items[in_slate]], entries[in_slate])
        np.add.at(parts[NEIGHBOURS], at, strength[in_slate] * scales[NEIGHBOURS])
    if scales[ALS] > 0.0:
        entries = blending.learned(catalogue, user)
        parts[ALS][:, entries] = scales[ALS] * contributions(
            catalogue.factors,
            user.items[entries],
            user.confidence[entries],
            catalogue.gram,
            blending.alpha,
            blending.regularization,
            slate,
        )
    return parts


def _strongest(sums: Doubles, entries: list[list[int]], values: list[list[float]]) -> list[Reason]:
    """The largest parts of one item's score, from each source's largest."""
    found = [
        Reason(source, entry, contribution)
        for source in (HISTORY, NEIGHBOURS, ALS)
        # A source that adds nothing up can't be a reason, whatever its parts.
        if sums[source] > 0.0
        for entry, contribution in zip(entries[source], values[source], strict=True)
        if contribution > 0.0
    ]
    if sums[POPULARITY] > 0.0:
        found.append(Reason(POPULARITY, None, float(sums[POPULARITY])))
    # The source that gave most speaks first, as `source` says; within one, the largest part.
    found.sort(key=lambda r: (-sums[r.source], r.source, -r.contribution, r.entry or 0))
    chosen: dict[int | None, Reason] = {}
    for reason in found:
        chosen.setdefault(reason.entry, reason)
    return list(chosen.values())[:MOST_REASONS] or [Reason(POPULARITY, None, 0.0)]
