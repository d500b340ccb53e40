"""The exact top n of many scores, ties by place. Pure numpy; never imports Spark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ebb.rounding import significant_array

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Rounding to 6 significant digits moves a score by less than this part of it.
_ROUNDING = 1e-5


def top_n(scores: Doubles, n: int) -> Integers:
    """Places of the n highest rounded scores, highest first, ties by place.

    Parameters
    ----------
    scores : (m,), at least 0; -inf for what must not be chosen. Rounded to 6 significant digits
        before they are compared.

    Returns
    -------
    (min(n, allowed),).

    Notes
    -----
    Rounding keeps order (a higher score is never rounded below a lower one), so whatever rounds
    to the n-th score or above lies above the n-th score less one rounding: only those few are
    rounded and sorted. Scores of 0 tie by the hundred thousand: of them the first n are enough.
    """
    allowed = int(np.count_nonzero(scores > -np.inf))
    n = min(n, allowed)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    threshold = np.partition(scores, len(scores) - n)[len(scores) - n]
    candidates = np.flatnonzero(scores >= threshold * (1.0 - _ROUNDING))
    if threshold <= 0.0:
        zeros = np.flatnonzero(scores == 0.0)[:n]
        candidates = np.union1d(np.flatnonzero(scores > 0.0), zeros)
    rounded = significant_array(scores[candidates])
    chosen: Integers = candidates[np.lexsort((candidates, -rounded))[:n]].astype(np.int64)
    return chosen
