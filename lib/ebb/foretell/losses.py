"""What a foretelling is judged by, summed over each group. Needs torch.

A group is a user at an instant. Its units are what a loss is a mean of: its rows, or for
``softmax`` the group itself where anything was met again.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def losses(
    loss: str, scores: Tensor, label: Tensor, group: Tensor, groups: int
) -> tuple[Tensor, Tensor]:
    """Of each group the sum of its losses, in nats or for ``mse`` squared, and how many units.

    Parameters
    ----------
    scores : (rows,) logits; for ``mse`` what is foretold itself.
    label : (rows,) weight in the period. group : (rows,) numbers below `groups`.

    Returns
    -------
    (groups,) and (groups,).
    """
    zeros = scores.new_zeros(groups)
    if loss == "softmax":
        total = zeros.index_add(0, group, label)
        logs = log_shares(scores, group, groups)
        found = -zeros.index_add(0, group, label * logs) / total.clamp(min=1e-12)
        return found, (total > 0).to(scores.dtype)
    if loss == "bce":
        met = (label > 0).to(scores.dtype)
        each = functional.binary_cross_entropy_with_logits(scores, met, reduction="none")
    else:
        each = (scores - label.log1p()) ** 2
    return zeros.index_add(0, group, each), zeros.index_add(0, group, torch.ones_like(scores))


def log_shares(scores: Tensor, group: Tensor, groups: int) -> Tensor:
    """(rows,) log of the softmax of scores within each group."""
    highest = scores.new_full((groups,), -torch.inf)
    highest = highest.scatter_reduce(0, group, scores.detach(), "amax")
    lowered = scores - highest[group]
    found: Tensor = (
        lowered - scores.new_zeros(groups).index_add(0, group, lowered.exp()).log()[group]
    )
    return found


def foretold(loss: str, scores: Tensor, group: Tensor, groups: int) -> Tensor:
    """(rows,) what scores say in the unit of `next_interests`: a probability, a share of the
    user's, or log(1 + weight)."""
    if loss == "softmax":
        return log_shares(scores, group, groups).exp()
    return scores.sigmoid() if loss == "bce" else scores.clamp(min=0)
