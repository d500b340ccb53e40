"""A network on every executor, and what it says of users. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from ebb.sequences.rows import Vocabulary, sequence_rows
from ebb.sequences.settings import Sequences
from ebb.spread import spread_by_user


@dataclass(frozen=True)
class Asked:
    """A shipped network.

    Attributes
    ----------
    name : of the file. places : (m,) of its items in the catalogue, -1 where that lacks one.
    """

    name: str
    settings: Sequences
    vocabulary: Vocabulary
    places: npt.NDArray[np.int32]

    @staticmethod
    def of(spark: SparkSession, raw: bytes, ids: pa.ChunkedArray) -> Asked:
        """Ship a network.

        Parameters
        ----------
        raw : its bytes. ids : of the catalogue's items, by place.
        """
        from ebb.sequences.model import Model, ship_model

        model = Model.of(raw)
        items = model.vocabulary.items.cast(pa.large_string())
        found = pc.index_in(items, value_set=ids.combine_chunks().cast(pa.large_string()))
        places = found.fill_null(-1).to_numpy().astype(np.int32)
        name = ship_model(spark.sparkContext, raw)
        return Asked(name, model.settings, model.vocabulary, places)

    def foreseen(self, events: DataFrame, as_of: datetime) -> DataFrame:
        """Of each user of some events, strictly before `as_of`: user_id, state, again_items
        (places, ascending) and again (their probabilities). Lazy.

        Parameters
        ----------
        events : event_id, user_id, item_id, event_type, event_ts, weight.
        """
        from ebb.sequences.foresee import foreseen

        length = self.settings.length
        latest = sequence_rows(spread_by_user(events), self.vocabulary, as_of, length, length)
        return foreseen(latest, self.name, self.places)
