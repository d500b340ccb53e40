"""What could be seen of users at an as_of, and what they then took: the ground of every choice.

A view holds the candidates of some users with all features, and which of them became labels. The
blend is fitted on views and strategies are compared on them; a training set has the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ebb.ranker.features import matrix_of
from ebb.ranker.sampling import kept_candidates
from ebb.recommend.catalogue import Catalogue, Doubles, Integers
from ebb.recommend.features import Columns
from ebb.recommend.gather import shipped_catalogue
from ebb.recommend.pasts import Past, read_blocks
from ebb.recommend.scoring import Plan, score_block

SCHEMA = (
    "user_id string, place int, is_label boolean, is_shown boolean, labels int, weight double, "
    "features array<float>"
)
_ARROW = pa.schema(
    [
        ("user_id", pa.string()),
        ("place", pa.int32()),
        ("is_label", pa.bool_()),
        ("is_shown", pa.bool_()),
        ("labels", pa.int32()),
        ("weight", pa.float64()),
        ("features", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True)
class View:
    """Candidates of some users at an as_of.

    Attributes
    ----------
    names, beside_names : of the features, and of what trees alone may look at.
    users : (u,) ids. starts : (u + 1,) where each user's candidates begin.
    places : (c,) places of the candidates, ascending within a user.
    features : (c, f). is_label, is_shown : (c,) taken, and shown to the user, in the label window.
    beside : (c, e) what trees alone may look at (`Columns.beside`).
    labels : (u,) items that the user took there, candidates or not; at least 1.
    ids : item ids by place.
    """

    as_of: datetime
    until: datetime
    names: tuple[str, ...]
    beside_names: tuple[str, ...]
    users: list[str]
    starts: Integers
    places: npt.NDArray[np.int32]
    features: npt.NDArray[np.float32]
    beside: npt.NDArray[np.float32]
    is_label: npt.NDArray[np.bool_]
    is_shown: npt.NDArray[np.bool_]
    labels: Integers
    ids: pa.Array

    @cached_property
    def user_of(self) -> Integers:
        """(c,) the number of each candidate's user."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.starts))

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """(c, f + e) what trees look at; a copy."""
        return np.concatenate([self.features, self.beside], axis=1)

    def column(self, name: str) -> Doubles:
        return self.features[:, self.names.index(name)].astype(np.float64)


def view_batches(
    name: str, plan: Plan, negatives: int | None, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The candidates of one partition of `past_rows` with labels; runs on executors.

    Parameters
    ----------
    negatives : at most so many candidates of a user that were not taken; None is all.
    """
    catalogue = shipped_catalogue(name)
    for block in read_blocks(batches):
        yield _batch(catalogue, plan, negatives, [past for past in block if len(past.labels)])


def _batch(
    catalogue: Catalogue, plan: Plan, negatives: int | None, block: list[Past]
) -> pa.RecordBatch:
    users, places, is_label, is_shown, labels, weights, features = [], [], [], [], [], [], []
    for one in score_block(catalogue, plan, block):
        user, taken = one.past.user_id, np.isin(one.items, one.past.labels)
        shown = np.isin(one.items, one.past.shown_then)
        rows, weight = kept_candidates(
            catalogue.id_hashes, user, one.items, taken, shown, negatives
        )
        users += [user] * len(rows)
        places.append(one.items[rows].astype(np.int32))
        is_label.append(taken[rows])
        is_shown.append(shown[rows])
        labels.append(np.full(len(rows), len(one.past.labels), dtype=np.int32))
        weights.append(weight)
        features.append(matrix_of(catalogue, plan, one)[rows])
    if not users:
        return pa.RecordBatch.from_pylist([], schema=_ARROW)
    matrix = np.concatenate(features)
    starts = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(users, pa.string()),
            pa.array(np.concatenate(places)),
            pa.array(np.concatenate(is_label)),
            pa.array(np.concatenate(is_shown)),
            pa.array(np.concatenate(labels)),
            pa.array(np.concatenate(weights)),
            pa.ListArray.from_arrays(pa.array(starts), pa.array(matrix.ravel())),
        ],
        schema=_ARROW,
    )


def as_view(
    rows: pa.Table, columns: Columns, ids: pa.Array, as_of: datetime, until: datetime
) -> View:
    """A view from the collected rows of `view_batches`, by user."""
    order = np.lexsort(
        (rows.column("place").to_numpy(), rows.column("user_id").to_numpy(zero_copy_only=False))
    )
    rows = rows.take(pa.array(order)).combine_chunks()
    users = rows.column("user_id").to_numpy(zero_copy_only=False)
    begins = np.flatnonzero(np.append(True, users[1:] != users[:-1])) if len(users) else users
    features = rows.column("features").combine_chunks().flatten().to_numpy()
    names, beside_names = columns.names, columns.beside_names
    matrix = features.reshape(len(users), len(names) + len(beside_names))
    return View(
        as_of,
        until,
        names,
        beside_names,
        users=users[begins].tolist() if len(users) else [],
        starts=np.append(begins, len(users)).astype(np.int64),
        places=rows.column("place").to_numpy(),
        features=matrix[:, : len(names)],
        beside=matrix[:, len(names) :],
        is_label=rows.column("is_label").to_numpy(zero_copy_only=False),
        is_shown=rows.column("is_shown").to_numpy(zero_copy_only=False),
        labels=rows.column("labels").to_numpy()[begins.astype(np.int64)].astype(np.int64)
        if len(users)
        else np.zeros(0, dtype=np.int64),
        ids=ids,
    )
