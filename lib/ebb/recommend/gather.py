"""Brings the item side to the driver and ships it to the executors.

It grows with items and never with users or events, and is refused above `recommend.memory_mb`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.interests.columns import age_days
from ebb.interests.keys import keys_of, number_of
from ebb.models.pairs import decayed_weight
from ebb.recommend.catalogue import CONTEXT_TEXTS, KEY_TEXTS, Catalogue, open_catalogue
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives
from ebb.rounding import significant
from ebb.shipped import ship, shipped

_MB = 2**20
# Of an item, beside its lists: ids and titles, their numbers, a row of item features.
_BYTES_AN_ITEM = 400
_SHORT, _LONG = timedelta(days=2), timedelta(days=30)


def mean_weight(events: DataFrame) -> float:
    """Of an event on an item; 1 where there is none, or nothing positive."""
    on_items = events.where(F.col("item_id").isNotNull())
    row = on_items.agg(F.avg("weight").alias("mean")).first()
    mean = float(f"{row['mean'] or 0.0:.6g}") if row else 0.0
    return mean if mean > 0 else 1.0


def items_side(
    items: DataFrame, events: DataFrame, as_of: datetime, half_lives: HalfLives, mean: float
) -> DataFrame:
    """Each item with what is the same for everybody.

    Parameters
    ----------
    items : item_id, title, categories, tags, attributes, published_at, eligible
        (`eligible.items_at`).
    events : item_id, event_ts, weight; all strictly before `as_of`.
    mean : weight of an event (`mean_weight`).

    Returns
    -------
    DataFrame of the same with popularity (array: a decayed sum of weights, at least 0, to 6
    significant digits, for each half-life), velocity and age_days. Velocity is (s + 0.1 w) /
    (l + w), s and l the popularity under half-lives of 2 and 30 days, w the mean weight of an
    event: above its usual value where an item is taken more than it was.
    """
    on_items = events.where(F.col("item_id").isNotNull())
    sums = [
        F.sum(decayed_weight(as_of, h)).alias(f"sum_{place}")
        for place, h in enumerate(half_lives.popularity)
    ]
    touched = on_items.groupBy("item_id").agg(
        *sums,
        F.sum(decayed_weight(as_of, _SHORT)).alias("short"),
        F.sum(decayed_weight(as_of, _LONG)).alias("long"),
        F.min("event_ts").alias("first_ts"),
    )
    zero = F.lit(0.0)
    popularity = [
        significant(F.greatest(F.coalesce(f"sum_{place}", zero), zero))
        for place in range(len(sums))
    ]
    short, long = (F.greatest(F.coalesce(name, zero), zero) for name in ("short", "long"))
    velocity = (short + F.lit(0.1 * mean)) / (long + F.lit(mean))
    since = F.least("published_at", "first_ts")  # published later than touched: touched it was
    return items.join(touched, on="item_id", how="left").select(
        *items.columns,
        F.array(*popularity).alias("popularity"),
        significant(velocity).alias("velocity"),
        age_days(as_of, since).alias("age_days"),
    )


def gather(
    side: DataFrame,
    columns: Columns,
    item_weights: DataFrame | None,
    item_factors: DataFrame | None,
    memory_mb: int,
    tried: DataFrame | None = None,
    contexts: DataFrame | None = None,
) -> pa.Table:
    """Bring the item side to the driver.

    Parameters
    ----------
    side : of `items_side`.
    columns : whose facets' keys and whose models are wanted.
    item_weights : model, item_id, neighbour_id, weight. item_factors : model, item_id, factors.
        What these say of items that `side` lacks is left out.
    tried : of `impressions.items_tried`.
    contexts : of `contexts.items_by_context`; counted and gathered, so better stored.

    Returns
    -------
    One row an item, in the order of item_id, as `catalogue.as_catalogue` reads it.

    Raises
    ------
    RunError
        When the arrays would take more than `memory_mb`. Found by counting, before anything is
        gathered.
    """
    kept = side.persist()
    try:
        _check_memory(kept, item_weights, item_factors, contexts, memory_mb)
        listed = [F.array_compact(keys_of(f)).alias(f"keys:{f}") for f in columns.facets]
        numbers = [number_of(name).alias(f"number:{name}") for name in columns.numbers]
        known = (
            kept.select(
                *("item_id", "title", "eligible", "popularity", "velocity", "age_days"),
                *listed,
                *numbers,
            )
            .toArrow()
            .sort_by("item_id")
        )
    finally:
        kept.unpersist()
    ids = known.column("item_id").combine_chunks().cast(pa.large_string())
    keys, texts = _keys(known, columns.facets)
    taken, values = _contexts(contexts, ids, columns.context)
    popularity = known.column("popularity").combine_chunks()
    width = len(popularity[0]) if len(popularity) else 1
    gathered = {
        "id": ids,
        "title": pc.coalesce(known.column("title").combine_chunks().cast(pa.large_string()), ids),
        "eligible": known.column("eligible").combine_chunks(),
        "popularity": _fixed(popularity.flatten().to_numpy(), width),
        "velocity": known.column("velocity").combine_chunks(),
        "age_days": known.column("age_days").combine_chunks().fill_null(np.nan),
        **keys,
        **_item_weights(item_weights, ids, columns.item_models),
        **_factors(item_factors, ids, columns.vector_models),
        **_tried(tried, ids),
        **_numbers(known, columns.numbers),
        **taken,
    }
    said = {KEY_TEXTS: json.dumps(texts), CONTEXT_TEXTS: json.dumps(values)}
    return pa.table(gathered).replace_schema_metadata(said)


def places_of(spark: SparkSession, table: pa.Table) -> DataFrame:
    """item_id, place, eligible: the numbers that a gathered catalogue gives to items."""
    rows = pa.table(
        {
            "item_id": table.column("id").cast(pa.string()),
            "place": pa.array(np.arange(len(table), dtype=np.int32)),
            "eligible": table.column("eligible"),
        }
    )
    return spark.createDataFrame(rows)


def ship_catalogue(context: SparkContext, table: pa.Table) -> str:
    """Have Spark bring a gathered catalogue to each executor; returns its name."""
    batch = one_batch(table)

    def write(path: Path) -> None:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)

    return ship(context, ".arrow", write)


@lru_cache(maxsize=2)
def shipped_catalogue(name: str) -> Catalogue:
    """Map a shipped catalogue, on an executor; once a Python worker."""
    return open_catalogue(str(shipped(name)))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The table as one record batch: each column lies in one piece and can be mapped as it is."""
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_arrays(
        [pa.array([], type=field.type) for field in table.schema], schema=table.schema
    )


def _keys(
    known: pa.Table, facets: tuple[str, ...]
) -> tuple[dict[str, pa.Array], dict[str, list[str]]]:
    """Of each facet: the numbers of each item's keys, and the keys' texts by number."""
    columns, texts = {}, {}
    for facet in facets:
        listed = known.column(f"keys:{facet}").combine_chunks()
        flat = listed.flatten()
        text = pc.unique(flat).drop_null()
        text = text.take(pc.sort_indices(text))
        number = pc.index_in(flat, value_set=text).cast(pa.int32())
        starts = np.concatenate(([0], np.cumsum(pc.list_value_length(listed).to_numpy())))
        columns[f"keys:{facet}"] = _lists(starts, number)
        texts[facet] = text.to_pylist()
    return columns, texts


def _item_weights(
    item_weights: DataFrame | None, ids: pa.Array, wanted: tuple[str, ...]
) -> dict[str, pa.Array]:
    """For each model the entries of each item, by place, and their weights."""
    table = None
    if item_weights is not None:
        table = item_weights.select("model", "item_id", "neighbour_id", "weight").toArrow()
    gathered: dict[str, pa.Array] = {}
    for model in wanted:
        item = other = np.zeros(0, dtype=np.int64)
        weight = np.zeros(0)
        if table is not None:
            own = table.filter(pc.equal(table.column("model"), model))
            item, other = (_places(own.column(name), ids) for name in ("item_id", "neighbour_id"))
            weight = own.column("weight").to_numpy()
        entries, weights = _by_item(len(ids), item, other, weight)
        gathered[f"entries:{model}"], gathered[f"weights:{model}"] = entries, weights
    return gathered


def _factors(
    item_factors: DataFrame | None, ids: pa.Array, wanted: tuple[str, ...]
) -> dict[str, pa.Array]:
    table = item_factors.toArrow() if item_factors is not None else None
    gathered: dict[str, pa.Array] = {}
    for model in wanted:
        is_known = np.zeros(len(ids), dtype=bool)
        # Without a model a column of zeros: nothing has factors, so nothing looks at it.
        factors = np.zeros((len(ids), 1), dtype=np.float32)
        own = table.filter(pc.equal(table.column("model"), model)) if table else None
        if own:
            vectors = own.column("factors").combine_chunks()
            rows = vectors.flatten().to_numpy().reshape(len(vectors), -1)
            place = _places(own.column("item_id"), ids)
            factors = np.zeros((len(ids), rows.shape[1]), dtype=np.float32)
            factors[place[place >= 0]] = rows[place >= 0]
            is_known[place[place >= 0]] = True
        gathered[f"factors:{model}"] = _fixed(factors.ravel(), factors.shape[1])
        gathered[f"has_factors:{model}"] = pa.array(is_known)
    return gathered


def _tried(tried: DataFrame | None, ids: pa.Array) -> dict[str, pa.Array]:
    if tried is None:
        return {}
    table = tried.select("item_id", "taken", "left").toArrow()
    place, counts = _places(table.column("item_id"), ids), np.zeros((len(ids), 2))
    for column, name in enumerate(("taken", "left")):
        counts[place[place >= 0], column] = table.column(name).to_numpy()[place >= 0]
    return {"tried": _fixed(counts.ravel(), 2)}


def _numbers(known: pa.Table, names: tuple[str, ...]) -> dict[str, pa.Array]:
    if not names:
        return {}
    columns = [known.column(f"number:{name}").fill_null(np.nan).to_numpy() for name in names]
    return {"numbers": _fixed(np.column_stack(columns).ravel(), len(names))}


def _contexts(
    contexts: DataFrame | None, ids: pa.Array, keys: tuple[str, ...]
) -> tuple[dict[str, pa.Array], dict[str, list[str]]]:
    """Of each key: the numbers of the values that each item was taken in, and how much; and the
    values by number."""
    columns: dict[str, pa.Array] = {}
    values: dict[str, list[str]] = {}
    if contexts is None:
        return columns, values
    table = contexts.select("key", "value", "item_id", "taken").toArrow()
    for key in keys:
        own = table.filter(pc.equal(table.column("key"), key))
        values[key] = sorted(pc.unique(own.column("value")).to_pylist())
        number = _places(own.column("value"), pa.array(values[key], pa.large_string()))
        place, taken = _places(own.column("item_id"), ids), own.column("taken").to_numpy()
        columns[f"context:{key}"], columns[f"taken:{key}"] = _by_item(
            len(ids), place, number, taken
        )
    return columns, values


def _by_item(
    count: int,
    item: npt.NDArray[np.int64],
    entry: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
) -> tuple[pa.Array, pa.Array]:
    """A list of entries for each of `count` items, ascending, and one of their weights.

    Parameters
    ----------
    item, entry, weight : (k,) in any order; rows with an item or entry below 0 are left out.
    """
    rows = np.flatnonzero((item >= 0) & (entry >= 0))
    # One sort of numbers that hold both is several times quicker than lexsort.
    both = item[rows] * (entry.max(initial=0) + 1) + entry[rows]
    rows = rows[np.argsort(both, kind="stable")]
    starts = np.searchsorted(item[rows], np.arange(count + 1))
    entries = pa.array(entry[rows].astype(np.int32))
    return _lists(starts, entries), _lists(starts, pa.array(weight[rows]))


def _lists(starts: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(starts.astype(np.int64)), values)


def _fixed(values: npt.NDArray[np.generic], width: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values), width)


def _places(column: pa.ChunkedArray, ids: pa.Array) -> npt.NDArray[np.int64]:
    """The place of each id, -1 where the catalogue lacks it."""
    found = pc.index_in(column.cast(pa.large_string()), value_set=ids).fill_null(-1)
    places: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return places


def _check_memory(
    items: DataFrame,
    item_weights: DataFrame | None,
    item_factors: DataFrame | None,
    contexts: DataFrame | None,
    memory_mb: int,
) -> None:
    """Count first, gather then: a driver that is out of memory can't say why."""
    id_bytes, title_bytes = F.octet_length("item_id"), F.octet_length("title")
    text = F.sum(id_bytes * 2 + F.coalesce(title_bytes, id_bytes))
    row = items.agg(F.count("*").alias("items"), text.alias("text")).first()
    count = row["items"] if row else 0
    pairs = item_weights.count() if item_weights is not None else 0
    values = contexts.count() if contexts is not None else 0
    rank = 0
    if item_factors is not None:
        longest = item_factors.agg(F.max(F.size("factors")).alias("rank")).first()
        rank = (longest["rank"] if longest else 0) or 0
    text_bytes = (row["text"] if row else 0) or 0
    # Factors lie mapped in single precision, and in double while a Gram matrix is made of them.
    arrays = text_bytes + count * (_BYTES_AN_ITEM + 12 * rank) + (pairs + values) * 12
    needed = -(-arrays // _MB)
    if needed > memory_mb:
        raise RunError(
            f"recommend.memory_mb is {memory_mb}, but {count} items with {pairs} neighbours, "
            f"{values} values of context and factors of rank {rank} need {needed} MB in each task; "
            f"set recommend.memory_mb to at least {needed} (and see that executors have it), or "
            "lower train.neighbours.neighbours, train.ease.weights or train.als.rank"
        )
