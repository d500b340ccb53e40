"""A score and a place as one number that orders as they do. Pure numpy; never imports Spark.

A key holds in its upper 32 bits the score, rounded to 5 significant digits, and in its lower ones
the place, counted from the end: the higher key has the higher rounded score or, at the same one,
the lower place. Key 0 stands for no item. One integer sorts faster than two columns do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ebb.digits import EXACT, LEAPS

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

DIGITS = 5
_SIGN, _ALL, _HALF = np.uint32(1 << 31), np.uint64(0xFFFFFFFF), np.uint64(32)
# Of each power of 2 that single precision holds: the largest power of 10 that isn't above it (as a
# number in the two lists below), and the next one; and what to multiply a score by, then to divide
# it by, to have 5 digits before the point, as in `ebb.digits`.
_LEAST_EXPONENT = -149
_LOG10 = np.floor(np.log10(2.0 ** np.arange(_LEAST_EXPONENT, 128))).astype(np.int64)
_DECADE, _NEXT_DECADE = _LOG10 - _LOG10[0], 10.0 ** (_LOG10 + 1)
_K = DIGITS - 1 - np.arange(_LOG10[0], _LOG10[-1] + 2)
_POWER = 10.0 ** (np.abs(_K) % EXACT) * np.array(LEAPS)[np.abs(_K) // EXACT]
_TIMES, _OVER = np.where(_K >= 0, _POWER, 1.0), np.where(_K >= 0, 1.0, _POWER)


def rounded(scores: Floats) -> Floats:
    """`ebb.digits.significant_array` to 5 digits, in single precision and several times faster."""
    x = scores.astype(np.float64)
    exponent = (x.view(np.int64) >> 52 & 0x7FF) - 1023 - _LEAST_EXPONENT
    np.clip(exponent, 0, len(_DECADE) - 1, out=exponent)
    k = _DECADE[exponent] + (np.abs(x) >= _NEXT_DECADE[exponent])
    times, over = _TIMES[k], _OVER[k]
    x *= times
    x /= over
    np.rint(x, out=x)
    x /= times
    x *= over
    x += 0.0  # makes zero of minus zero
    return x.astype(np.float32)


def keys_of(scores: Floats, places: Integers) -> Keys:
    """Keys of finite scores, of any shape, and places below 2^32."""
    bits = rounded(scores).view(np.uint32)
    # Bits of positive numbers order as the numbers do, those of negative ones the other way round.
    ordered = np.where(bits >> 31, ~bits, bits | _SIGN)
    return ordered.astype(np.uint64) << _HALF | (_ALL - places.astype(np.uint64))


def places_of(keys: Keys) -> Integers:
    """The places, -1 where there is no item."""
    return np.where(keys == 0, -1, (_ALL - (keys & _ALL)).astype(np.int64))


def scores_of(keys: Keys) -> Floats:
    """The rounded scores, -inf where there is no item."""
    ordered = (keys >> _HALF).astype(np.uint32)
    bits = np.where(ordered >> 31, ordered ^ _SIGN, ~ordered)
    return np.where(keys == 0, np.float32(-np.inf), bits.view(np.float32))
