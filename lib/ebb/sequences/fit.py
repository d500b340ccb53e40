"""Fits a network on what users did before an instant: rows by Spark, training beside it.

The rows lie in a folder on any Hadoop file system, pinned for as long as the training lasts, and
so does the checkpoint: a run that was killed goes on. Whoever trains works on a copy on the
driver's machine.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.durations import format_duration
from ebb.extras import require
from ebb.hashes import short_hash
from ebb.progress import Progress
from ebb.sequences.batches import row_groups
from ebb.sequences.folder import Folder
from ebb.sequences.rows import Vocabulary, is_held_out, sequence_rows, takes_of
from ebb.sequences.settings import Sequences
from ebb.sequences.task import JUDGE, LEARN, ReadRows, Status, Task
from ebb.sequences.watch import watched
from ebb.storage import stored

_MISSING = (
    "train.sequences needs torch, which the extra deep brings: pip install 'ebb[deep]', or leave "
    "train.sequences out"
)
_DAY = timedelta(days=1)
# Of a file: what a process holds at once. A process has at least so many of its own.
_ROWS_A_FILE = 8_192


@dataclass(frozen=True)
class Desk:
    """Where trainings go on, and who is told.

    Attributes
    ----------
    folder : a URI; each training has a folder of its own below it, named by what it is made from.
    version : of what is trained on: of events and configuration.
    """

    folder: str
    version: str
    progress: Progress


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network.

    Attributes
    ----------
    raw : its bytes (`model.Model.of`). version : of them.
    item_vectors : item_id, factors. metrics : of the training.
    curve : of each epoch, its loss and that of users held out.
    """

    raw: bytes
    version: str
    item_vectors: pa.Table
    metrics: Mapping[str, float]
    curve: list[tuple[float, float | None]]


def require_torch() -> None:
    """Tell what is missing before anything is fitted.

    Raises
    ------
    RunError
        When the extra `deep` isn't installed.
    """
    require(_MISSING, "torch")


def fit_network(
    events: DataFrame, as_of: datetime, scale: timedelta, settings: Sequences, desk: Desk
) -> FittedNetwork | None:
    """Train on events strictly before `as_of`; runs jobs. None where there is nothing to learn.

    Parameters
    ----------
    events : event_id, user_id, item_id, event_type, event_ts, weight.
    scale : length of a label window where the settings name none.
    """
    require_torch()
    window = settings.window or scale
    name = f"{as_of:%Y%m%dT%H%M%SZ}-{format_duration(window)}-{desk.version}"
    folder = Folder(events.sparkSession, f"{desk.folder}/{name}")
    with desk.progress.step(f"sequences before {as_of:%Y-%m-%d %H:%M}") as step:
        vocabulary = Vocabulary.of(takes_of(events), settings.items)
        if not folder.has(f"{JUDGE}/_SUCCESS"):
            write_rows(events, vocabulary, as_of, settings, window, folder)
        with tempfile.TemporaryDirectory(prefix="ebb-sequences-") as local:
            folder.fetch(Path(local))
            with watched(Path(local), folder, desk.progress, settings.epochs):
                fitted = _trained(Path(local), vocabulary, settings, window)
        folder.remove()
        said = fitted.metrics if fitted else {"sequences to learn from": 0}
        step.note(", ".join(f"{name} {value:.6g}" for name, value in said.items()))
    return fitted


def write_rows(
    events: DataFrame,
    vocabulary: Vocabulary,
    as_of: datetime,
    settings: Sequences,
    window: timedelta,
    folder: Folder,
) -> None:
    """Put the rows in place: those to learn from, and those of users held out to judge by.

    Of users held out what they did until their last window is learned from: at as_of, too, people
    are asked about whose past is known.
    """
    held_out = is_held_out(settings.held_out)
    is_known = ~held_out | (F.col("event_ts") < F.lit(as_of - window))
    lengths = (settings.length, settings.history)
    learn = sequence_rows(events.where(is_known), vocabulary, as_of, *lengths)
    judge = sequence_rows(events.where(held_out), vocabulary, as_of, *lengths)
    # An event has a label only if another follows it.
    learn, judge = learn.where(F.size("items") > 1), judge.where(F.col("part") == 0)
    for name, rows in ((LEARN, learn), (JUDGE, judge)):
        with stored(rows) as own:
            files = settings.workers * max(1, -(-own.count() // (_ROWS_A_FILE * settings.workers)))
            spread = own.repartition(files, "user_id").sortWithinPartitions("user_id", "part")
            spread.write.mode("overwrite").parquet(folder.uri(name))


def _trained(
    local: Path, vocabulary: Vocabulary, settings: Sequences, window: timedelta
) -> FittedNetwork | None:
    """Train on the rows in a folder of this machine; None where there are none."""
    groups = len(row_groups(local / LEARN))
    if not groups:
        return None
    from ebb.sequences.model import Model, as_bytes
    from ebb.sequences.training import best_of

    takes, ranks = tuple(vocabulary.takes.tolist()), min(settings.workers, groups)
    train_in(local, Task(settings, takes, len(vocabulary.types), window / _DAY, ranks))
    curve, (epoch, weights) = Status.read(local).curve, best_of(local)
    loss, held_out = curve[epoch - 1]
    metrics = {
        "items": float(len(vocabulary)),
        "epochs": float(len(curve)),
        "best_epoch": float(epoch),
        "loss": loss,
        **({} if held_out is None else {"loss_held_out": held_out}),
        **{f"rows_read_{one.rank}": float(one.rows) for one in ReadRows.all_of(local)},
    }
    raw = as_bytes(settings, vocabulary, weights)
    return FittedNetwork(
        raw,
        short_hash(raw),
        Model.of(raw).item_vectors(),
        {name: float(f"{value:.6g}") for name, value in metrics.items()},
        curve,
    )


def train_in(local: Path, task: Task) -> None:
    """Train on the rows in a folder of this machine, in so many processes as the task says.

    Those beyond one are started by Spark's TorchDistributor, which needs a session.
    """
    from ebb.sequences.training import train_alone, train_rank

    if task.ranks == 1:
        train_alone(str(local), task)
        return
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=task.ranks, local_mode=True, use_gpu=False)
    distributor.logger.setLevel(logging.WARNING)
    # What processes say is no result.
    with redirect_stdout(sys.stderr):
        distributor.run(train_rank, str(local), task)
