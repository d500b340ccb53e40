"""Vectors from an endpoint over HTTP, as OpenAI has it: POST {model, input} to …/embeddings.

One task asks, so that rate and budget hold for the whole night. What fails for a while is tried
again; when it goes on failing the night keeps what it has and goes on, and the rest waits for the
next. What can't get better by waiting (a wrong key, an answer that is none) stops the night.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.language.asking import Asker, UnreachableError, excerpt
from ebb.language.encoder import VECTORS, Fitted, Floats, of_unit_length, vector_batch, version_of
from ebb.language.settings import Endpoint
from ebb.language.texts import catalogue_first


@dataclass(frozen=True)
class EndpointEncoder:
    """A model behind an endpoint: nothing is learned from the texts."""

    settings: Endpoint

    def fit(self, texts: DataFrame) -> Fitted:
        return Fitted(version_of(self.settings, "url", "model", "dimension"), b"")

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        client = Client(self.settings, Asker(self.settings, os.environ.get(self.settings.key_from)))
        some = catalogue_first(texts).limit(self.settings.budget).coalesce(1)
        return some.mapInArrow(partial(encoded, client), VECTORS)


@dataclass(frozen=True)
class Client:
    """Asks an endpoint for vectors."""

    settings: Endpoint
    asker: Asker

    def vectors_of(self, texts: list[str]) -> Floats:
        """(d, r) vectors of length 1, in the order of the texts.

        Raises
        ------
        UnreachableError
            When every try failed in a way that may pass.
        ValueError
            When the endpoint refused, or its answer isn't one of so many vectors.
        """
        body: dict[str, Any] = {"model": self.settings.model, "input": texts}
        if self.settings.dimension is not None:
            body["dimensions"] = self.settings.dimension
        return _vectors(self.asker.answer(json.dumps(body).encode()), len(texts))


def encoded(client: Client, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Vectors of texts until there are no more, or the endpoint goes on failing."""
    size = client.settings.batch
    for batch in batches:
        for first in range(0, batch.num_rows, size):
            part = batch.slice(first, size)
            try:
                vectors = client.vectors_of(part.column("text").to_pylist())
            except UnreachableError as error:
                print(f"vectors: {error}; the rest waits for the next night", file=sys.stderr)
                return
            yield vector_batch(part, vectors)


def _vectors(answer: bytes, count: int) -> Floats:
    """The vectors of an answer, by their index."""
    try:
        listed: list[Any] = json.loads(answer)["data"]
        by_index = {int(one["index"]): one["embedding"] for one in listed}
        vectors = np.array([by_index[place] for place in range(count)], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the endpoint's answer has no vectors: {excerpt(answer)}") from error
    if len(by_index) != count or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"expected {count} vectors of finite numbers, given {excerpt(answer)}")
    return of_unit_length(vectors)
