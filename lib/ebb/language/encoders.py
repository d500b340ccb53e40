"""Encoders: what makes vectors of texts, behind one interface.

An encoder is *fitted* on texts known at an instant (only TF-IDF learns anything), entered into the
table `text_encoders`, and holds until it is fitted anew. Vectors of different versions are never
compared with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.language.settings import Tfidf
from ebb.language.tfidf import TfidfModel
from ebb.language.tfidf_fit import fit_tfidf
from ebb.shipped import ship, shipped

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
    model : what was learned, as bytes.
    """

    version: str
    model: bytes


class Encoder(Protocol):
    """Makes vectors of texts."""

    @property
    def kind(self) -> str:
        """What sort of encoder it is."""

    @property
    def every(self) -> timedelta:
        """How long a fit holds."""

    def fit(self, texts: DataFrame) -> Fitted:
        """Learn from texts, a row an item: item_id, text_hash, text. Runs jobs."""

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        """item_id, text_hash and vector (of one length for all) of each text. Lazy."""


def encoder_of(settings: Tfidf) -> Encoder:
    """The encoder that the configuration asks for."""
    return TfidfEncoder(settings)


@dataclass(frozen=True)
class TfidfEncoder:
    """TF-IDF and SVD (`tfidf.py`, `tfidf_fit.py`)."""

    settings: Tfidf
    kind: str = "tfidf"

    @property
    def every(self) -> timedelta:
        return self.settings.every

    def fit(self, texts: DataFrame) -> Fitted:
        model = fit_tfidf(texts, self.settings).to_bytes()
        return Fitted(hashlib.sha256(model).hexdigest()[:16], model)

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        context = texts.sparkSession.sparkContext

        def write(path: Path) -> None:
            path.write_bytes(fitted.model)

        name = ship(context, ".arrow", write)
        return texts.mapInArrow(partial(_encoded, name), VECTORS)


def _encoded(name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    model = _model(name)
    for batch in batches:
        vectors = model.encode(batch.column("text").to_pylist())
        starts = pa.array(range(0, vectors.size + 1, vectors.shape[1]), pa.int32())
        lists = pa.ListArray.from_arrays(starts, pa.array(vectors.ravel()))
        columns = [batch.column("item_id"), batch.column("text_hash"), lists]
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)


@lru_cache(maxsize=1)
def _model(name: str) -> TfidfModel:
    """A shipped model, on an executor; read once a Python worker."""
    return TfidfModel.from_bytes(shipped(name).read_bytes())
