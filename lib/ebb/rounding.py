"""Rounding to significant digits, the same to the last bit in Spark and in numpy.

Sums come out differently in the last bits when threads finish in another order. Scores are
rounded before they are ordered, so that ranks and ties don't hang on that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

DIGITS = 6
# A double holds 10^308 at most. Powers up to 10^22 are exact in every library's pow(); larger ones
# may differ in the last bit between libraries, so both sides multiply by these same constants.
_LARGEST = 308
_EXACT = 22
_LEAPS = [float(f"1e{k}") for k in range(0, _LARGEST + 1, _EXACT)]


def significant(column: Column, digits: int = DIGITS) -> Column:
    """Round to `digits` significant decimal digits: 0.123456789 becomes 0.123457.

    Parameters
    ----------
    column : a double. Null, NaN and infinities stay what they are; values below about
        1e-303 become 0; minus zero becomes zero.
    digits : 1 to 15.

    Notes
    -----
    With e = floor(log10 |x|) and k = digits - 1 - e: rint(x * 10^k) / 10^k, halves to even.
    If log10 errs next to a power of ten, either e rounds to that power of ten.
    """
    _check(digits)
    x = column.cast("double")
    k = F.lit(digits - 1) - F.floor(F.log10(F.abs(x)))
    k = F.least(F.greatest(k, F.lit(-_LARGEST)), F.lit(_LARGEST)).cast("int")
    size = F.abs(k)
    leap = F.get(F.array(*map(F.lit, _LEAPS)), (size / F.lit(_EXACT)).cast("int"))
    power = F.pow(F.lit(10.0), size % F.lit(_EXACT)) * leap
    rounded = F.when(k >= 0, F.rint(x * power) / power).otherwise(F.rint(x / power) * power)
    # The logarithm of zero is null. One coalesce, so that Spark computes k and power once a row.
    # Adding 0.0 turns minus zero, which would order and print apart, into zero.
    return F.coalesce(rounded, x) + F.lit(0.0)


def significant_array(values: npt.ArrayLike, digits: int = DIGITS) -> npt.NDArray[np.float64]:
    """`significant` for an array of any shape; bit for bit what Spark gives.

    Parameters
    ----------
    values : numbers; taken as float64.
    digits : 1 to 15.
    """
    _check(digits)
    x: npt.NDArray[Any] = np.array(values, dtype=np.float64)
    is_plain = np.isfinite(x) & (x != 0.0)
    plain = x[is_plain]
    k = digits - 1 - np.floor(np.log10(np.abs(plain))).astype(np.int64)
    k = np.clip(k, -_LARGEST, _LARGEST)
    leaps, rest = np.divmod(np.abs(k), _EXACT)
    power = 10.0**rest * np.array(_LEAPS)[leaps]
    up = k >= 0
    # Where the other branch applies, 1 keeps it from overflowing unseen.
    times, over = np.where(up, power, 1.0), np.where(up, 1.0, power)
    x[is_plain] = np.rint(plain * times / over) / times * over
    return x + 0.0


def _check(digits: int) -> None:
    if not 1 <= digits <= 15:
        raise ValueError(f"digits {digits}: expected 1 to 15, all that a double holds")
