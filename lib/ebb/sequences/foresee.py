"""Asks a network about users at as_of: what it foresees of each, in Arrow batches. Needs torch.

A user's state is a vector; times an item's (`model.Model.item_vectors`) it is the log of what taste
gives the item, the gate and the softmax over all items included. Beside it stands what the pointer
gives items of the past. So whoever has both scores any item without the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyspark.sql import DataFrame
from torch.nn import functional

from ebb.rounding import significant_array
from ebb.sequences.batches import Batch, Rows
from ebb.sequences.model import Model, shipped_model

SCHEMA = "user_id string, state array<double>, again_items array<int>, again array<double>"
_ARROW = pa.schema(
    [
        ("user_id", pa.string()),
        ("state", pa.list_(pa.float64())),
        ("again_items", pa.list_(pa.int32())),
        ("again", pa.list_(pa.float64())),
    ]
)
Doubles = npt.NDArray[np.float64]


def foreseen(sequences: DataFrame, name: str, places: npt.NDArray[np.int32]) -> DataFrame:
    """What a network foresees of each user at as_of.

    Parameters
    ----------
    sequences : of `rows.sequence_rows`, one a user: the latest. name : of the shipped model.
    places : (m,) what its items are called in the answer; those below 0 are left out.

    Returns
    -------
    DataFrame of user_id, state (d + 2), again_items (places of the sequence's items, ascending) and
    again: the probability that the pointer gives each. Lazy.
    """
    return sequences.mapInArrow(partial(_foreseen, name, places), SCHEMA)


def _foreseen(
    name: str, places: npt.NDArray[np.int32], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    model = shipped_model(name)
    for batch in batches:
        rows = Rows.of(batch)
        states, items, shares = [], [], []
        for row in range(len(rows)):
            # One by one: a user's figures hang on nobody else in the batch, to the last bit.
            state, numbers, own = foresee(model, rows, row)
            at = places[numbers - 1]
            order = np.argsort(at)[np.count_nonzero(at < 0) :]
            states.append(state)
            items.append(at[order])
            shares.append(own[order])
        columns = [batch.column("user_id"), states, items, shares]
        yield pa.RecordBatch.from_arrays(
            [pa.array(one, field.type) for one, field in zip(columns, _ARROW, strict=True)],
            schema=_ARROW,
        )


def foresee(model: Model, rows: Rows, row: int) -> tuple[Doubles, npt.NDArray[np.int64], Doubles]:
    """State (d + 2), distinct items of the sequence by number, and the pointer's shares of them."""
    own = slice(int(rows.starts[row]), int(rows.starts[row + 1]))
    batch = Batch.empty(1, own.stop - own.start, 1)
    batch.put(0, rows, own)
    network = model.network
    with torch.inference_mode():
        seen = network.see(batch)
        queries = network.query(seen)
        last = queries[0, -1]
        normaliser = network.logits(last).logsumexp(-1)
        leaning = network.gate(last)[0]
        by_taste = functional.logsigmoid(-leaning) - normaliser
        attention = network.attention(seen, queries)[0, -1] + functional.logsigmoid(leaning)
        state = torch.cat([last, torch.ones(1), by_taste[None]]).numpy().astype(np.float64)
        shares = attention.exp().numpy().astype(np.float64)
    items, place = np.unique(rows.items[own], return_inverse=True)
    summed = np.bincount(place, weights=shares, minlength=len(items))
    return significant_array(state), items, significant_array(summed)
