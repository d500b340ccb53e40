"""Fits TF-IDF and SVD on texts, on Spark: what the driver holds grows with the vocabulary alone.

The SVD is by subspace iteration from a random start (Halko, Martinsson and Tropp 2011). Each pass
over the texts adds up X'(XQ), text by text, in whole multiples of 2⁻³⁶: sums of whole numbers are
the same in any order, so that neither partitions nor threads move a bit of the vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.language.settings import Tfidf
from ebb.language.tfidf import TEXTS_AT_ONCE, Doubles, Terms, TfidfModel, Vocabulary
from ebb.language.tokens import tokens
from ebb.rounding import significant_array
from ebb.storage import stored

# A term of a single text is like no other's.
_LEAST_TEXTS = 2
# Columns beside the wanted ones make the iteration faster.
_BESIDE = 8
_SCALE = 2.0**36
# Singular values below this part of the largest are the rounding of sums.
_LEAST = 1e-4
_TERMS = pa.schema([("terms", pa.list_(pa.string()))])
_READ = pa.schema([("terms", pa.list_(pa.int64())), ("weights", pa.list_(pa.float64()))])


def fit_tfidf(texts: DataFrame, settings: Tfidf) -> TfidfModel:
    """Fit vocabulary and projection; runs jobs.

    Parameters
    ----------
    texts : item_id, text; one row an item.
    """
    with stored(texts) as kept:
        vocabulary = fit_vocabulary(kept, settings.terms)
        shared = kept.sparkSession.sparkContext.broadcast(vocabulary)
        read = kept.select("text").mapInArrow(
            partial(_read, shared), "terms array<bigint>, weights array<double>"
        )
        with stored(read) as rows:
            projection = _projection(rows, len(vocabulary.terms), settings)
        shared.destroy()
    return TfidfModel(vocabulary, projection)


def fit_vocabulary(texts: DataFrame, most: int, common: float = 1.0) -> Vocabulary:
    """The terms that most texts have, ties by term; runs jobs.

    Parameters
    ----------
    texts : text; one row an item.
    most : terms at most.
    common : terms that a larger part of the texts have are left out.
    """
    count = texts.count()
    largest = max(_LEAST_TEXTS, common * count)
    found = (
        texts.select("text")
        .mapInArrow(_distinct_terms, "terms array<string>")
        .select(F.explode("terms").alias("term"))
        .groupBy("term")
        .agg(F.count("*").alias("texts"))
        .where((F.col("texts") >= _LEAST_TEXTS) & (F.col("texts") <= largest))
        .orderBy(F.desc("texts"), "term")
        .limit(most)
        .toPandas()
        .sort_values("term")
    )
    weights = 1.0 + np.log((1.0 + count) / (1.0 + found["texts"].to_numpy(dtype=np.float64)))
    return Vocabulary(tuple(found["term"]), significant_array(weights, 12))


def _distinct_terms(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = [sorted(set(tokens(text))) for text in batch.column("text").to_pylist()]
        yield pa.RecordBatch.from_arrays([pa.array(found, _TERMS.types[0])], schema=_TERMS)


def _read(
    shared: Broadcast[Vocabulary], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Each text's terms and their weights, brought to length 1."""
    for batch in batches:
        read = shared.value.read(batch.column("text").to_pylist()).scaled()
        starts = pa.array(read.starts.astype(np.int32))
        columns = [
            pa.ListArray.from_arrays(starts, pa.array(values))
            for values in (read.terms, read.weights)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_READ)


# --------------------------------------------------------------------------- the SVD
def _projection(rows: DataFrame, terms: int, settings: Tfidf) -> npt.NDArray[np.float32]:
    """(terms, dimension) V S⁻¹."""
    found = np.zeros((terms, settings.dimension), dtype=np.float32)
    width = min(settings.dimension + _BESIDE, terms)
    if width == 0:
        return found
    start = np.random.default_rng(settings.seed).standard_normal((terms, width))
    basis = np.linalg.qr(start)[0]
    for _ in range(settings.passes):
        basis = np.linalg.qr(_through(rows, basis))[0]
    values, vectors = np.linalg.eigh(basis.T @ _through(rows, basis))
    values, vectors = values[::-1][: settings.dimension], vectors[:, ::-1][:, : settings.dimension]
    sizes = np.sqrt(np.maximum(values, 0.0))
    kept = sizes > _LEAST * sizes.max(initial=0.0)
    right = basis @ vectors[:, kept]
    # Singular vectors have no sign: the largest entry is made positive.
    right *= np.sign(right[np.abs(right).argmax(axis=0), np.arange(right.shape[1])])
    found[:, : right.shape[1]] = significant_array(right / sizes[kept])
    return found


def _through(rows: DataFrame, basis: Doubles) -> Doubles:
    """X'(X basis), X the matrix of a row a text and a column a term."""
    context, width = rows.sparkSession.sparkContext, basis.shape[1]
    shared = context.broadcast(basis)
    names = [f"s{column}" for column in range(width)]
    schema = ", ".join(["term bigint", *(f"{name} bigint" for name in names)])
    parts = rows.mapInArrow(partial(_sums, shared), schema)
    summed = parts.groupBy("term").agg(*(F.sum(name).alias(name) for name in names)).toArrow()
    shared.destroy()
    product = np.zeros(basis.shape)
    sums = np.column_stack([summed.column(name).to_numpy() for name in names])
    product[summed.column("term").to_numpy()] = sums / _SCALE
    return product


def _sums(
    shared: Broadcast[Doubles], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Of one partition, each term's row of X'(X basis), in multiples of 1 / _SCALE."""
    basis = shared.value
    total = np.zeros(basis.shape, dtype=np.int64)
    for batch in batches:
        for first in range(0, batch.num_rows, TEXTS_AT_ONCE):
            _add(total, basis, _as_terms(batch.slice(first, TEXTS_AT_ONCE)))
    touched = np.flatnonzero(total.any(axis=1))
    columns = [pa.array(touched), *(pa.array(column) for column in total[touched].T.copy())]
    names = ["term", *(f"s{column}" for column in range(basis.shape[1]))]
    yield pa.RecordBatch.from_arrays(columns, names=names)


def _add(total: npt.NDArray[np.int64], basis: Doubles, texts: Terms) -> None:
    through = np.repeat(texts.times(basis), texts.counts, axis=0)
    parts = np.rint(through * (texts.weights * _SCALE)[:, None]).astype(np.int64)
    order = np.argsort(texts.terms, kind="stable")
    terms, starts = np.unique(texts.terms[order], return_index=True)
    if len(terms):
        total[terms] += np.add.reduceat(parts[order], starts, axis=0)


def _as_terms(batch: pa.RecordBatch) -> Terms:
    lists = batch.column("terms")
    lengths = lists.value_lengths().to_numpy().astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    return Terms(starts, lists.flatten().to_numpy(), batch.column("weights").flatten().to_numpy())
