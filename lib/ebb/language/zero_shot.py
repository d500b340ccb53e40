"""Tags from a list, by the likeness of their vectors to a text's own. Needs no training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.arrow import as_bytes, from_bytes
from ebb.errors import RunError
from ebb.hashes import short_hash
from ebb.language.cosines import Doubles, cosines, rows_of
from ebb.language.encoder import Encoder, Fitted
from ebb.language.labeller import LABELS, label_batch
from ebb.language.settings import ZeroShot


@dataclass(frozen=True)
class ZeroShotTagger:
    """Encodes the list of tags as the texts were.

    Attributes
    ----------
    encoder, encoded : of the texts' vectors: what it is, and gives what it learned.
    """

    settings: ZeroShot
    encoder: Encoder
    encoded: Callable[[], Fitted]
    by_vectors: bool = True

    def fit(self, texts: DataFrame) -> Fitted:
        """Encode the tags; nothing is learned from the texts.

        Raises
        ------
        RunError
            When the encoder has no vectors of them now: an endpoint that can't be reached.
        """
        encoded = self.encoded()
        named = [(tag, tag, tag) for tag in self.settings.tags]
        asked = texts.sparkSession.createDataFrame(
            named, "item_id string, text_hash string, text string"
        )
        vectors = self.encoder.encode(asked, encoded).toArrow()
        if len(vectors) < len(named):
            raise RunError(
                f"{len(named) - len(vectors)} of {len(named)} tags of language.tagger.tags have no "
                "vectors, since the encoder of language.encoder didn't answer; run again later"
            )
        model = as_bytes(vectors.select(["item_id", "vector"]).sort_by("item_id"))
        chosen = self.settings.model_dump_json(include={"threshold", "most"})
        said = f"{encoded.version} {chosen}".encode() + model
        return Fitted(short_hash(said), model)

    def label(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        table = from_bytes(fitted.model)
        tags = table.column("item_id").to_pylist()
        vectors = rows_of(table.column("vector").combine_chunks())
        return texts.mapInArrow(partial(_labelled, self.settings, tags, vectors), LABELS)


def best_tags(tags: list[str], likeness: Doubles, settings: ZeroShot) -> list[list[str]]:
    """Of each text the most like tags at or above the threshold; ties by the order of tags.

    Parameters
    ----------
    tags : (k,). likeness : (n, k) cosines.
    """
    order = np.argsort(-likeness, axis=1, kind="stable")[:, : settings.most]
    return [
        [tags[place] for place in own if row[place] >= settings.threshold]
        for own, row in zip(order, likeness, strict=True)
    ]


def _labelled(
    settings: ZeroShot, tags: list[str], vectors: Doubles, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:
            texts = rows_of(batch.column("vector"))
            likeness = cosines(texts, vectors)
            # Of what nothing is known nothing is said, whatever the threshold.
            likeness[~texts.any(axis=1)] = -np.inf
            yield label_batch(batch, best_tags(tags, likeness, settings))
