"""Texts and instants of Arrow columns as whole numbers, for numpy. Never imports Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]
# Earlier than every instant: the latest of none. numpy takes it for an empty instant (NaT).
NEVER = int(np.iinfo(np.int64).min)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def texts(columns: Iterable[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """The texts of some columns, each once, ascending by their bytes as Spark orders them."""
    uniques = [pc.unique(column) for column in columns]
    unique = pc.unique(pa.concat_arrays(uniques)).drop_null()
    return unique.take(pc.sort_indices(unique))


def places(column: pa.Array | pa.ChunkedArray, known: pa.Array) -> Integers:
    """The place of each text in `known`, -1 where it isn't there."""
    found: Integers = pc.index_in(column, value_set=known).fill_null(-1).to_numpy()
    return found.astype(np.int64)


def micros(column: pa.ChunkedArray) -> Integers:
    """Instants as microseconds since 1970, `NEVER` where empty."""
    found: Integers = column.cast(pa.int64()).fill_null(NEVER).to_numpy()
    return found


def micros_of(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
