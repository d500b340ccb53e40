"""Topics: a text's is the one whose centre is nearest to its vector. Found by `topics_fit.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.arrow import as_bytes, from_bytes
from ebb.hashes import short_hash
from ebb.language.cosines import Doubles, nearest, rows_of
from ebb.language.encoder import Fitted
from ebb.language.labeller import LABELS, label_batch
from ebb.language.settings import Topics
from ebb.language.topic_names import TOLD, names_of
from ebb.language.topics_fit import Found, find_topics


@dataclass(frozen=True)
class TopicLabeller:
    """Finds clusters of the texts' vectors, and names them."""

    settings: Topics
    by_vectors: bool = True

    def fit(self, texts: DataFrame) -> Fitted:
        most = max(self.settings.words, TOLD if self.settings.chat else 0)
        found = find_topics(texts, self.settings, most)
        model = _to_bytes(found, names_of(found.terms, self.settings))
        return Fitted(short_hash(model), model)

    def label(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        table = topics_of(fitted)
        names = table.column("label").to_pylist()
        centres = rows_of(table.column("centre").combine_chunks())
        return texts.mapInArrow(partial(_labelled, names, centres), LABELS)


def topics_of(fitted: Fitted) -> pa.Table:
    """topic, label, items, centre: a row a topic."""
    return from_bytes(fitted.model)


def _to_bytes(found: Found, labels: list[str]) -> bytes:
    centres = found.centres
    starts = np.arange(len(centres) + 1, dtype=np.int32) * centres.shape[1]
    columns = {
        "topic": pa.array(np.arange(len(centres), dtype=np.int32)),
        "label": pa.array(labels, pa.string()),
        "items": pa.array(found.items),
        "centre": pa.ListArray.from_arrays(pa.array(starts), pa.array(centres.ravel())),
    }
    return as_bytes(pa.table(columns))


def _labelled(
    names: list[str], centres: Doubles, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        place = nearest(rows_of(batch.column("vector")), centres)
        yield label_batch(batch, [[names[p]] if p >= 0 else [] for p in place])
