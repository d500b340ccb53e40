"""The item side of a slate: ids, titles, popularity, neighbours and factors, as mapped arrays.

It is gathered on the driver (it grows with items and never with users or events, and is refused
above `recommend.memory_mb`), written to one Arrow file, shipped by Spark to every executor, and
mapped into memory there: the Python workers of a machine share one copy.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkContext, SparkFiles
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.models.foldin import gram_matrix

_MB = 2**20
# A dict entry of a worker from item_id to place, beside the mapped arrays: id, int, slot.
_BYTES_A_PLACE = 160
# Beside that, factors of an item lie mapped in single and, for a block, in double precision.
# A cell of (users, items) while a block is scored: total, one source, ordering, mask.
_BYTES_A_CELL = 40
# Measured: larger blocks leave the processor's caches and get slower, smaller ones don't gain.
_LARGEST_BLOCK_CELLS = 2**20


@dataclass(frozen=True)
class Catalogue:
    """Items known at as_of, in the order of their ids; a place is a row of these arrays.

    Attributes
    ----------
    ids, titles : (m,) Arrow strings; the id where there is no title.
    eligible : (m,) may be recommended.
    popularity : (m,) decayed popularity, at least 0.
    neighbour_starts, neighbours, similarities : CSR; the neighbours of item j.
    factors : (m, rank) float32, zeros where the model doesn't know the item; rank may be 0.
    has_factors : (m,) the model knows the item.
    """

    ids: pa.Array
    titles: pa.Array
    eligible: npt.NDArray[np.bool_]
    popularity: npt.NDArray[np.float64]
    neighbour_starts: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int32]
    similarities: npt.NDArray[np.float64]
    factors: npt.NDArray[np.float32]
    has_factors: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def places(self) -> dict[str, int]:
        """item_id to place."""
        return {item: place for place, item in enumerate(self.ids.to_pylist())}

    def users_a_block(self, memory_mb: int) -> int:
        """How many users to score at once, so that their scores fit beside these arrays."""
        arrays = 3 * self.factors.nbytes + 3 * self.similarities.nbytes // 2
        own = len(self) * _BYTES_A_PLACE + arrays
        cells = min((memory_mb * _MB - own) // _BYTES_A_CELL, _LARGEST_BLOCK_CELLS)
        return max(1, cells // max(len(self), 1))

    @cached_property
    def gram(self) -> npt.NDArray[np.float64]:
        return gram_matrix(self.factors)


def gather(
    items: DataFrame,
    popular: DataFrame,
    neighbours: DataFrame | None,
    item_factors: DataFrame | None,
    memory_mb: int,
) -> pa.Table:
    """Bring the item side to the driver.

    Parameters
    ----------
    items : item_id, title, eligible (`ebb.recommend.eligible.items_at`).
    popular : item_id, score. neighbours : item_id, neighbour_id, similarity.
    item_factors : item_id, factors. What these say of items that `items` lacks is left out.

    Returns
    -------
    One row an item, in the order of item_id: id, title, eligible, popularity, neighbours,
    similarities, factors, has_factors.

    Raises
    ------
    RunError
        When the arrays and one user's scores would take more than `memory_mb`. Found by
        counting, before anything is gathered.
    """
    # Counted and then gathered: kept in between, since it may come from a scan of all events.
    kept = items.select("item_id", "title", "eligible").persist()
    try:
        _check_memory(kept, neighbours, item_factors, memory_mb)
        known = kept.toArrow().sort_by("item_id")
    finally:
        kept.unpersist()
    ids = known.column("item_id").combine_chunks().cast(pa.large_string())
    columns = {
        "id": ids,
        "title": pc.coalesce(known.column("title").combine_chunks().cast(pa.large_string()), ids),
        "eligible": known.column("eligible").combine_chunks(),
        "popularity": _popularity(popular, ids),
        **_neighbours(neighbours, ids),
        **_factors(item_factors, ids),
    }
    return pa.table(columns)


def ship(context: SparkContext, table: pa.Table) -> str:
    """Write a gathered catalogue and have Spark bring it to each executor; returns its name.

    The name is new every time, so that two nights in one session can't meet. The driver's copy
    serves executors that start later, so it stays until the driver ends.
    """
    name = f"ebb-items-{uuid4().hex}.arrow"
    folder = tempfile.mkdtemp(prefix="ebb-items-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / name
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        # One record batch: each column lies in one piece and can be mapped as it is.
        writer.write_batch(table.combine_chunks().to_batches()[0] if len(table) else _empty(table))
    context.addFile(str(path))
    return name


@lru_cache(maxsize=2)
def load(name: str) -> Catalogue:
    """Map a shipped catalogue, on an executor; once a Python worker."""
    return open_catalogue(SparkFiles.get(name))


def open_catalogue(path: str) -> Catalogue:
    """Map a catalogue's file into memory without copying it."""
    batch = pa.ipc.open_file(pa.memory_map(path)).get_batch(0)
    return as_catalogue(batch)


def as_catalogue(batch: pa.RecordBatch) -> Catalogue:
    """See a gathered catalogue as arrays."""
    neighbours, factors = batch.column("neighbours"), batch.column("factors")
    return Catalogue(
        ids=batch.column("id"),
        titles=batch.column("title"),
        eligible=batch.column("eligible").to_numpy(zero_copy_only=False),
        popularity=batch.column("popularity").to_numpy(),
        neighbour_starts=neighbours.offsets.to_numpy(),
        neighbours=neighbours.values.to_numpy(),
        similarities=batch.column("similarities").values.to_numpy(),
        factors=factors.values.to_numpy().reshape(len(batch), factors.type.list_size),
        has_factors=batch.column("has_factors").to_numpy(zero_copy_only=False),
    )


def _popularity(popular: DataFrame, ids: pa.Array) -> pa.Array:
    table = popular.select("item_id", F.col("score").cast("double").alias("score")).toArrow()
    place, known = _places(table.column("item_id"), ids)
    scores = np.zeros(len(ids))
    scores[place] = np.maximum(table.column("score").to_numpy()[known], 0.0)
    return pa.array(scores)


def _neighbours(neighbours: DataFrame | None, ids: pa.Array) -> dict[str, pa.Array]:
    """CSR by the item whose neighbours they are; each row's neighbours by place."""
    item = np.zeros(0, dtype=np.int64)
    other, similarity = item, np.zeros(0)
    if neighbours is not None:
        table = neighbours.select("item_id", "neighbour_id", "similarity").toArrow()
        table = table.filter(
            pc.and_(
                pc.is_in(table.column("item_id").cast(pa.large_string()), value_set=ids),
                pc.is_in(table.column("neighbour_id").cast(pa.large_string()), value_set=ids),
            )
        )
        item, _ = _places(table.column("item_id"), ids)
        other, _ = _places(table.column("neighbour_id"), ids)
        similarity = table.column("similarity").to_numpy()
    order = np.lexsort((other, item))
    starts = pa.array(np.searchsorted(item[order], np.arange(len(ids) + 1)).astype(np.int64))
    lists = pa.LargeListArray.from_arrays
    return {
        "neighbours": lists(starts, pa.array(other[order].astype(np.int32))),
        "similarities": lists(starts, pa.array(similarity[order])),
    }


def _factors(item_factors: DataFrame | None, ids: pa.Array) -> dict[str, pa.Array]:
    has_factors = np.zeros(len(ids), dtype=bool)
    # Without a model a column of zeros: nothing has factors, so nothing looks at it.
    factors = np.zeros((len(ids), 1), dtype=np.float32)
    table = item_factors.select("item_id", "factors").toArrow() if item_factors else None
    if table:
        vectors = table.column("factors").combine_chunks()
        place, known = _places(table.column("item_id"), ids)
        factors = np.zeros((len(ids), len(vectors[0])), dtype=np.float32)
        factors[place] = vectors.flatten().to_numpy().reshape(len(vectors), -1)[known]
        has_factors[place] = True
    flat = pa.array(factors.reshape(-1))
    return {
        "factors": pa.FixedSizeListArray.from_arrays(flat, factors.shape[1]),
        "has_factors": pa.array(has_factors),
    }


def _places(
    column: pa.ChunkedArray, ids: pa.Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Places of the ids that the catalogue holds, and which rows those are."""
    places = pc.index_in(column.cast(pa.large_string()), value_set=ids)
    known = places.is_valid().to_numpy()
    return places.drop_null().to_numpy().astype(np.int64), known


def _empty(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=table.schema)


def _check_memory(
    items: DataFrame,
    neighbours: DataFrame | None,
    item_factors: DataFrame | None,
    memory_mb: int,
) -> None:
    """Count first, gather then: a driver that is out of memory can't say why."""
    id_bytes, title_bytes = F.octet_length("item_id"), F.octet_length("title")
    text = F.sum(id_bytes * 2 + F.coalesce(title_bytes, id_bytes))
    row = items.agg(F.count("*").alias("items"), text.alias("text")).first()
    count = row["items"] if row else 0
    pairs = neighbours.count() if neighbours is not None else 0
    rank = 0
    if item_factors is not None:
        vector = item_factors.select(F.size("factors").alias("rank")).first()
        rank = vector["rank"] if vector else 0
    text_bytes = (row["text"] if row else 0) or 0
    arrays = text_bytes + count * (_BYTES_A_PLACE + 26 + 12 * rank) + pairs * 12
    needed = -(-(arrays + count * _BYTES_A_CELL) // _MB)
    if needed > memory_mb:
        raise RunError(
            f"recommend.memory_mb is {memory_mb}, but {count} items with {pairs} neighbours and "
            f"factors of rank {rank} need {needed} MB in each task; set recommend.memory_mb to "
            f"at least {needed} (and see that executors have it), or lower "
            "recommend.neighbours.neighbours or train.rank"
        )
