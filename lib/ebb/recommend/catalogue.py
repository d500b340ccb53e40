"""The item side of a slate: ids, titles, popularity, keys, item models and factors, as arrays.

`gather.py` writes it to one Arrow file, which Spark ships to every executor; here it is mapped
into memory, so that the Python workers of a machine share one copy. Never imports Spark.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ebb.models.foldin import gram_matrix
from ebb.recommend.features import CONTENT, PROJECTED

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
# Under these keys the schema's metadata holds what isn't a column.
KEY_TEXTS, HALF_LIVES = b"ebb keys", b"ebb half-lives"
CONTEXT_TEXTS = b"ebb contexts"
# Shares of the largest below this are all the same: old, or hardly ever taken.
_LEAST = 1e-4
_LEAST_AGE_DAYS = 1 / 24
_MICROS_A_DAY = 86_400e6


@dataclass(frozen=True)
class Sparse:
    """A list for each item: that of item j is entries[starts[j] : starts[j + 1]].

    Attributes
    ----------
    starts : (m + 1,). entries : (k,) places of items, or numbers of keys. weights : (k,).
    """

    starts: Integers
    entries: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]

    def of(self, items: Integers) -> tuple[Integers, Integers]:
        """Which of `items` (its position in them), and where in `entries`, one after the other."""
        starts = self.starts[items]
        lengths = self.starts[items + 1] - starts
        before = np.cumsum(lengths) - lengths
        which = np.repeat(np.arange(len(items)), lengths)
        return which, np.arange(len(which)) + np.repeat(starts - before, lengths)


@dataclass(frozen=True)
class Factors:
    """Item vectors of one model: (m, rank) float32, zeros where `is_known` is false."""

    vectors: npt.NDArray[np.float32]
    is_known: Booleans

    @cached_property
    def gram(self) -> Doubles:
        return gram_matrix(self.vectors)


@dataclass(frozen=True)
class Contexts:
    """How much items are taken in each value of a key of the events' context.

    Attributes
    ----------
    values : by number, ascending. taken : of each item, the values it was taken in, and how much.
    """

    values: list[str]
    taken: Sparse

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {value: number for number, value in enumerate(self.values)}

    @cached_property
    def _of_items(self) -> Doubles:
        """(m,) how much each item was taken in any value."""
        of_terms = np.repeat(np.arange(len(self.taken.starts) - 1), np.diff(self.taken.starts))
        sums = np.bincount(of_terms, self.taken.weights, len(self.taken.starts) - 1)
        return sums.astype(np.float64, copy=False)

    @cached_property
    def _shares(self) -> Doubles:
        """(v,) the part of all that is taken in each value."""
        of_values = np.bincount(self.taken.entries, self.taken.weights, len(self.values))
        shares: Doubles = of_values / of_values.sum()
        return shares

    def lifts(self, value: str | None, items: Integers, doubt: float) -> Doubles:
        """(c,) log of how much more items are taken in a value than all items are.

        Of an item's takes n, of which n_v in the value, whose share of all takes is p, it is
        log((n_v + doubt p) / (n + doubt) / p): 0 for an item nobody took, NaN where nothing was
        taken in the value, or there is none.
        """
        number = self._numbers.get(value) if value is not None else None
        if number is None:
            return np.full(len(items), np.nan)
        which, at = self.taken.of(items)
        own = self.taken.entries[at] == number
        taken = np.bincount(which[own], self.taken.weights[at[own]], len(items))
        share = self._shares[number]
        lifts: Doubles = np.log((taken / share + doubt) / (self._of_items[items] + doubt))
        return lifts


@dataclass(frozen=True)
class Catalogue:
    """Items known at as_of, in the order of their ids; a place is a row of these arrays.

    Attributes
    ----------
    ids, titles : (m,) Arrow strings; the id where there is no title.
    eligible : (m,) may be recommended.
    popularity : (m, p) decayed popularity under each half-life, at least 0; flat comes last.
    velocity : (m,) short-term over long-term popularity; above 0.
    age_days : (m,) days since the item was published or first touched; NaN where neither is known.
    tried : (m, 2) decayed times that it was shown and then taken, and shown and left; 0 where that
        isn't wanted.
    numbers : (m, k) attributes that trees read as numbers; NaN where an item has none.
    models : item-to-item weights by model. factors : item vectors by model.
    keys : of each facet, the keys of each item. key_texts : of each facet, its keys by number.
    contexts : by key of the events' context.
    """

    ids: pa.Array
    titles: pa.Array
    eligible: Booleans
    popularity: Doubles
    velocity: Doubles
    age_days: Doubles
    tried: Doubles
    numbers: Doubles
    models: dict[str, Sparse]
    factors: dict[str, Factors]
    keys: dict[str, Sparse]
    key_texts: dict[str, list[str]]
    contexts: dict[str, Contexts]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def leading(self) -> Factors:
        """What each item of a past looks for by its text: its own vector, or the projected one
        where a projection was learned."""
        projected = self.factors.get(PROJECTED)
        if projected is not None and projected.is_known.any():
            return projected
        return self.factors[CONTENT]

    @cached_property
    def item_features(self) -> Doubles:
        """(m, p + 2) what is the same for everybody: popularity, velocity, newness."""
        largest = self.popularity.max(axis=0, initial=0.0)
        share = self.popularity / np.where(largest > 0, largest, 1.0)
        oldest = np.nanmax(self.age_days, initial=_LEAST_AGE_DAYS)
        age = np.maximum(np.nan_to_num(self.age_days, nan=oldest), _LEAST_AGE_DAYS)
        return np.column_stack([np.log(_LEAST + share), np.log(self.velocity), -np.log(age)])

    @cached_property
    def id_hashes(self) -> npt.NDArray[np.uint64]:
        """(m,) of the ids."""
        return crc32s(self.ids)

    @cached_property
    def eligible_places(self) -> Integers:
        return np.flatnonzero(self.eligible)

    @cached_property
    def most_popular_first(self) -> Integers:
        """Eligible places by popularity under the longest half-life that isn't flat, ties by id."""
        column = max(0, self.popularity.shape[1] - 2)
        places = self.eligible_places
        return places[np.lexsort((places, -self.popularity[places, column]))]

    @cached_property
    def newest_first(self) -> Integers:
        """Eligible places by age, youngest first, ties by id; those of no known age last."""
        places = self.eligible_places
        return places[np.lexsort((places, np.nan_to_num(self.age_days[places], nan=np.inf)))]

    @cached_property
    def most_rising_first(self) -> Integers:
        """Eligible places by velocity, ties by id."""
        places = self.eligible_places
        return places[np.lexsort((places, -self.velocity[places]))]

    def of_key(self, facet: str, key: int) -> tuple[Integers, Integers]:
        """Eligible places with a key: the most popular first, and the newest first."""
        starts, popular, newest = self._by_key[facet]
        own = slice(starts[key], starts[key + 1])
        return popular[own], newest[own]

    @cached_property
    def _by_key(self) -> dict[str, tuple[Integers, Integers, Integers]]:
        """Of each facet: where the items of each key start, in two orders."""
        found = {}
        for facet, keys in self.keys.items():
            numbers = np.arange(len(self.key_texts[facet]) + 1)
            lists = []
            for order in (self.most_popular_first, self.newest_first):
                which, at = keys.of(order)
                by_key = np.argsort(keys.entries[at], kind="stable")
                lists.append(order[which[by_key]])
                starts = np.searchsorted(keys.entries[at][by_key], numbers)
            found[facet] = (starts, lists[0], lists[1])
        return found


def crc32s(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """(m,) a hash of each id that is the same on any machine."""
    return np.array([zlib.crc32(text.encode()) for text in ids.to_pylist()], dtype=np.uint64)


def open_catalogue(path: str) -> Catalogue:
    """Map a catalogue's file into memory without copying it."""
    return as_catalogue(pa.ipc.open_file(pa.memory_map(path)).get_batch(0))


def as_catalogue(batch: pa.RecordBatch) -> Catalogue:
    """See a gathered catalogue as arrays."""
    names = batch.schema.names
    texts = json.loads(batch.schema.metadata[KEY_TEXTS])
    return Catalogue(
        ids=batch.column("id"),
        titles=batch.column("title"),
        eligible=batch.column("eligible").to_numpy(zero_copy_only=False),
        popularity=_matrix(batch, "popularity"),
        velocity=batch.column("velocity").to_numpy(),
        age_days=batch.column("age_days").to_numpy(zero_copy_only=False),
        tried=_matrix(batch, "tried") if "tried" in names else np.zeros((len(batch), 2)),
        numbers=_matrix(batch, "numbers") if "numbers" in names else np.zeros((len(batch), 0)),
        models={n.partition(":")[2]: _sparse(batch, n) for n in names if n.startswith("entries:")},
        factors={
            n.partition(":")[2]: Factors(
                _matrix(batch, n),
                batch.column(f"has_{n}").to_numpy(zero_copy_only=False),
            )
            for n in names
            if n.startswith("factors:")
        },
        keys={n.partition(":")[2]: _sparse(batch, n) for n in names if n.startswith("keys:")},
        key_texts=texts,
        contexts={
            key: Contexts(values, _sparse(batch, f"context:{key}"))
            for key, values in json.loads(batch.schema.metadata[CONTEXT_TEXTS]).items()
        },
    )


def _matrix(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    column = batch.column(name)
    matrix: npt.NDArray[Any] = column.values.to_numpy().reshape(len(batch), column.type.list_size)
    return matrix


def _sparse(batch: pa.RecordBatch, name: str) -> Sparse:
    lists = batch.column(name)
    entries = lists.values.to_numpy()
    if name.startswith("keys:"):
        starts = lists.offsets.to_numpy()
        lengths = np.diff(starts)
        # An item's mass is split evenly over its keys.
        return Sparse(starts, entries, np.repeat(1.0 / np.maximum(lengths, 1), lengths))
    others = name.replace("entries:", "weights:").replace("context:", "taken:")
    weights = batch.column(others).values.to_numpy()
    return Sparse(lists.offsets.to_numpy(), entries, weights)
