"""Trains a network in one process or in several at once, each on its share of the rows.

What is judged and kept is a moving average of the weights, which is steadier from epoch to epoch
than they are (Polyak and Juditsky 1992). An epoch's draws hang on seed, epoch and process alone,
and what is known after it is written down: a training that was killed goes on from there and comes
to the same network. Needs torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed, nn
from torch.optim.swa_utils import AveragedModel

from ebb.sequences.batches import Share, judging_batch, learning_batch
from ebb.sequences.network import Drawn, Network
from ebb.sequences.task import CHECKPOINT, JUDGE, LEARN, ReadRows, Status, Task, replace_file

_LARGEST_STEP, _LAST_RATE = 1.0, 0.01
# Weights are averaged over about so many steps, at the beginning over fewer.
_AVERAGED = 100
_SHOWS_EVERY = 0.5


def train_alone(folder: str, task: Task) -> None:
    """Train in this process; parameters as of `train_rank`."""
    with torch.random.fork_rng(), _settled():
        _Training(Path(folder), task, rank=0).run()


def best_of(folder: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """The epoch that did best, and its weights, from the checkpoint of a training."""
    best = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)["best"]
    return int(best["epoch"]), best["network"]


def train_rank(folder: str, task: Task) -> None:
    """Train in one of several processes that torchrun started.

    Parameters
    ----------
    folder : on this machine, with the rows; gets the checkpoint, the status, and what was read.
    """
    distributed.init_process_group("gloo")
    try:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // task.ranks))
        with _settled():
            _Training(Path(folder), task, distributed.get_rank()).run()
    finally:
        distributed.destroy_process_group()


class _Training:
    """One process's part."""

    def __init__(self, folder: Path, task: Task, rank: int) -> None:
        self._folder, self._task, self._rank = folder, task, rank
        self._settings = task.settings
        self._size = -(-task.settings.batch // task.ranks)
        self._learn = Share.of(folder / LEARN, rank, task.ranks)
        self._judge = Share.of(folder / JUDGE, rank, task.ranks)
        torch.manual_seed(task.settings.seed)
        count = torch.cuda.device_count()
        self._device = torch.device("cuda", rank % count) if count else torch.device("cpu")
        network = Network(len(task.takes), task.types, task.settings).to(self._device)
        self._network, self._average = network, AveragedModel(network, avg_fn=_moving_average)
        # The same weights everywhere, and the mean of all processes' gradients at each step.
        self._everywhere: nn.Module = (
            nn.parallel.DistributedDataParallel(network) if task.ranks > 1 else network
        )
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=task.settings.rate, weight_decay=task.settings.l2
        )
        self._status = Status(steps=self._learn.steps(self._size))
        self._best: dict[str, Any] | None = None
        self._shown_at = time.monotonic()

    def run(self) -> None:
        own = [(group.path.name, group.number) for group in self._learn.own]
        ReadRows(self._rank, self._learn.rows, own).write(self._folder)
        self._go_on()
        while not self._status.is_done:
            loss = self._learn_epoch()
            judged = self._judged()
            self._end_epoch(loss, judged)

    def _learn_epoch(self) -> float:
        status, settings = self._status, self._settings
        # Nothing is carried over from an epoch to the next but what the checkpoint has.
        dice = np.random.default_rng([settings.seed, status.epoch, self._rank])
        torch.manual_seed(int(dice.integers(1 << 62)))
        self._everywhere.train()
        total = np.zeros(2)
        for step, (rows, chosen) in enumerate(self._learn.epoch(self._size, dice)):
            batch = learning_batch(rows, chosen, dice, settings, self._task.window)
            drawn = None
            if self._network.is_sampled:
                drawn = Drawn.of(np.array(self._task.takes), settings.negatives, dice)
            found, is_label = self._everywhere(batch, drawn)
            labels = is_label.sum()
            everybodys = self._summed(labels.detach().clone())
            # Gradients are averaged over processes: this brings them to the mean of all labels.
            loss = -found.sum() * (self._task.ranks / everybodys.clamp(min=1))
            self._set_rate(step)
            self._optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_STEP)
            self._optimiser.step()
            self._average.update_parameters(self._network)
            total += (-float(found.detach().sum()), float(labels))
            self._show(step + 1, total)
        return self._mean(total)

    def _judged(self) -> float | None:
        """Mean over users held out of the mean loss of what they took in their last window."""
        network = self._average.module.eval()
        total = np.zeros(2)
        with torch.inference_mode():
            for rows, chosen in self._judge.once(self._size):
                batch = judging_batch(rows, chosen, self._settings, self._task.window)
                found, is_label = network(batch)
                total += (-float((found.sum(1) / is_label.sum(1)).sum()), len(found))
        mean = self._mean(total)
        return None if np.isnan(mean) else mean

    def _end_epoch(self, loss: float, judged: float | None) -> None:
        status, settings = self._status, self._settings
        status.curve.append((loss, judged))
        # Without anybody to judge by, the last is taken to be the best.
        if self._best is None or judged is None or judged < self._best["judged"]:
            average = self._average.module.state_dict()
            state = {name: one.clone() for name, one in average.items()}
            self._best = {"judged": judged, "epoch": status.epoch, "network": state}
        waited = status.epoch - self._best["epoch"]
        status.is_done = status.epoch == settings.epochs or waited >= settings.patience
        status.epoch, status.step = min(status.epoch + 1, settings.epochs), 0
        if self._rank == 0:
            known = {
                "network": self._network.state_dict(),
                "average": self._average.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "best": self._best,
                "status": asdict(status),
            }
            # Whoever takes the checkpoint away finds a status that is as new.
            status.write(self._folder)
            replace_file(self._folder / CHECKPOINT, lambda path: torch.save(known, path))
        if self._task.ranks > 1:
            distributed.barrier()

    def _go_on(self) -> None:
        """Take up a training that was stopped."""
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        known = torch.load(path, map_location=self._device, weights_only=True)
        self._network.load_state_dict(known["network"])
        self._average.load_state_dict(known["average"])
        self._optimiser.load_state_dict(known["optimiser"])
        self._best, self._status = known["best"], Status.of(known["status"])

    def _set_rate(self, step: int) -> None:
        """It falls in a line to a hundredth over all epochs that there may be."""
        status, settings = self._status, self._settings
        done = (status.epoch - 1 + step / max(status.steps, 1)) / settings.epochs
        for group in self._optimiser.param_groups:
            group["lr"] = settings.rate * (1 - (1 - _LAST_RATE) * done)

    def _show(self, step: int, total: npt.NDArray[np.float64]) -> None:
        status, now = self._status, time.monotonic()
        status.step, status.loss = step, float(total[0] / max(total[1], 1))
        if self._rank == 0 and now - self._shown_at >= _SHOWS_EVERY:
            self._shown_at = now
            status.write(self._folder)

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        if self._task.ranks > 1:
            distributed.all_reduce(value)
        return value

    def _mean(self, total: npt.NDArray[np.float64]) -> float:
        """Over all processes; NaN where there is nothing to take it of."""
        whole = self._summed(torch.from_numpy(total.copy())).numpy()
        return float(whole[0] / whole[1]) if whole[1] else float("nan")


def _moving_average(average: torch.Tensor, own: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    return average.lerp(own, max(1 / _AVERAGED, 9 / (10 + int(steps))))


@contextmanager
def _settled() -> Iterator[None]:
    """Have torch take no way that gives other bits the next time."""
    before = torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that it didn't write; filling it takes a sixth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = fills
