"""Sequences from Parquet, and the batches that a network learns from. Pure numpy; never imports
Spark or torch.

The rows of a training lie in one folder of Parquet files. Each process reads row groups of its own,
one at a time, so that what it holds hangs on the size of a row group alone; what is drawn hangs on
seed, epoch and process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ebb.sequences.settings import Sequences

Integers = npt.NDArray[np.int64]
Days = npt.NDArray[np.float64]
COLUMNS = ("part", "items", "types", "days")
# Distinct items of a user's last window that a network is judged by, the earliest first.
_MOST_JUDGED = 64
# Batches of sequences of like length: so many batches are sorted by it at once.
_SORTED_AT_ONCE = 64


@dataclass(frozen=True)
class Rows:
    """Some sequences: that of row r is items[starts[r] : starts[r + 1]], and so on."""

    starts: Integers
    items: Integers
    types: Integers
    days: Days
    part: Integers

    @staticmethod
    def of(table: pa.Table | pa.RecordBatch) -> Rows:
        """From the columns of `rows.sequence_rows`."""
        columns = {name: _whole(table.column(name)) for name in COLUMNS}
        lengths = columns["items"].value_lengths().to_numpy()
        return Rows(
            np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            columns["items"].flatten().to_numpy().astype(np.int64),
            columns["types"].flatten().to_numpy().astype(np.int64),
            columns["days"].flatten().to_numpy().astype(np.float64),
            columns["part"].to_numpy().astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Integers:
        return np.diff(self.starts)


@dataclass(frozen=True)
class Batch:
    """What a network sees of some sequences, and what it is to foretell.

    Attributes
    ----------
    items, types : (b, n) numbers; 0 after a sequence's end. days : (b, n) since as_of.
    at : (b, n) the instant after each event at which it is asked, in days since as_of: not before
        the event, nor after the next one.
    labels : (b, n, k) numbers of items; 0 is none. No event of a label is before its `at`.
    """

    items: Integers
    types: Integers
    days: Days
    at: Days
    labels: Integers

    @staticmethod
    def empty(rows: int, length: int, labels: int) -> Batch:
        days = np.zeros((rows, length))
        numbers = np.zeros((rows, length), dtype=np.int64)
        return Batch(
            numbers, numbers.copy(), days, days.copy(),
            np.zeros((rows, length, labels), dtype=np.int64),
        )  # fmt: skip

    def put(self, row: int, rows: Rows, events: slice) -> None:
        """Fill in the past of a row."""
        n = events.stop - events.start
        self.items[row, :n] = rows.items[events]
        self.types[row, :n] = rows.types[events]
        self.days[row, :n] = rows.days[events]


def learning_batch(
    rows: Rows, chosen: Integers, dice: np.random.Generator, settings: Sequences, window: float
) -> Batch:
    """Draw an instant after each event, and labels from what follows it.

    The instant is the next event's with probability ½, else any between the two: somebody who is
    asked about at as_of last did something a while ago. Each item of what follows is drawn as
    likely as any other, however often it is taken: slates are judged by whether it is.

    Parameters
    ----------
    chosen : rows of it. window : length in days.
    """
    many = settings.labels if settings.objective == "window" else 1
    is_prefix = settings.kind == "bilstm"
    batch = Batch.empty(len(chosen), int(rows.lengths[chosen].max()), many)
    for row, place in enumerate(chosen):
        start, end = int(rows.starts[place]), int(rows.starts[place + 1])
        days, n = rows.days[start:end], end - start
        following = np.append(days[1:], days[-1])
        between = days + dice.random(n) * (following - days)
        at = np.where(dice.random(n) < 0.5, following, np.minimum(between, following))
        first, last = np.arange(1, n + 1), np.minimum(np.arange(2, n + 2), n)
        if settings.objective == "window":
            last = np.searchsorted(days, at + window, side="left")
        labels = _drawn(rows.items[start:end], first, last, many, dice)
        if is_prefix:
            # Both directions see all of it, so that one instant alone can be asked about.
            n = int(dice.integers(1, max(n, 2)))
            labels[: n - 1] = 0
        batch.put(row, rows, slice(start, start + n))
        batch.at[row, :n], batch.labels[row, :n] = at[:n], labels[:n]
    return batch


def _drawn(
    items: Integers, first: Integers, last: Integers, many: int, dice: np.random.Generator
) -> Integers:
    """(n, many) of the distinct items[first : last] of each of n places; 0 where that is empty."""
    place = np.arange(len(items))
    is_inside = (place >= first[:, None]) & (place < last[:, None])
    # Of an item's events in there the first alone.
    up_to = (is_inside & (_before(items) < first[:, None])).cumsum(1)
    number = (dice.random((len(items), many)) * up_to[:, -1:]).astype(np.int64)
    drawn = (up_to[:, None, :] <= number[:, :, None]).sum(-1)
    return np.where(up_to[:, -1:] > 0, items[np.minimum(drawn, len(items) - 1)], 0)


def _before(items: Integers) -> Integers:
    """Of each event, the place of the last one before on the same item; -1 where there is none."""
    order = np.argsort(items, kind="stable")
    again = items[order][1:] == items[order][:-1]
    before = np.full(len(items), -1)
    before[order[1:][again]] = order[:-1][again]
    return before


def judging_batch(rows: Rows, chosen: Integers, settings: Sequences, window: float) -> Batch:
    """What users did until a window's length before as_of, and what they took since: all of it, or
    the first where the next is what is learned.

    Those without either have no labels.
    """
    many = _MOST_JUDGED if settings.objective == "window" else 1
    batch = Batch.empty(len(chosen), int(rows.lengths[chosen].max()), many)
    for row, place in enumerate(chosen):
        start, end = int(rows.starts[place]), int(rows.starts[place + 1])
        known = start + int(np.searchsorted(rows.days[start:end], -window, side="left"))
        batch.put(row, rows, slice(start, known))
        if known > start:
            taken, first = np.unique(rows.items[known:end], return_index=True)
            own = taken[np.argsort(first)][:many]
            batch.at[row, known - start - 1] = -window
            batch.labels[row, known - start - 1, : len(own)] = own
    return batch


@dataclass(frozen=True)
class RowGroup:
    """One row group of a file, and how many rows it has."""

    path: Path
    number: int
    rows: int

    def read(self) -> Rows:
        return Rows.of(pq.ParquetFile(self.path).read_row_group(self.number, columns=[*COLUMNS]))


def row_groups(folder: Path) -> list[RowGroup]:
    """All of a folder, by file name."""
    return [
        RowGroup(path, number, metadata.row_group(number).num_rows)
        for path in sorted(folder.glob("*.parquet"))
        for metadata in (pq.read_metadata(path),)
        for number in range(metadata.num_row_groups)
    ]


def shares_of(groups: Sequence[RowGroup], ranks: int) -> list[list[RowGroup]]:
    """Each process's row groups: disjoint, complete, and of about as many rows.

    The largest goes to whoever has least, ties by order.
    """
    shares: list[list[RowGroup]] = [[] for _ in range(ranks)]
    for group in sorted(groups, key=lambda one: -one.rows):
        least = min(shares, key=lambda own: sum(one.rows for one in own))
        least.append(group)
    return shares


@dataclass(frozen=True)
class Share:
    """What one process reads.

    Attributes
    ----------
    rank : of the process. shares : of all.
    """

    rank: int
    shares: list[list[RowGroup]]

    @staticmethod
    def of(folder: Path, rank: int, ranks: int) -> Share:
        return Share(rank, shares_of(row_groups(folder), ranks))

    @property
    def own(self) -> list[RowGroup]:
        return self.shares[self.rank]

    @cached_property
    def rows(self) -> int:
        return sum(group.rows for group in self.own)

    def steps(self, size: int) -> int:
        """Batches of an epoch, the same for every process: those with fewer begin again."""
        return max(sum(-(-group.rows // size) for group in own) for own in self.shares)

    def epoch(self, size: int, dice: np.random.Generator) -> Iterator[tuple[Rows, Integers]]:
        """An epoch's batches: the rows of a group, and which of them.

        Every row of the share comes at least once. Sequences of like length come together, which
        spares work on padding.
        """
        steps = self.steps(size)
        while steps > 0 and self.own:
            for place in dice.permutation(len(self.own)):
                rows = self.own[place].read()
                for chosen in _by_length(rows.lengths, size, dice)[:steps]:
                    steps -= 1
                    yield rows, chosen

    def once(self, size: int) -> Iterator[tuple[Rows, Integers]]:
        """Every row of the share, in order."""
        for group in self.own:
            rows = group.read()
            for first in range(0, len(rows), size):
                yield rows, np.arange(first, min(first + size, len(rows)))


def _by_length(lengths: Integers, size: int, dice: np.random.Generator) -> list[Integers]:
    order = dice.permutation(len(lengths))
    batches: list[Integers] = []
    for first in range(0, len(order), size * _SORTED_AT_ONCE):
        some = order[first : first + size * _SORTED_AT_ONCE]
        some = some[np.argsort(lengths[some], kind="stable")]
        batches += [some[at : at + size] for at in range(0, len(some), size)]
    return [batches[place] for place in dice.permutation(len(batches))]


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
