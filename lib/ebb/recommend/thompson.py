"""Which items of a pool may well be taken most, as far as impressions tell. Pure numpy.

Thompson sampling (Thompson 1933; Chapelle & Li 2011): of an item that was shown and taken a times,
shown and left b times, the share that takes it is taken for a draw from Beta(a + 1, b + 1), and the
item with the largest draw is shown. How likely an item is to have the largest has no closed form.
Here a fixed number of seeded draws of each item says how often it does, and a place is then drawn
by these very shares (`explore.draw`): so that the logged probability is exact, not an estimate.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from ebb.recommend.catalogue import Catalogue, Doubles, Integers

Floats = npt.NDArray[np.float32]

SAMPLES = 1_000
# Items whose samples a Python worker keeps, 4 kB each: the same few are in many users' pools.
_KEPT = 4_096


def samples_of(catalogue: Catalogue, items: Integers, as_of: int, seed: int) -> Floats:
    """(m, SAMPLES) of the share that takes each item where it is shown.

    They hang on the item, what is known of it, `as_of` and `seed` alone, not on who is in the pool.

    Parameters
    ----------
    items : (m,) places in the catalogue. as_of : microseconds since 1970.
    """
    samples: Floats = np.zeros((len(items), SAMPLES), dtype=np.float32)
    for row, item in enumerate(items.tolist()):
        taken, left = catalogue.tried[item].tolist()
        samples[row] = _samples(seed, as_of, catalogue.ids[item].as_py(), taken, left)
    return samples


def shares_of_best(samples: Floats) -> Doubles:
    """(m,) the part of the samples in which each item has the largest; of equal ones the first."""
    best = np.bincount(samples.argmax(axis=0), minlength=len(samples))
    shares: Doubles = best / samples.shape[1]
    return shares


@lru_cache(maxsize=_KEPT)
def _samples(seed: int, as_of: int, item_id: str, taken: float, left: float) -> Floats:
    key = blake2b(f"thompson|{seed}|{as_of}|{item_id}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(key, "big"))
    return random.beta(taken + 1.0, left + 1.0, SAMPLES).astype(np.float32)
