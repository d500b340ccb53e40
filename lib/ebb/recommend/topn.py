"""The exact top n of a matrix product, a tile of items at a time. Pure numpy; never imports Spark.

The product of users and items is never whole in memory. A tile of it is made for a strip of users,
what must not be recommended is set to -inf in it, and the few cells that can still get among a
user's n best are merged into them: those above the n-th best so far or, in the first tile, above
the n-th highest of the maxima of 16 cells each. Scores are compared after rounding to 5
significant digits, so that the last bits of a sum decide nothing; items whose scores round alike
go by place. `score_keys.py` makes one number of both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ebb.recommend.score_keys import Floats, Integers, Keys, keys_of, places_of, rounded, scores_of

Booleans = npt.NDArray[np.bool_]

# Fastest of those tried on ranks 64 and 128. Strips of a tile stay in the processor's outer cache;
# rows of up to 4,096 cells numpy would copy about before it compares them.
STRIP, TILE = 512, 5000
# Cells that share a maximum, unless that left fewer groups than this times n.
_GROUP, _GROUPS_AN_ITEM = 16, 4
# A row with more hopeful cells than this times n has a threshold far too low, or many ties.
_CROWD = 4
# What rounds to a score is less than 5.1e-5 of it below it; what rounds to more than a score is at
# least 4.9e-6 of it above it. The rest is left to what single precision itself loses.
_BELOW, _ABOVE = np.float32(5.2e-5), np.float32(4.7e-6)


def top_of_product(
    vectors: Floats,
    factors: Floats,
    n: int,
    *,
    allowed: Booleans | None = None,
    seen_starts: npt.NDArray[np.integer] | None = None,
    seen_places: npt.NDArray[np.integer] | None = None,
    tile: int = TILE,
) -> tuple[Integers, Floats]:
    """The n items with the highest dot products of each user, highest first, ties by place.

    Parameters
    ----------
    vectors : (b, r) finite, one row a user.
    factors : (m, r) finite, one row an item, in the order of item ids; may be a read-only map of
        a file. m below 2^32.
    n : at least 1.
    allowed : (m,) items that may be recommended to anybody; None for all.
    seen_starts, seen_places : (b + 1,) and (s,): what user i must not get are the places
        ``seen_places[seen_starts[i]:seen_starts[i + 1]]``, in any order; None for nothing.
    tile : items scored at a time; a strip of at most STRIP users times so many scores is held.

    Returns
    -------
    (b, n) places, -1 where fewer items may be recommended.
    (b, n) scores, rounded to 5 significant digits; -inf where there is no place.

    Raises
    ------
    ValueError
        When shapes don't fit each other, or a place to leave out is none of an item.
    """
    _check(vectors, factors, n, allowed, seen_starts, seen_places, tile)
    # Column j of the product is item columns[j]; None where columns are places.
    columns = None if allowed is None or allowed.all() else np.flatnonzero(allowed)
    barred = _barred(seen_starts, seen_places, allowed, columns)
    best = np.zeros((len(vectors), n), dtype=np.uint64)
    low = np.full(len(vectors), -np.inf, dtype=np.float32)
    for own, start, scores in _products(vectors, factors, columns, tile):
        scores[_within(barred, own, start, scores.shape[1])] = -np.inf
        best[own] = _merged(best[own], *_hopeful(scores, low[own], n, start))
        low[own] = _to_beat(best[own, 0])
    best.sort(axis=1)
    best = best[:, ::-1]
    found = places_of(best)
    # Column -1 is the last of these.
    return found if columns is None else np.append(columns, -1)[found], scores_of(best)


# --------------------------------------------------------------------------- the product
def _products(
    vectors: Floats, factors: Floats, columns: Integers | None, tile: int
) -> Iterator[tuple[slice, int, Floats]]:
    """Rows, first column and scores of each part of the product, in a buffer that is used again.

    The scores are as many rows as a strip has or fewer, and an odd number of times _GROUP columns:
    a power of 2 would put a column's cells into the same few lines of the cache. What is there
    beyond the last column is -inf.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    count = len(factors) if columns is None else len(columns)
    buffer = np.empty(min(len(vectors), STRIP) * _padded(min(tile, count)), dtype=np.float32)
    for start in range(0, count, tile):
        own = slice(start, start + tile)
        items = factors[own] if columns is None else factors[columns[own]]
        width = _padded(len(items))
        for first in range(0, len(vectors), STRIP):
            users = vectors[first : first + STRIP]
            scores = buffer[: len(users) * width].reshape(len(users), width)
            np.matmul(users, items.T, out=scores[:, : len(items)])
            scores[:, len(items) :] = -np.inf
            yield slice(first, first + len(users)), start, scores


def _padded(width: int) -> int:
    return (-(-width // _GROUP) | 1) * _GROUP


def _barred(
    starts: npt.NDArray[np.integer] | None,
    places: npt.NDArray[np.integer] | None,
    allowed: Booleans | None,
    columns: Integers | None,
) -> tuple[Integers, Integers]:
    """Rows and columns of the product that must not be chosen, in the order of the rows."""
    if starts is None or places is None or len(places) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    own = places[starts[0] : starts[-1]].astype(np.int64)
    if allowed is not None and columns is not None:
        is_column = allowed[own]
        rows, own = rows[is_column], np.searchsorted(columns, own[is_column])
    return rows, own


def _within(
    barred: tuple[Integers, Integers], own: slice, start: int, width: int
) -> tuple[Integers, Integers]:
    """Of what is barred, the cells of one part of the product."""
    rows, columns = barred
    part = slice(*np.searchsorted(rows, (own.start, own.stop)))
    at = columns[part] - start
    # What is below 0 is above any width once its sign is overlooked.
    inside = np.flatnonzero(at.view(np.uint64) < width)
    return rows[part][inside] - own.start, at[inside]


# --------------------------------------------------------------------------- choosing
def _hopeful(scores: Floats, low: Floats, n: int, start: int) -> tuple[Integers, Keys]:
    """Row and key of every cell that may be among the n best of its row; at most a few n a row.

    Parameters
    ----------
    scores : (b, w); spoilt. low : (b,) what a score must be above. start : the first cell's column.

    Returns
    -------
    (k,) rows in their order, and (k,) keys.
    """
    found = _above(scores, low, n) if (low > -np.inf).all() else None
    if found is None:
        # As many cells as there are peaks above it are not below the n-th highest peak.
        low = np.maximum(low, _just_below(_nth(_peaks(scores, n), n)))
        found = _above(scores, low, n)
    if found is not None:
        rows, columns, values = found
        return rows, keys_of(values, columns + start)
    # Ties by the hundred, or all good items in a few groups: such rows one at a time.
    crowded = np.flatnonzero(np.count_nonzero(scores > low[:, None], axis=1) > _CROWD * n)
    few = [_best_of_row(scores[row], low[row], n, start) for row in crowded]
    scores[crowded] = -np.inf
    rows, keys = _hopeful(scores, low, n, start)
    rows = np.concatenate([rows, np.repeat(crowded, [len(own) for own in few])])
    order = np.argsort(rows, kind="stable")
    return rows[order], np.concatenate([keys, *few])[order]


def _above(scores: Floats, low: Floats, n: int) -> tuple[Integers, Integers, Floats] | None:
    """Row, column and score of the cells above `low`; None where a row has very many of them."""
    # Eight marks at a time, since hardly any is set.
    marks = (scores > low[:, None]).view(np.uint64).ravel()
    some = np.flatnonzero(marks != 0)
    if len(some) > _CROWD * n * len(scores):
        return None
    at = np.flatnonzero(marks[some].view(np.bool_))
    cells = some[at >> 3] * 8 + (at & 7)
    rows, columns = np.divmod(cells, scores.shape[1])
    if len(rows) and int(np.bincount(rows).max()) > _CROWD * n:
        return None
    return rows, columns, scores.ravel()[cells]


def _peaks(scores: Floats, n: int) -> Floats:
    """(b, w / g) the largest of every g cells of a row, g a power of 2."""
    group, width = _GROUP, scores.shape[1]
    while group > 1 and width < group * _GROUPS_AN_ITEM * n:
        group //= 2
    peaks: Floats = scores.reshape(len(scores), group, width // group).max(axis=1)
    return peaks


def _best_of_row(scores: Floats, low: np.float32, n: int, start: int) -> Keys:
    """The n best keys of one row, however many of its cells are above `low`."""
    columns = np.flatnonzero(scores > low)
    values = scores[columns]
    if len(values) > n:
        # Of cells that are equal to the last bit the first n are enough.
        is_tie = values == _nth(values[None], n)
        is_tie[np.flatnonzero(is_tie)[:n]] = False
        values, columns = values[~is_tie], columns[~is_tie]
    keys = keys_of(values, columns + start)
    return np.partition(keys, len(keys) - n)[-n:] if len(keys) > n else keys


def _merged(best: Keys, rows: Integers, keys: Keys) -> Keys:
    """(b, n) the n highest keys of each row, the lowest of them first.

    Parameters
    ----------
    rows, keys : (k,) what is new, in the order of the rows.
    """
    if len(keys) == 0:
        return best
    n, counts = best.shape[1], np.bincount(rows, minlength=len(best))
    before = np.cumsum(counts) - counts
    both = np.zeros((len(best), n + int(counts.max())), dtype=np.uint64)
    both[:, :n] = best
    both[rows, np.arange(n, n + len(rows)) - before[rows]] = keys
    both.partition(both.shape[1] - n, axis=1)
    return both[:, -n:]


def _nth(values: Floats, n: int) -> Floats:
    """(k,) the n-th highest of each row of (k, w)."""
    at = values.shape[1] - n
    if at < 0:
        return np.full(len(values), -np.inf, dtype=np.float32)
    return np.partition(values, at, axis=1)[:, at]


def _just_below(scores: Floats) -> Floats:
    """Below whatever rounds to the same as a score or to more."""
    r = rounded(scores)
    return np.nextafter(r * np.where(r > 0, 1 - _BELOW, 1 + _BELOW), np.float32(-np.inf))


def _to_beat(worst: Keys) -> Floats:
    """Below whatever rounds to more than a key's score; later items with the same score lose."""
    r = scores_of(worst)
    return r * np.where(r > 0, 1 + _ABOVE, 1 - _ABOVE)


def _check(
    vectors: Floats,
    factors: Floats,
    n: int,
    allowed: Booleans | None,
    starts: npt.NDArray[np.integer] | None,
    places: npt.NDArray[np.integer] | None,
    tile: int,
) -> None:
    if n < 1 or tile < 1:
        raise ValueError(f"n {n}, tile {tile}: expected at least 1")
    if vectors.ndim != 2 or factors.ndim != 2 or vectors.shape[1] != factors.shape[1]:
        raise ValueError(f"shapes {vectors.shape}, {factors.shape}: expected (b, r) and (m, r)")
    if allowed is not None and allowed.shape != (len(factors),):
        raise ValueError(f"allowed of shape {allowed.shape}: expected ({len(factors)},)")
    if (starts is None) != (places is None):
        raise ValueError("seen_starts or seen_places alone: expected both or neither")
    if starts is None or places is None:
        return
    if starts.shape != (len(vectors) + 1,):
        raise ValueError(f"seen_starts of shape {starts.shape}: expected ({len(vectors) + 1},)")
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(factors):
        raise ValueError(f"seen_places outside 0 to {len(factors) - 1}, the places of items")
