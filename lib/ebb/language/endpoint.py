"""Vectors from an endpoint over HTTP, as OpenAI has it: POST {model, input} to …/embeddings.

One task asks, so that rate and budget hold for the whole night. What fails for a while is tried
again; when it goes on failing the night keeps what it has and goes on, and the rest waits for the
next. What can't get better by waiting (a wrong key, an answer that is none) stops the night.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.language.encoder import VECTORS, Fitted, Floats, of_unit_length, vector_batch, version_of
from ebb.language.settings import Endpoint

_FOR_A_WHILE = frozenset({408, 429})
_LONGEST_PAUSE = 60.0
_MOST_OF_AN_ANSWER = 300


class UnreachableError(Exception):
    """The endpoint went on failing for as long as there were tries."""


@dataclass(frozen=True)
class EndpointEncoder:
    """A model behind an endpoint: nothing is learned from the texts."""

    settings: Endpoint

    def fit(self, texts: DataFrame) -> Fitted:
        return Fitted(version_of(self.settings, "url", "model", "dimension"), b"")

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        client = Client(self.settings, os.environ.get(self.settings.key_from))
        some = texts.orderBy("item_id", "text_hash").limit(self.settings.budget).coalesce(1)
        return some.mapInArrow(partial(encoded, client), VECTORS)


@dataclass
class Client:
    """Asks an endpoint, no faster than it may.

    Attributes
    ----------
    key : sent as a bearer token; None sends none.
    sleep, clock : of the waiting; seconds.
    """

    settings: Endpoint
    key: str | None = field(default=None, repr=False)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

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
        return _vectors(self._answer(json.dumps(body).encode()), len(texts))

    def _answer(self, body: bytes) -> bytes:
        pause = self.settings.pause.total_seconds()
        said = ""
        for place in range(self.settings.tries):
            self._wait_for_turn()
            asked = 0.0
            try:
                return self._post(body)
            except HTTPError as error:
                said = f"status {error.code}: {_excerpt(error.read())}"
                if error.code < 500 and error.code not in _FOR_A_WHILE:
                    raise ValueError(f"{self.settings.url} refuses: {said}") from error
                asked = _seconds(error.headers.get("Retry-After"))
            except (OSError, HTTPException) as error:  # of the network, time-outs too
                said = f"{type(error).__name__}: {error}"
            if place + 1 < self.settings.tries:
                self.sleep(min(max(asked, pause * 2**place), _LONGEST_PAUSE))
        raise UnreachableError(f"{self.settings.url}, {self.settings.tries} tries: {said}")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Request(self.settings.url, data=body, headers=headers, method="POST")
        with urlopen(request, timeout=self.settings.timeout.total_seconds()) as answer:
            read: bytes = answer.read()
        return read

    def _wait_for_turn(self) -> None:
        if self.settings.requests_a_minute is None:
            return
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 60.0 / self.settings.requests_a_minute


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
        raise ValueError(f"the endpoint's answer has no vectors: {_excerpt(answer)}") from error
    if len(by_index) != count or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"expected {count} vectors of finite numbers, given {_excerpt(answer)}")
    return of_unit_length(vectors)


def _seconds(text: str | None) -> float:
    """Of a Retry-After in seconds; 0 for a date or none."""
    return float(text) if text and text.strip().isdigit() else 0.0


def _excerpt(answer: bytes) -> str:
    return answer[:_MOST_OF_AN_ANSWER].decode("utf-8", "replace")
