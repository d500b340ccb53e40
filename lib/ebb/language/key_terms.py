"""Tags from a text's own terms: those that tell it from others, by TF-IDF. Needs no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.digits import significant_array
from ebb.hashes import short_hash
from ebb.language.encoder import Fitted
from ebb.language.labeller import LABELS, label_batch
from ebb.language.settings import KeyTerms
from ebb.language.tfidf import Vocabulary
from ebb.language.tfidf_fit import fit_vocabulary
from ebb.shipped import ship_bytes, shipped


@dataclass(frozen=True)
class TermTagger:
    """Learns how many texts have each term."""

    settings: KeyTerms
    by_vectors: bool = False

    def fit(self, texts: DataFrame) -> Fitted:
        vocabulary = fit_vocabulary(texts, self.settings.terms, self.settings.common)
        model = vocabulary.to_bytes()
        named = f"{self.settings.most}".encode() + model
        return Fitted(short_hash(named), model)

    def label(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        name = ship_bytes(texts.sparkSession.sparkContext, ".arrow", fitted.model)
        return texts.mapInArrow(partial(_labelled, name, self.settings.most), LABELS)


def key_terms(vocabulary: Vocabulary, texts: Sequence[str], most: int) -> list[list[str]]:
    """Of each text its terms of most weight, (1 + log n) · idf; ties by term."""
    read = vocabulary.read(texts)
    weights = significant_array(read.weights, 12)
    found = []
    for start, stop in zip(read.starts[:-1], read.starts[1:], strict=True):
        # Numbers of terms ascend as terms do.
        order = start + np.argsort(-weights[start:stop], kind="stable")
        own = (vocabulary.terms[number] for number in read.terms[order])
        found.append([term for term in own if is_readable(term)][:most])
    return found


def is_readable(term: str) -> bool:
    """Whether people can make something of it: a letter, and not alone."""
    return len(term) > 1 and any(character.isalpha() for character in term)


def _labelled(name: str, most: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        texts = batch.column("text").to_pylist()
        yield label_batch(batch, key_terms(_vocabulary(name), texts, most))


@lru_cache(maxsize=1)
def _vocabulary(name: str) -> Vocabulary:
    """A shipped vocabulary, on an executor; read once a Python worker."""
    return Vocabulary.from_bytes(shipped(name).read_bytes())
