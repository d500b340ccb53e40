"""A projection of items' text vectors, learned in closed form from what people took next.

g is the mean of the vectors of what somebody took before, t the vector of what they took next, v
that of any item that somebody took; ḡ, t̄ and v̄ are their means. The bilinear function of g and v
that comes closest, by squares and with a ridge on both sides, to 1 for the item taken next and 0
for all others, is but for a factor

    s(g, v) = ⟨b + M'(g - ḡ), v⟩ + what is the same for every v
    b = (Cov(v) + λ_v I)⁻¹ (t̄ - v̄)                          what is taken at all
    M = (Cov(g) + λ_g I)⁻¹ Cov(g, t) (Cov(v) + λ_v I)⁻¹      what leads to what

Item j looks for p_j = l v_j + (1 - l) (b + M'(v_j - ḡ)) / |M|, l the part of plain likeness and
|M| the root of the mean square of M's singular values, which makes both parts equally long. The
mean of p_j over a past is the same of its g.

Spark adds up the means in whole numbers, of which partitions and threads move no bit; the driver
holds matrices of the vectors' dimension alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.arrow import changes, whole_groups
from ebb.language.cosines import SCALE, Doubles, rows_of
from ebb.language.settings import Projection
from ebb.rounding import significant_array
from ebb.spread import spread_by_user

Integers = npt.NDArray[np.int64]
Sums = Callable[[Iterable[pa.RecordBatch]], Iterator[tuple[Integers, int]]]

# Means are summed in whole multiples of 1 / _SCALE. A user's are at most 1, so that 64 bits have
# room for those of a hundred million.
_SCALE = 2.0**36
_ROWS_AT_ONCE = 20_000
_FACTORS = pa.schema([("item_id", pa.string()), ("factors", pa.list_(pa.float32()))])
_FACTORS_DDL = "item_id string, factors array<float>"


@dataclass(frozen=True)
class Texts:
    """What is to be projected: item_id and vector, of length 1 or zeros where nothing is known."""

    vectors: DataFrame
    projection: Projection


@dataclass(frozen=True)
class Projected:
    """What was learned, applied.

    Attributes
    ----------
    rows : item_id, factors; lazy. Items of whose text nothing is known have none.
    users, items : how many it was learned from.
    """

    rows: DataFrame
    users: int
    items: int


def project(pairs: DataFrame, texts: Texts) -> Projected | None:
    """Learn the projection and apply it; runs jobs.

    Parameters
    ----------
    pairs : user_id, item_id, last_ts; what users took (`pairs.taken`).

    Returns
    -------
    None where nobody took one item with a vector after another.
    """
    settings = texts.projection
    known = texts.vectors.where(F.exists("vector", lambda x: x != 0))
    first = known.select(F.size("vector").alias("width")).first()
    if first is None:
        return None
    width = first["width"]
    latest = Window.partitionBy("user_id").orderBy(F.desc("last_ts"), "item_id")
    taken = (
        pairs.join(known, on="item_id", how="inner")
        .withColumn("place", F.row_number().over(latest))
        .where(F.col("place") <= settings.latest)
        .select("user_id", "item_id", F.unix_micros("last_ts").alias("at"), "vector")
    )
    in_order = spread_by_user(taken).sortWithinPartitions("user_id", "at", "item_id")
    steps, users = _mean(in_order, _of_users, 2 * width)
    # Items that nobody took yet say nothing of what people leave aside.
    met = known.join(pairs.select("item_id").distinct(), on="item_id", how="left_semi")
    of_items, items = _mean(met, _of_items, width)
    if users == 0:
        return None
    learned = projection(steps, of_items, settings.regularization)
    matrix = significant_array(with_likeness(learned, settings.likeness), 9)
    return Projected(known.mapInArrow(partial(_projected, matrix), _FACTORS_DDL), users, items)


def next_item_means(vectors: Doubles, at: Integers) -> Doubles | None:
    """What one user took next, each item after those before it.

    Parameters
    ----------
    vectors : (n, r) `whole`. at : (n,) ascending; when each was taken. Of what was taken at the
        same instant nothing comes before the other.

    Returns
    -------
    (r + 1, 2 r): means of g g' beside those of g t', below them of g beside t; None where nothing
    was taken after anything else.
    """
    before = np.searchsorted(at, at, side="left")
    is_next = before > 0
    if not is_next.any():
        return None
    sums = np.cumsum(vectors, axis=0)[before[is_next] - 1]
    gists = sums / (before[is_next, None] * SCALE)
    return _products(gists, np.hstack([gists, vectors[is_next] / SCALE])) / len(gists)


def projection(steps: Doubles, of_items: Doubles, regularization: float) -> Doubles:
    """What makes a vector v the projected one, [v, 1] @ projection.

    Parameters
    ----------
    steps : (r + 1, 2 r) as of `next_item_means`, over users. of_items : (r + 1, r) mean of v v'
        over items, below it that of v.
    regularization : λ over the mean variance of a dimension; above 0.

    Returns
    -------
    (r + 1, r) M, below it b - M'ḡ.
    """
    width = of_items.shape[1]
    gist, taken, item = steps[width, :width], steps[width, width:], of_items[width]
    of_gists = steps[:width, :width] - np.outer(gist, gist)
    of_both = steps[:width, width:] - np.outer(gist, taken)
    among_items = _ridged(of_items[:width] - np.outer(item, item), regularization)
    leads = np.linalg.solve(_ridged(of_gists, regularization), of_both)
    matrix = np.linalg.solve(among_items, leads.T).T
    at_all = np.linalg.solve(among_items, taken - item)
    return np.vstack([matrix, at_all - gist @ matrix])


def with_likeness(learned: Doubles, likeness: float) -> Doubles:
    """(r + 1, r) what makes v that which it looks for, [v, 1] @ of it.

    Parameters
    ----------
    learned : of `projection`. likeness : the part of v itself.
    """
    width = learned.shape[1]
    size = np.sqrt((learned[:width] ** 2).sum() / width)
    found: Doubles = (1.0 - likeness) * learned / (size if size > 0 else 1.0)
    found[:width] += likeness * np.eye(width)
    return found


def _ridged(square: Doubles, regularization: float) -> Doubles:
    mean = np.trace(square) / len(square)
    # Where nothing varies nothing is learned, and any ridge does.
    ridged: Doubles = square + (regularization * mean if mean > 0 else 1.0) * np.eye(len(square))
    return ridged


def _products(left: Doubles, right: Doubles) -> Doubles:
    """(r + 1, k) sums of each row of `left`, with a 1 at its end, times the same of `right`."""
    sums: Doubles = np.hstack([left, np.ones((len(left), 1))]).T @ right
    return sums


# --------------------------------------------------------------------------- sums on Spark
def _mean(rows: DataFrame, sums: Sums, width: int) -> tuple[Doubles, int]:
    """(k, width) mean of the matrices that partitions of `rows` sum up, and of how many it is."""
    names = [f"s{column}" for column in range(width)]
    schema = ", ".join(["place int, count bigint", *(f"{name} bigint" for name in names)])
    totals = [F.sum(name).alias(name) for name in ("count", *names)]
    parts = rows.mapInArrow(partial(_as_rows, sums, names), schema)
    summed = parts.groupBy("place").agg(*totals).toArrow().sort_by("place")
    if not len(summed):
        return np.zeros((0, width)), 0
    count: int = summed.column("count")[0].as_py()
    columns = [summed.column(name).to_numpy() for name in names]
    return np.column_stack(columns) / (_SCALE * count), count


def _as_rows(
    sums: Sums, names: list[str], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """A partition's sums, a row of the matrix a row."""
    total: Integers | None = None
    count = 0
    for part, of in sums(batches):
        total = part if total is None else total + part
        count += of
    if total is not None:
        columns = [
            pa.array(np.arange(len(total), dtype=np.int32)),
            pa.array(np.full(len(total), count)),
            *(pa.array(column) for column in total.T.copy()),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=["place", "count", *names])


def _of_users(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Integers, int]]:
    """`next_item_means` of each user who took one thing after another."""
    for rows in whole_groups(batches, ("user_id",), _ROWS_AT_ONCE):
        table = rows.combine_chunks()
        vectors = rows_of(table.column("vector").chunk(0))
        at = table.column("at").to_numpy()
        starts = np.flatnonzero(changes(table.column("user_id")))
        for first, last in pairwise([*starts, len(at)]):
            means = next_item_means(vectors[first:last], at[first:last])
            if means is not None:
                yield np.rint(means * _SCALE).astype(np.int64), 1


def _of_items(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Integers, int]]:
    """Sums of v v' and of v. Entries are whole multiples of the root of 1 / _SCALE: sums of
    products of so many rows have room in a double, and none is rounded."""
    root = np.sqrt(_SCALE)
    for batch in batches:
        for first in range(0, batch.num_rows, _ROWS_AT_ONCE):
            rows = batch.column("vector").slice(first, _ROWS_AT_ONCE)
            vectors = np.rint(rows_of(rows) * (root / SCALE))
            sums = _products(vectors, vectors)
            sums[-1] *= root
            yield sums.astype(np.int64), len(vectors)


def _projected(matrix: Doubles, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        vectors = rows_of(batch.column("vector")) / SCALE
        # Column by column, so that a row's sum hangs on it alone, not on its batch.
        factors = np.stack(
            [(vectors * column[:-1]).sum(axis=1) + column[-1] for column in matrix.T]
        )
        flat = pa.array(factors.T.astype(np.float32).ravel())
        starts = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * matrix.shape[1])
        lists = pa.ListArray.from_arrays(starts, flat)
        yield pa.RecordBatch.from_arrays([batch.column("item_id"), lists], schema=_FACTORS)
