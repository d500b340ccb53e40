"""Rounding to significant digits in numpy; the same to the last bit in Spark is in `rounding.py`.

Pure Python and numpy; never imports Spark.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

DIGITS = 6
# A double holds 10^308 at most. Powers up to 10^22 are exact in every library's pow(); larger ones
# may differ in the last bit between libraries, so both sides multiply by these same constants.
LARGEST = 308
EXACT = 22
LEAPS = [float(f"1e{k}") for k in range(0, LARGEST + 1, EXACT)]


def significant_array(values: npt.ArrayLike, digits: int = DIGITS) -> npt.NDArray[np.float64]:
    """`rounding.significant` for an array of any shape; bit for bit what Spark gives.

    Parameters
    ----------
    values : numbers; taken as float64.
    digits : 1 to 15.
    """
    check_digits(digits)
    x: npt.NDArray[Any] = np.array(values, dtype=np.float64)
    is_plain = np.isfinite(x) & (x != 0.0)
    plain = x[is_plain]
    k = digits - 1 - np.floor(np.log10(np.abs(plain))).astype(np.int64)
    k = np.clip(k, -LARGEST, LARGEST)
    leaps, rest = np.divmod(np.abs(k), EXACT)
    power = 10.0**rest * np.array(LEAPS)[leaps]
    up = k >= 0
    # Where the other branch applies, 1 keeps it from overflowing unseen.
    times, over = np.where(up, power, 1.0), np.where(up, 1.0, power)
    x[is_plain] = np.rint(plain * times / over) / times * over
    return x + 0.0


def check_digits(digits: int) -> None:
    if not 1 <= digits <= 15:
        raise ValueError(f"digits {digits}: expected 1 to 15, all that a double holds")
