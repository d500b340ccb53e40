"""What a labeller of texts is, and what all of them share.

It gives texts tags, or a topic. It is *fitted* as an encoder is, entered into the table
`labellers`, and holds until it is fitted anew. Labels of different versions are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.language.chatting import GIVEN
from ebb.language.encoder import Fitted
from ebb.language.settings import AnyTagger, Topics

LABELS = "item_id string, text_hash string, tags array<string>, dropped int, outcome string"
_ARROW = pa.schema(
    [
        ("item_id", pa.string()),
        ("text_hash", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("dropped", pa.int32()),
        ("outcome", pa.string()),
    ]
)


class Labeller(Protocol):
    """Gives texts tags, or a topic."""

    @property
    def settings(self) -> AnyTagger | Topics:
        """What makes it, and how long it holds."""

    @property
    def by_vectors(self) -> bool:
        """Whether it looks at texts' vectors: what has none yet waits."""

    def fit(self, texts: DataFrame) -> Fitted:
        """Learn from texts, a row an item: item_id, text_hash, text and, by vectors, vector.

        Runs jobs. Equal versions give equal labels of equal texts.
        """

    def label(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        """Columns `LABELS` of texts: all, or as many as there is a budget for. Lazy."""


def label_batch(batch: pa.RecordBatch, tags: Sequence[Sequence[str]]) -> pa.RecordBatch:
    """The texts of a batch with tags that were given as they should."""
    return judged_batch(batch, tags, [0] * len(tags), [GIVEN] * len(tags))


def judged_batch(
    batch: pa.RecordBatch,
    tags: Sequence[Sequence[str]],
    dropped: Sequence[int],
    outcomes: Sequence[str],
) -> pa.RecordBatch:
    """The texts of a batch, one a list of tags, with what came of asking for them."""
    columns = [
        *(batch.column(name) for name in ("item_id", "text_hash")),
        pa.array(tags, _ARROW.field("tags").type),
        pa.array(dropped, pa.int32()),
        pa.array(outcomes, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW)
