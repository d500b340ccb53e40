"""Arrow batches that hold whole groups, and tables as bytes. Never imports Spark."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def whole_groups(
    batches: Iterable[pa.RecordBatch], columns: tuple[str, ...], at_least: int
) -> Iterator[pa.Table]:
    """The same rows in tables that split no group, of `at_least` rows but for the last.

    Parameters
    ----------
    batches : rows of one group follow each other.
    columns : what a group has in common.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        if rows >= at_least:
            last = held[-1].slice(held[-1].num_rows - 1)
            differs = (pc.not_equal(batch.column(c), last.column(c)[0]) for c in columns)
            own = pc.index(reduce(pc.or_, differs), True).as_py()
            if own >= 0:
                yield pa.Table.from_batches([*held, batch.slice(0, own)])
                held, rows, batch = [], 0, batch.slice(own)
        held.append(batch)
        rows += batch.num_rows
    if held:
        yield pa.Table.from_batches(held)


def changes(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """(rows,) whether a row's value differs from that of the row before; the first does."""
    values = column.combine_chunks()
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    differs = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return np.append(True, differs)


def as_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow file; equal tables give equal bytes."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def from_bytes(raw: bytes) -> pa.Table:
    """The table, each column in one piece."""
    return pa.ipc.open_file(pa.BufferReader(raw)).read_all().combine_chunks()
