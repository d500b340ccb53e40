"""Which of a user's candidates a training set keeps: all that were taken, some of the others.

Of the others, those that the user was really shown come first: who saw an item and left it said
more than who never did. Which ones is up to a hash of user and item, so that each run keeps the
same whatever the order or the partitions. Pure numpy; never imports Spark.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from ebb.recommend.catalogue import Booleans, Doubles, Integers

Hashes = npt.NDArray[np.uint64]


def kept_candidates(
    id_hashes: Hashes,
    user_id: str,
    items: Integers,
    is_label: Booleans,
    is_shown: Booleans,
    most: int | None,
) -> tuple[Integers, Doubles]:
    """Rows of a user's candidates that are kept, ascending, and what each stands for.

    Parameters
    ----------
    id_hashes : (m,) `catalogue.crc32s` of all ids.
    items : (c,) places. is_label, is_shown : (c,) taken, and shown, in the label window.
    most : candidates kept of those that weren't taken; None keeps all.

    Returns
    -------
    rows : (k,). weights : (k,) 1 for what was taken; for what was shown and not taken, and for the
        rest, how many there were over how many were kept. Where those that were shown leave no
        room, none of the rest is kept and nothing stands for it.
    """
    others = np.flatnonzero(~is_label)
    weights = np.ones(len(items))
    if most is None or len(others) <= most:
        return np.arange(len(items)), weights
    mixed = np.zeros(len(items), dtype=np.uint64)
    mixed[others] = _mixed(id_hashes[items[others]] ^ (_crc(user_id) << np.uint64(32)))
    kept, room = [np.flatnonzero(is_label)], most
    for part in (others[is_shown[others]], others[~is_shown[others]]):
        chosen = part[np.lexsort((items[part], mixed[part]))[:room]]
        weights[chosen] = len(part) / max(1, len(chosen))
        room -= len(chosen)
        kept.append(chosen)
    rows = np.sort(np.concatenate(kept))
    return rows, weights[rows]


def _crc(text: str) -> np.uint64:
    return np.uint64(zlib.crc32(text.encode()))


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: each bit of the input moves every bit of the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
