"""Asks a shipped foreteller about everybody, in Arrow batches. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from ebb.foretell.model import shipped_foreteller
from ebb.foretell.pasts import pasts_of
from ebb.foretell.rows import blocks

_NAMES = ("user_id", "key", "rank", "foretold", "network", "decayed")
SCHEMA = "user_id string, key string, rank int, foretold double, network double, decayed double"


def foretold_by(met: DataFrame, name: str, by: str, top: int | None) -> DataFrame:
    """What is foretold of each user and key met before. Lazy.

    Parameters
    ----------
    met : of `rows.met_before`. name : of the shipped foreteller.
    by : ``network`` or ``decayed``: what `foretold` is, and keys are ranked by.
    top : keys of a user, ties by key; None is all.
    """
    return met.mapInArrow(partial(_foretold, name, by, top), SCHEMA)


def _foretold(
    name: str, by: str, top: int | None, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    foreteller = shipped_foreteller(name)
    for block in blocks(batches):
        pasts = pasts_of(block.events, foreteller.settings.read)
        found = foreteller.foretold(pasts)
        # Rows of a group come by key.
        order = np.lexsort((pasts.key, -found[by], pasts.group))
        rank = np.arange(len(order)) - pasts.starts[pasts.numbered] + 1
        chosen, rank = (order, rank) if top is None else (order[rank <= top], rank[rank <= top])
        columns = [
            block.users.take(pa.array(pasts.group[chosen])),
            block.keys.take(pa.array(pasts.key[chosen])),
            pa.array(rank, pa.int32()),
            *(pa.array(one[chosen]) for one in (found[by], found["network"], found["decayed"])),
        ]
        yield pa.RecordBatch.from_arrays(columns, _NAMES)
