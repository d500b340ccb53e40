"""From sums to measures in numpy, for the readers without Spark; `sums.py` has it in Spark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ebb.interests.stored import NOTHING

Doubles = npt.NDArray[np.float64]


def flushed(values: Doubles) -> Doubles:
    """The values, or 0 where next to nothing is left of them."""
    return np.where(np.abs(values) < NOTHING, 0.0, values)


def quotient(over: Doubles, under: Doubles | None = None) -> Doubles:
    """The sums themselves, or the averages: NaN where there is no sum to divide by."""
    if under is None:
        return flushed(over)
    is_known = np.abs(under) >= NOTHING
    empty: Doubles = np.full(len(over), np.nan)
    return np.divide(over, under, out=empty, where=is_known)
