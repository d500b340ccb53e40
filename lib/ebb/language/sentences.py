"""Vectors by a model of sentence-transformers, in Arrow batches on the executors.

The library is imported where it is used: it comes with the extra `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.extras import require
from ebb.language.encoder import VECTORS, Fitted, of_unit_length, vector_batch, version_of
from ebb.language.settings import SentenceTransformers

_MISSING = (
    "language.encoder.kind is sentence_transformers, which the extra text brings: "
    "pip install 'ebb[text]', or name another kind"
)


@dataclass(frozen=True)
class SentenceEncoder:
    """A model that somebody else has trained: nothing is learned from the texts."""

    settings: SentenceTransformers

    def fit(self, texts: DataFrame) -> Fitted:
        require_sentence_transformers()
        return Fitted(version_of(self.settings, "model", "revision"), b"")

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        require_sentence_transformers()
        return texts.mapInArrow(partial(encoded, self.settings), VECTORS)


def require_sentence_transformers() -> None:
    """Tell what is missing before anything is encoded.

    Raises
    ------
    RunError
        When the extra `text` isn't installed.
    """
    require(_MISSING, "sentence_transformers")


def encoded(
    settings: SentenceTransformers, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Vectors of the texts of one partition; runs on executors."""
    for batch in batches:
        if batch.num_rows:
            vectors = _model(settings.model, settings.revision).encode(
                batch.column("text").to_pylist(),
                batch_size=settings.batch,
                show_progress_bar=False,
            )
            yield vector_batch(batch, of_unit_length(vectors))


@lru_cache(maxsize=1)
def _model(model: str, revision: str | None) -> Any:
    """The model, loaded once a Python worker."""
    return import_module("sentence_transformers").SentenceTransformer(model, revision=revision)
