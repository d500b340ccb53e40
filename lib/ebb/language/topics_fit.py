"""Finds topics on Spark: spherical k-means of the texts' vectors, and terms that tell them apart.

It starts from k-means++ (Arthur and Vassilvitskii 2007) on a sample, and goes on by Lloyd's passes
over all vectors, each centre the direction of the sum of those nearest to it (Dhillon and Modha
2001). Vectors are whole numbers (`cosines.py`) and so are their sums: partitions and threads move
nothing. The driver holds the sample and the centres alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.language.cosines import SCALE, Doubles, Integers, cosines, nearest, rows_of, whole
from ebb.language.encoder import Floats, of_unit_length
from ebb.language.key_terms import is_readable
from ebb.language.settings import Topics
from ebb.language.tokens import tokens
from ebb.rounding import significant
from ebb.storage import stored

# Vectors that k-means++ starts from: the first by a hash of their text.
_SAMPLE = 10_000
# Vectors this near to each other are one: 2⁻²⁴ is what rounding leaves.
_NEXT_TO_NOTHING = 1e-6
_TERMS = pa.schema([("topic", pa.int64()), ("terms", pa.list_(pa.string()))])


@dataclass(frozen=True)
class Found:
    """Topics, the one with most items first.

    Attributes
    ----------
    centres : (k, r) of length 1. items : (k,) nearest to each.
    terms : (k,) those that tell each from the rest, the most telling first.
    """

    centres: Floats
    items: Integers
    terms: list[list[str]]


def find_topics(texts: DataFrame, settings: Topics, terms: int) -> Found:
    """Find the topics of texts, and what tells them apart; runs jobs.

    Parameters
    ----------
    texts : text_hash, text, vector; one row an item.
    terms : of a topic, at most.
    """
    with stored(texts.select("text_hash", "text", "vector")) as known:
        centres = first_centres(_sample(known), settings.count, settings.seed)
        items, moved = _pass(known, centres)
        for _ in range(settings.passes):
            if np.array_equal(moved, centres):
                break
            centres = moved
            items, moved = _pass(known, centres)
        order = np.argsort(-items, kind="stable")
        order = order[items[order] > 0]
        centres, items = centres[order], items[order]
        telling = _telling(known, centres, terms)
    return Found((centres / SCALE).astype(np.float32), items, telling)


def first_centres(vectors: Doubles, count: int, seed: int) -> Doubles:
    """(k, r) of (n, r) `whole` vectors: each drawn by how far it is from those before.

    k is `count`, or as many as there are different directions.
    """
    draws = np.random.default_rng(seed).random(count)
    some = vectors[vectors.any(axis=1)]
    far = np.ones(len(some))
    chosen: list[int] = []
    for draw in draws:
        if not far.any():
            break
        # 1 - cosine is half the squared distance. Where the draw meets the running total.
        reached = np.cumsum(far)
        met = int(np.searchsorted(reached, draw * reached[-1], side="right"))
        chosen.append(min(met, len(some) - 1))
        beside = 1.0 - cosines(some, some[chosen[-1:]])[:, 0]
        far = np.minimum(far, np.where(beside > _NEXT_TO_NOTHING, beside, 0.0))
    return some[chosen]


def _sample(known: DataFrame) -> Doubles:
    first = known.select("vector").orderBy("text_hash").limit(_SAMPLE).toArrow()
    return rows_of(first.column("vector").combine_chunks())


# ------------------------------------------------------------------------- Lloyd's passes
def _pass(known: DataFrame, centres: Doubles) -> tuple[Integers, Doubles]:
    """How many vectors are nearest to each centre, and the centres that these make.

    One that nothing is nearest to stays where it is.
    """
    names = [f"s{column}" for column in range(centres.shape[1])]
    schema = ", ".join(["topic bigint, items bigint", *(f"{name} bigint" for name in names)])
    totals = [F.sum(name).alias(name) for name in ("items", *names)]
    parts = known.mapInArrow(partial(_sums, centres), schema)
    summed = parts.groupBy("topic").agg(*totals).toArrow()
    topic = summed.column("topic").to_numpy()
    items = np.zeros(len(centres), dtype=np.int64)
    items[topic] = summed.column("items").to_numpy()
    moved = centres.copy()
    if len(topic):
        sums = np.column_stack([summed.column(name).to_numpy() for name in names])
        moved[topic] = whole(of_unit_length(sums))
    return items, moved


def _sums(centres: Doubles, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of one partition, how many vectors are nearest to each centre, and their sum."""
    totals = np.zeros((len(centres), 1 + centres.shape[1]), dtype=np.int64)
    for batch in batches:
        vectors = rows_of(batch.column("vector"))
        place = nearest(vectors, centres)
        own = place >= 0
        ones = np.ones((int(own.sum()), 1))
        np.add.at(totals, place[own], np.hstack([ones, vectors[own]]).astype(np.int64))
    touched = np.flatnonzero(totals[:, 0])
    columns = [pa.array(touched), *(pa.array(column) for column in totals[touched].T.copy())]
    names = ["topic", "items", *(f"s{column}" for column in range(centres.shape[1]))]
    yield pa.RecordBatch.from_arrays(columns, names=names)


# --------------------------------------------------------------------------------- terms
def _telling(known: DataFrame, centres: Doubles, most: int) -> list[list[str]]:
    """The terms that tell each topic from the rest, the most telling first; ties by term.

    A term scores p · log(p / q): p of the topic's texts have it, q of the others, with one more
    that has it.
    """
    rows = known.mapInArrow(partial(_terms, centres), "topic bigint, terms array<string>")
    with stored(rows) as read:
        sizes = read.groupBy("topic").agg(F.count("*").alias("size"))
        every = F.sum("size").over(Window.partitionBy())
        counts = (
            read.select("topic", F.explode("terms").alias("term"))
            .groupBy("topic", "term")
            .agg(F.count("*").alias("n"))
            .withColumn("everywhere", F.sum("n").over(Window.partitionBy("term")))
            .join(sizes.withColumn("texts", every), on="topic", how="inner")
        )
        best = Window.partitionBy("topic").orderBy(F.desc("score"), "term")
        found = (
            counts.withColumn("score", significant(_score()))
            .withColumn("place", F.row_number().over(best))
            .where((F.col("place") <= most) & (F.col("score") > 0))
            .orderBy("topic", "place")
            .select("topic", "term")
            .collect()
        )
    terms: list[list[str]] = [[] for _ in centres]
    for row in found:
        terms[row["topic"]].append(row["term"])
    return terms


def _score() -> Column:
    own = F.col("n") / F.col("size")
    others = (F.col("everywhere") - F.col("n") + 1) / (F.col("texts") - F.col("size") + 1)
    return own * F.log(own / others)


def _terms(centres: Doubles, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of each text that has a topic, it and the text's terms, each once."""
    for batch in batches:
        place = nearest(rows_of(batch.column("vector")), centres)
        own = np.flatnonzero(place >= 0)
        texts = batch.column("text").take(pa.array(own)).to_pylist()
        terms = [sorted(filter(is_readable, set(tokens(text)))) for text in texts]
        columns = [pa.array(place[own]), pa.array(terms, _TERMS.field("terms").type)]
        yield pa.RecordBatch.from_arrays(columns, schema=_TERMS)
