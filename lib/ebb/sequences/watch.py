"""Watches a training: says how far it is, and puts each checkpoint where it outlives this run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ebb.durations import format_seconds
from ebb.progress import Progress
from ebb.sequences.folder import Folder
from ebb.sequences.task import CHECKPOINT, STATUS, Status

_LOOKS_EVERY, _SAYS_EVERY = 0.5, 30.0


@contextmanager
def watched(local: Path, folder: Folder, progress: Progress, epochs: int) -> Iterator[None]:
    """Watch for as long as the `with` lasts.

    Parameters
    ----------
    local : where the training writes. folder : gets the checkpoints.
    epochs : how many there may be.
    """
    ended = threading.Event()
    watcher = _Watcher(local, folder, progress, epochs)
    with ThreadPoolExecutor(1, thread_name_prefix="watcher of a training") as pool:
        watching = pool.submit(watcher.watch, ended)
        try:
            yield
        finally:
            ended.set()
        watching.result()


class _Watcher:
    def __init__(self, local: Path, folder: Folder, progress: Progress, epochs: int) -> None:
        self._local, self._folder = local, folder
        self._progress, self._epochs = progress, epochs
        self._told = len(Status.read(local).curve)
        self._begun = self._said = time.monotonic()
        self._done_before = self._told * 1.0
        self._put_at = self._modified()

    def watch(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOKS_EVERY):
            self._look()
        self._look()

    def _look(self) -> None:
        if self._modified() != self._put_at:
            self._put_at = self._modified()
            for name in (STATUS, CHECKPOINT):
                self._folder.put(self._local / name)
        status = Status.read(self._local)
        for epoch in range(self._told, len(status.curve)):
            loss, judged = status.curve[epoch]
            held_out = "" if judged is None else f", of people held out {judged:.4f}"
            self._say(f"epoch {epoch + 1} of {self._epochs}: loss {loss:.4f}{held_out}", status)
        self._told = len(status.curve)
        if time.monotonic() - self._said >= _SAYS_EVERY:
            where = f"epoch {status.epoch}, step {status.step} of {status.steps}"
            self._say(f"{where}: loss {status.loss:.4f}", status)

    def _say(self, text: str, status: Status) -> None:
        self._said = time.monotonic()
        done = len(status.curve) + status.step / max(status.steps, 1)
        left = ""
        if not status.is_done and done > self._done_before:
            pace = (self._said - self._begun) / (done - self._done_before)
            left = f"; {format_seconds(pace * (self._epochs - done))} left at most"
        self._progress.say(f"  {text}{left}")

    def _modified(self) -> int:
        path = self._local / CHECKPOINT
        return path.stat().st_mtime_ns if path.exists() else 0
