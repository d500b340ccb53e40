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

SCHEMA = "user_id string, state array<double>, again array<struct<item_id: string, share: double>>"
_AGAIN = pa.struct([("item_id", pa.string()), ("share", pa.float64())])
_ARROW = pa.schema(
    [
        ("user_id", pa.string()),
        ("state", pa.list_(pa.float64())),
        ("again", pa.list_(_AGAIN)),
    ]
)
Doubles = npt.NDArray[np.float64]


def foreseen(sequences: DataFrame, name: str) -> DataFrame:
    """What a network foresees of each user at as_of.

    Parameters
    ----------
    sequences : of `rows.sequence_rows`, one a user: the latest. name : of the shipped model.

    Returns
    -------
    DataFrame of user_id, state (d + 2), again: items of the sequence, each once, and the share of
    probability that the pointer gives them. Lazy.
    """
    return sequences.mapInArrow(partial(_foreseen, name), SCHEMA)


def _foreseen(name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    model = shipped_model(name)
    for batch in batches:
        rows = Rows.of(batch)
        # One by one: a user's figures hang on nobody else in the batch, to the last bit.
        found = [foresee(model, rows, row) for row in range(len(rows))]
        yield pa.RecordBatch.from_arrays(
            [
                batch.column("user_id"),
                pa.array([state for state, _, _ in found], pa.list_(pa.float64())),
                _again(model, [(items, shares) for _, items, shares in found]),
            ],
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


def _again(model: Model, found: list[tuple[npt.NDArray[np.int64], Doubles]]) -> pa.Array:
    lengths = [len(items) for items, _ in found]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    items = np.concatenate([items for items, _ in found] or [np.zeros(0, dtype=np.int64)])
    shares = np.concatenate([own for _, own in found] or [np.zeros(0)])
    ids = model.vocabulary.items.take(pa.array(items - 1))
    pairs = pa.StructArray.from_arrays([ids, pa.array(shares)], fields=list(_AGAIN))
    return pa.ListArray.from_arrays(pa.array(offsets), pairs)
