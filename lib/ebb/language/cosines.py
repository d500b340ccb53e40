"""Cosines of vectors, the same to the last bit however rows lie in batches. Numpy alone.

Entries are taken as whole multiples of 2⁻²⁴. Products of them are multiples of 2⁻⁴⁸, and by the
inequality of Cauchy and Schwarz no part of a sum of vectors of length 1 is much above 1: all of it
fits into the 53 bits of a double, so that nothing is rounded whatever the order of summing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SCALE = 2.0**24


def whole(vectors: npt.NDArray[np.floating]) -> Doubles:
    """(n, r) entries of vectors of length 1 as whole numbers, multiples of 1 / `SCALE`."""
    return np.rint(np.asarray(vectors, dtype=np.float64) * SCALE)


def cosines(vectors: Doubles, others: Doubles) -> Doubles:
    """(n, k) cosines of `whole` vectors; 0 with a vector of zeros."""
    found: Doubles = (vectors @ others.T) / SCALE**2
    return found


def nearest(vectors: Doubles, centres: Doubles) -> Integers:
    """(n,) the first of the nearest of (k, r) centres; -1 for a vector of zeros, or without any."""
    if not len(centres):
        return np.full(len(vectors), -1)
    found = cosines(vectors, centres).argmax(axis=1)
    return np.where(vectors.any(axis=1), found, -1)


def rows_of(vectors: pa.Array) -> Doubles:
    """(n, r) of a column of vectors of one length, as `whole` gives them."""
    if not len(vectors):
        return np.zeros((0, 1))
    return whole(vectors.flatten().to_numpy().reshape(len(vectors), -1))
