"""Trains a network on pasts in the driver's memory, and the decayed baseline on the same.

One thread, so that the same rows give the same bits whatever the machine's cores. Needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ebb.foretell.losses import losses
from ebb.foretell.network import Network
from ebb.foretell.pasts import HALF_LIVES, Doubles, Integers, Pasts
from ebb.foretell.settings import Foretell

_LARGEST_STEP = 1.0


@dataclass(frozen=True)
class Baseline:
    """Tomorrow is like the decayed past: a line in the one decayed figure that says most.

    Attributes
    ----------
    column : of the features. intercept, slope : of the score.
    """

    column: int
    intercept: float
    slope: float

    def scores(self, pasts: Pasts) -> Doubles:
        return self.intercept + self.slope * pasts.features[:, self.column].astype(np.float64)


def fit_baseline(pasts: Pasts, loss: str) -> Baseline:
    """The line of least loss in the figure of each half-life, and of these the best.

    The figure is log(1 + the key's decayed sum); for ``softmax`` the log of its share.
    """
    label, group = _label(pasts), torch.from_numpy(pasts.numbered)
    features = torch.from_numpy(pasts.features)
    first = len(HALF_LIVES) if loss == "softmax" else 0
    columns = range(first, first + len(HALF_LIVES))

    def fitted(column: int) -> tuple[float, Baseline]:
        line = torch.zeros(2, requires_grad=True)
        search = torch.optim.LBFGS(
            [line], max_iter=25, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
        )

        def mean_loss() -> Tensor:
            search.zero_grad()
            scores = line[0] + line[1] * features[:, column]
            mean = _mean(*losses(loss, scores, label, group, pasts.groups))
            mean.backward()
            return mean

        search.step(mean_loss)
        reached, (intercept, slope) = float(mean_loss().detach()), line.tolist()
        return reached, Baseline(column, intercept, slope)

    with _settled(0):
        return min(
            (fitted(column) for column in columns),
            key=lambda one: one[0],
        )[1]


def fit_network(pasts: Pasts, settings: Foretell, baseline: Baseline) -> Network:
    """Train from the baseline on. The same rows and settings give the same network."""
    with _settled(settings.seed):
        network = Network(settings)
        features, steps = torch.from_numpy(pasts.features), torch.from_numpy(pasts.steps)
        label = _label(pasts)
        network.scale(features)
        network.line[baseline.column], network.line[-1] = baseline.slope, baseline.intercept
        optimiser = _optimiser(network, settings)
        batches = -(-len(pasts) // settings.batch)
        dice = np.random.default_rng(settings.seed)
        network.train()
        for epoch in range(settings.epochs):
            for place, own in enumerate(_batches(pasts, batches, dice)):
                done = (epoch + place / batches) / settings.epochs
                for part in optimiser.param_groups:
                    part["lr"] = settings.rate * _share_left(settings.schedule, done)
                rows, group = (torch.from_numpy(one) for one in own)
                scores = network(features[rows], steps[rows])
                groups = int(group[-1]) + 1
                mean = _mean(*losses(settings.loss, scores, label[rows], group, groups))
                optimiser.zero_grad()
                mean.backward()
                nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_STEP)
                optimiser.step()
        network.eval()
    return network


def _batches(
    pasts: Pasts, many: int, dice: np.random.Generator
) -> Iterator[tuple[Integers, Integers]]:
    """An epoch's rows in `many` parts that split no group, each with its rows' groups from 0."""
    for chosen in np.array_split(dice.permutation(pasts.groups), min(many, pasts.groups)):
        first, size = pasts.starts[chosen], np.diff(pasts.starts)[chosen]
        group = np.repeat(np.arange(len(chosen)), size)
        within = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
        yield first[group] + within, group


def _label(pasts: Pasts) -> Tensor:
    return torch.from_numpy(pasts.label.astype(np.float32))


def _mean(found: Tensor, units: Tensor) -> Tensor:
    return found.sum() / units.sum().clamp(min=1)


def _optimiser(network: Network, settings: Foretell) -> torch.optim.Optimizer:
    parameters, rate, l2 = network.parameters(), settings.rate, settings.l2
    match settings.optimiser:
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=l2)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=l2)
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=l2)


def _share_left(schedule: str, done: float) -> float:
    """Of the rate, when a share `done` of the training is behind."""
    match schedule:
        case "linear":
            return 1.0 - done
        case "cosine":
            return (1.0 + math.cos(math.pi * done)) / 2.0
        case _:
            return 1.0


@contextmanager
def _settled(seed: int) -> Iterator[None]:
    """Draw from a seed, on one thread, and leave torch as it was."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
