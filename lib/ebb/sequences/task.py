"""What a training is given, and what it tells while it goes on. Never imports Spark or torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ebb.sequences.settings import Sequences

# In a training's folder: rows to learn from and to judge by, how far it is, and who read what.
LEARN, JUDGE = "learn", "judge"
CHECKPOINT, STATUS = "checkpoint.pt", "status.json"


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes
    ----------
    takes : (m,) how often each item was taken; as many as there are items.
    types : how many event types. window : of labels, in days. ranks : processes.
    """

    settings: Sequences
    takes: tuple[int, ...]
    types: int
    window: float
    ranks: int


@dataclass
class Status:
    """How far a training is, for those who watch it.

    Attributes
    ----------
    epoch : under way, from 1. step, steps : of it. loss : mean so far, nats a label.
    curve : of each epoch that ended, its loss and that of users held out, None without any.
    """

    epoch: int = 1
    step: int = 0
    steps: int = 0
    loss: float = 0.0
    curve: list[tuple[float, float | None]] = field(default_factory=list)
    is_done: bool = False

    def write(self, folder: Path) -> None:
        replace_file(folder / STATUS, lambda path: path.write_text(json.dumps(asdict(self))))

    @staticmethod
    def read(folder: Path) -> Status:
        path = folder / STATUS
        return Status.of(json.loads(path.read_text())) if path.exists() else Status()

    @staticmethod
    def of(known: dict[str, object]) -> Status:
        """From its fields, as JSON or a checkpoint has them."""
        found = Status(**known)  # type: ignore[arg-type]
        found.curve = [(loss, judged) for loss, judged in found.curve]
        return found


@dataclass(frozen=True)
class ReadRows:
    """What one process reads in every epoch.

    Attributes
    ----------
    groups : name of the file, and number of the row group in it.
    """

    rank: int
    rows: int
    groups: list[tuple[str, int]]

    def write(self, folder: Path) -> None:
        path = folder / f"read-{self.rank}.json"
        replace_file(path, lambda partial: partial.write_text(json.dumps(asdict(self))))

    @staticmethod
    def all_of(folder: Path) -> list[ReadRows]:
        """By process."""
        found = [json.loads(path.read_text()) for path in folder.glob("read-*.json")]
        read = [
            ReadRows(one["rank"], one["rows"], [(name, number) for name, number in one["groups"]])
            for one in found
        ]
        return sorted(read, key=lambda one: one.rank)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that nobody ever finds half of it."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    os.replace(partial, path)
