"""Random numbers of the demo world that depend on (seed, whom, what for, count) and nothing else.

A counter-based generator: a number is a hash of its address, so that a user's draws are the
same in whatever batch, partition or process they are made, and a whole batch of users is
drawn in one numpy call. (numpy's Generators hold a state each: one per user would cost a
Python loop.) Pure numpy; never imports Spark.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(z: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection on 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def keys(seed: int, kind: str, numbers: Ints) -> Keys:
    """One independent stream a number.

    Parameters
    ----------
    seed : the world's seed.
    kind : what is numbered, e.g. ``user``.
    numbers : which of them, any shape.

    Returns
    -------
    64-bit keys of the same shape.
    """
    root = np.array([seed % 2**64], dtype=np.uint64)
    root = _mix(_mix(root + _GOLDEN) + np.uint64(zlib.crc32(kind.encode())))
    return children(np.broadcast_to(root, numbers.shape), numbers)


def children(parents: Keys, numbers: Ints) -> Keys:
    """Streams below streams: one for each (parent, number) of two arrays of one shape."""
    return _mix(parents + (numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def uniform(streams: Keys, purpose: str, count: int = 0) -> Floats:
    """Uniform on [0, 1), one a stream; another `purpose` or `count` gives an independent one."""
    address = np.array([count], dtype=np.uint64) * _GOLDEN
    address = address + np.array([zlib.crc32(purpose.encode())], dtype=np.uint64)
    bits = _mix(_mix(streams + _mix(address)) + _GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def exponential(streams: Keys, purpose: str, count: int = 0) -> Floats:
    """Exponential with mean 1."""
    return -np.log1p(-uniform(streams, purpose, count))


def normal(streams: Keys, purpose: str, limit: float) -> Floats:
    """Standard normal by Box and Muller, bounded at plus and minus `limit`."""
    radius = np.sqrt(2.0 * exponential(streams, purpose, 0))
    drawn = radius * np.cos(2.0 * np.pi * uniform(streams, purpose, 1))
    bounded: Floats = np.clip(drawn, -limit, limit)
    return bounded


def integer(streams: Keys, purpose: str, below: int, count: int = 0) -> Ints:
    """Integer, each of 0 … below - 1 as likely."""
    return (uniform(streams, purpose, count) * below).astype(np.int64)
