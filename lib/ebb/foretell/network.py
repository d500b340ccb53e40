"""The network: from a past's figures to one score a row. Needs torch.

Without hidden layers and with ``softmax`` it is I = softmax(W · F + b) over a user's keys, a
conditional logit (McFadden 1974); with them I = f(X; θ), a multi-layer perceptron. A recurrent one
reads the latest periods, and its last state stands beside the figures. What it says is added to the
decayed baseline's line, and is nothing before it has learned anything.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ebb.foretell.pasts import CHANNELS, FEATURES
from ebb.foretell.settings import Foretell

_LEAST_DEVIATION = 1e-3


class Network(nn.Module):
    """Scores rows of `pasts.Pasts`."""

    def __init__(self, settings: Foretell) -> None:
        super().__init__()
        self.line: Tensor
        self.register_buffer("line", torch.zeros(FEATURES + 1))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        wide, size = settings.dimension, FEATURES
        self.cells: nn.GRU | nn.LSTM | None = None
        if settings.kind != "dense":
            make = nn.GRU if settings.kind == "gru" else nn.LSTM
            self.cells = make(CHANNELS, wide, batch_first=True)
            size += wide
        hidden: list[nn.Module] = []
        for _ in range(settings.layers):
            hidden += [nn.Linear(size, wide), nn.SiLU(), nn.Dropout(settings.dropout)]
            size = wide
        last = nn.Linear(size, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.dense = nn.Sequential(*hidden, last)

    def scale(self, features: Tensor) -> None:
        """Have each feature come in with mean 0 and deviation 1 on these rows."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=_LEAST_DEVIATION))

    def forward(self, features: Tensor, steps: Tensor) -> Tensor:
        """(rows, FEATURES), (rows, steps, CHANNELS) → (rows,) scores."""
        read = (features - self.mean) / self.deviation
        if self.cells is not None:
            states, _ = self.cells(steps)
            read = torch.cat([read, states[:, -1]], dim=1)
        scores: Tensor = self.dense(read)[:, 0]
        return scores + features @ self.line[:-1] + self.line[-1]
