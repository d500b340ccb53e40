"""The encoders that there are, and the one by TF-IDF."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.hashes import short_hash
from ebb.language.encoder import VECTORS, Encoder, Fitted, vector_batch
from ebb.language.endpoint import EndpointEncoder
from ebb.language.sentences import SentenceEncoder
from ebb.language.settings import AnyEncoder, Endpoint, SentenceTransformers, Tfidf
from ebb.language.tfidf import TfidfModel
from ebb.language.tfidf_fit import fit_tfidf
from ebb.shipped import ship_bytes, shipped


def encoder_of(settings: AnyEncoder) -> Encoder:
    """The encoder that the configuration asks for.

    Raises
    ------
    TypeError
        For vectors that are given: none are made.
    """
    if isinstance(settings, Tfidf):
        return TfidfEncoder(settings)
    if isinstance(settings, SentenceTransformers):
        return SentenceEncoder(settings)
    if isinstance(settings, Endpoint):
        return EndpointEncoder(settings)
    raise TypeError(f"an encoder of kind {settings.kind} makes no vectors of texts")


@dataclass(frozen=True)
class TfidfEncoder:
    """TF-IDF and SVD (`tfidf.py`, `tfidf_fit.py`)."""

    settings: Tfidf

    def fit(self, texts: DataFrame) -> Fitted:
        model = fit_tfidf(texts, self.settings).to_bytes()
        return Fitted(short_hash(model), model)

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        name = ship_bytes(texts.sparkSession.sparkContext, ".arrow", fitted.model)
        return texts.mapInArrow(partial(_encoded, name), VECTORS)


def _encoded(name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield vector_batch(batch, _model(name).encode(batch.column("text").to_pylist()))


@lru_cache(maxsize=1)
def _model(name: str) -> TfidfModel:
    """A shipped model, on an executor; read once a Python worker."""
    return TfidfModel.from_bytes(shipped(name).read_bytes())
