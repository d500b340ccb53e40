"""A fitted TF-IDF and SVD: turns texts into vectors. Numpy alone: no session.

A text's term t weighs x_t = (1 + log n_t) · idf_t, n_t how often it is there (Salton and Buckley
1988); idf_t = 1 + log((1 + N) / (1 + N_t)), N_t of N texts having it (Spärck Jones 1972). Its
vector is x V S⁻¹, brought to length 1: V and S are the first right singular vectors and values of
the matrix of all texts, each row brought to length 1 (latent semantic analysis, Deerwester et al.
1990). By S⁻¹ what many texts are about counts no more than what few are about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ebb.arrow import as_bytes, from_bytes
from ebb.language.encoder import Floats, of_unit_length
from ebb.language.tokens import tokens

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Bounds what a block of long texts takes: its terms times the dimension.
TEXTS_AT_ONCE = 250


@dataclass(frozen=True)
class Terms:
    """The terms of some texts, one text after the other, in each the numbers of terms ascending.

    Attributes
    ----------
    starts : (d + 1,) where each text's begin. terms : (k,) numbers. weights : (k,) x of each.
    """

    starts: Integers
    terms: Integers
    weights: Doubles

    def times(self, matrix: Doubles | Floats) -> Doubles:
        """(d, r) the texts' rows times a matrix of a row a term; a row's sum hangs on it alone."""
        return self._summed(matrix[self.terms] * self.weights[:, None])

    def scaled(self) -> Terms:
        """The same with each text's weights brought to length 1."""
        lengths = np.sqrt(self._summed(self.weights[:, None] ** 2)[:, 0])
        return Terms(self.starts, self.terms, self.weights / np.repeat(lengths, self.counts))

    @property
    def counts(self) -> Integers:
        """(d,) of each text's terms."""
        counts: Integers = np.diff(self.starts)
        return counts

    def _summed(self, parts: Doubles) -> Doubles:
        """(d, r) the sums of each text's rows of (k, r)."""
        sums = np.zeros((len(self.starts) - 1, parts.shape[1]))
        some = np.flatnonzero(self.counts)
        if len(some):
            sums[some] = np.add.reduceat(parts, self.starts[some], axis=0)
        return sums


@dataclass(frozen=True)
class Vocabulary:
    """Terms that count, in their order, and how much.

    Attributes
    ----------
    terms : distinct, ascending. weights : (t,) idf of each.
    """

    terms: tuple[str, ...]
    weights: Doubles

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    def read(self, texts: Sequence[str]) -> Terms:
        """The terms of texts, with their weights."""
        numbers, counts, starts = [], [], [0]
        for text in texts:
            known = Counter(self._numbers.get(term, -1) for term in tokens(text))
            known.pop(-1, None)
            own = sorted(known)
            numbers += own
            counts += [known[number] for number in own]
            starts.append(len(numbers))
        terms = np.array(numbers, dtype=np.int64)
        weights = (1.0 + np.log(np.array(counts, dtype=np.float64))) * self.weights[terms]
        return Terms(np.array(starts, dtype=np.int64), terms, weights)

    def to_bytes(self) -> bytes:
        """As an Arrow file; equal vocabularies give equal bytes."""
        terms = pa.array(self.terms, pa.string())
        return as_bytes(pa.table({"term": terms, "weight": pa.array(self.weights)}))

    @staticmethod
    def from_bytes(raw: bytes) -> Vocabulary:
        table = from_bytes(raw)
        return Vocabulary(
            tuple(table.column("term").to_pylist()), table.column("weight").to_numpy()
        )


@dataclass(frozen=True)
class TfidfModel:
    """A vocabulary and the projection of its terms.

    Attributes
    ----------
    projection : (t, r) V S⁻¹; columns of zeros where the texts have fewer dimensions than r.
    """

    vocabulary: Vocabulary
    projection: Floats

    def encode(self, texts: Sequence[str]) -> Floats:
        """(d, r) vectors of length 1; zeros for texts without a known term."""
        parts = [texts[n : n + TEXTS_AT_ONCE] for n in range(0, len(texts), TEXTS_AT_ONCE)]
        empty = np.zeros((0, self.projection.shape[1]), dtype=np.float32)
        return np.concatenate([empty, *map(self._encode, parts)])

    def _encode(self, texts: Sequence[str]) -> Floats:
        vectors = self.vocabulary.read(texts).times(self.projection)
        return of_unit_length(vectors)

    def to_bytes(self) -> bytes:
        """As an Arrow file; equal models give equal bytes."""
        width = self.projection.shape[1]
        table = pa.table(
            {
                "term": pa.array(self.vocabulary.terms, pa.string()),
                "weight": pa.array(self.vocabulary.weights),
                "projection": pa.FixedSizeListArray.from_arrays(
                    pa.array(self.projection.ravel()), width
                ),
            }
        )
        return as_bytes(table)

    @staticmethod
    def from_bytes(raw: bytes) -> TfidfModel:
        table = from_bytes(raw)
        projection = table.column("projection").combine_chunks()
        width = projection.type.list_size
        return TfidfModel(
            Vocabulary(tuple(table.column("term").to_pylist()), table.column("weight").to_numpy()),
            projection.flatten().to_numpy().reshape(-1, width),
        )
