"""What an encoder of texts is, and what all of them share.

An encoder is *fitted* on the texts known at an instant (only TF-IDF learns anything of them),
entered into the table `text_encoders`, and holds until it is fitted anew. Vectors of different
versions are never compared with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.hashes import short_hash
from ebb.language.settings import Endpoint, SentenceTransformers

Floats = npt.NDArray[np.float32]
VECTORS = "item_id string, text_hash string, vector array<float>"
_ARROW = pa.schema(
    [("item_id", pa.string()), ("text_hash", pa.string()), ("vector", pa.list_(pa.float32()))]
)


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves.

    Attributes
    ----------
    version : names the vectors; equal versions give equal vectors of equal texts.
    model : what was learned; empty where nothing is.
    """

    version: str
    model: bytes


class Encoder(Protocol):
    """Makes vectors of texts."""

    def fit(self, texts: DataFrame) -> Fitted:
        """Learn from texts, a row an item: item_id, text_hash, text. Runs jobs."""

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        """item_id, text_hash and vector of texts: all, or as many as there is a budget for. Lazy.

        All vectors are of one length, and have the length 1 or, where nothing is known, 0.
        """


def version_of(settings: SentenceTransformers | Endpoint, *fields: str) -> str:
    """Names the vectors of a model that somebody else fitted, by the settings that make them."""
    named = settings.model_dump_json(include={"kind", *fields})
    return short_hash(named.encode())


def vector_batch(batch: pa.RecordBatch, vectors: Floats) -> pa.RecordBatch:
    """The first rows of a batch of texts with their vectors, as many as there are."""
    starts = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(starts), pa.array(vectors.ravel()))
    columns = [batch.column(name).slice(0, len(vectors)) for name in ("item_id", "text_hash")]
    return pa.RecordBatch.from_arrays([*columns, lists], schema=_ARROW)


def of_unit_length(vectors: Sequence[Sequence[float]] | npt.NDArray[np.floating]) -> Floats:
    """(d, r) rows divided by their lengths; zeros stay zeros."""
    rows = np.asarray(vectors, dtype=np.float64)
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    unit: Floats = (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return unit
