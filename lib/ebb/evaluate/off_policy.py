"""What another policy would have been worth, from places that were drawn with known propensities.

An item that the logged policy showed with probability p, and the other one would have shown with
probability q, counts w = q / p times (inverse propensity scores, Horvitz & Thompson 1952). Dividing
by the sum of w instead of the number of rows (self-normalised, Swaminathan & Joachims 2015) takes
most of the noise and leaves a bias that vanishes with rows. Clipping w at a limit (Ionides 2008)
bounds what one row can do, at the price of a bias towards 0. Pure numpy; never imports Spark.

What it can't know: a policy that shows what the logged one never could (p = 0) can't be judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ebb.evaluate.significance import DRAWS, Interval, bootstrap_mean, bootstrap_ratio

# With less than so many rows' worth (`Value.effective`) an estimate says little.
ENOUGH = 100.0


@dataclass(frozen=True)
class Value:
    """A policy's mean reward a place, estimated.

    Attributes
    ----------
    ips : inverse propensity scores: without bias where nothing was clipped.
    snips : self-normalised.
    effective : rows that the weighted ones are worth, (Σ w)² / Σ w² (Kish 1965): few, and neither
        interval can be trusted.
    clipped : share of rows whose weight was clipped.
    """

    ips: Interval
    snips: Interval
    effective: float
    clipped: float


def value_of(
    rewards: ArrayLike,
    logged: ArrayLike,
    target: ArrayLike,
    users: ArrayLike,
    *,
    clip: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Value:
    """Estimate a policy's value, with 95 % intervals by a bootstrap over users.

    Parameters
    ----------
    rewards : of each place: whether the item shown was taken, or what it brought. Shape (rows,).
    logged : the probability with which it was shown there: the column `propensity`.
    target : with which the policy in question would have shown that same item there.
    users : whose place it was; a user is drawn with all of theirs.
    clip : weights above it count as it.

    Raises
    ------
    ValueError
        When a row was shown with probability 0, or the policy would have shown none of the rows.
    """
    reward, p, q = (np.asarray(one, dtype=float) for one in (rewards, logged, target))
    if not (p > 0).all():
        raise ValueError("logged holds a probability of 0: what was shown had some")
    full = q / p
    weight = full if clip is None else np.minimum(full, clip)
    if not weight.any():
        raise ValueError("the policy would have shown nothing of what was shown")
    return Value(
        bootstrap_mean(weight * reward, users, draws=draws, seed=seed),
        bootstrap_ratio(weight * reward, weight, users, draws=draws, seed=seed),
        float(weight.sum() ** 2 / (weight**2).sum()),
        float((full > weight).mean()),
    )
