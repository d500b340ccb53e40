"""Priors of half-lives, estimated from many users at once (empirical Bayes).

The log of a user's half-life is normal about a mean that is linear in what the user's past is like
(or in the activity segment alone), with one deviation; rates have the prior of `cells.Rates`. All
of it maximises the users' marginal likelihood by EM (Dempster, Laird and Rubin 1977), on the grid.
Pure numpy; never imports Spark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ebb.forgetting.cells import SHARES, Cells, Grid, Rates, log_sum
from ebb.forgetting.described import segments
from ebb.forgetting.visits import Doubles

Kind = Literal["global", "segment", "regression"]
# The simplest first.
KINDS: tuple[Kind, ...] = ("global", "segment", "regression")
_ITERATIONS, _TUNING = 80, 10
_TOLERANCE = 1e-6
# Ridge on standardised features, in users.
_RIDGE = 5.0


@dataclass(frozen=True)
class Design:
    """How a user's past becomes the mean of log h: (1, standardised features) @ coefficients.

    Attributes
    ----------
    kind : ``segment``, by the activity segment; ``regression``, by all features.
    center, scale : of the features, over the users that the prior was estimated from.
    """

    kind: Kind
    center: Doubles
    scale: Doubles

    @staticmethod
    def of(kind: Kind, described: Doubles) -> Design:
        features = _features(kind, described)
        spread = features.std(axis=0)
        return Design(kind, features.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))

    def rows(self, described: Doubles) -> Doubles:
        features = (_features(self.kind, described) - self.center) / self.scale
        return np.column_stack([np.ones(len(described)), features])


def _features(kind: Kind, described: Doubles) -> Doubles:
    return segments(described) if kind == "segment" else described


@dataclass(frozen=True)
class Prior:
    """What is known of users before their own returns are looked at.

    Attributes
    ----------
    rates : prior of rho and s.
    column : the one half-life that everybody has, where there is no spread.
    design, coefficients, deviation : mean and standard deviation of log h elsewhere.
    """

    rates: Rates
    column: int | None = None
    design: Design | None = None
    coefficients: Doubles | None = None
    deviation: float = 0.0

    @property
    def kind(self) -> Kind:
        return self.design.kind if self.design else "global"

    def log_half_lives(self, grid: Grid, described: Doubles) -> Doubles:
        """(users, g - 1) log of the probability of each half-life but never."""
        if self.design is None or self.coefficients is None:
            only = np.full((len(described), len(grid.logs)), -np.inf)
            only[:, self.column] = 0.0
            return only
        means = self.design.rows(described) @ self.coefficients
        return _normal(grid.logs, means, self.deviation)


def fit_prior(kind: Kind, cells: Cells, grid: Grid, described: Doubles) -> Prior:
    """The prior of that kind with the highest marginal likelihood; ``global`` tunes one half-life.

    Parameters
    ----------
    cells : of the users to learn from, all half-lives of the grid.
    described : (users, features) of `described.describe`.
    """
    if kind == "global":
        return _tuned(cells, grid)
    design = Design.of(kind, described)
    rows, kept = design.rows(described), cells.finite()
    rates, deviation = _flat_rates(), (grid.logs[-1] - grid.logs[0]) / 4.0
    means: Doubles = np.full(len(rows), grid.logs.mean())
    coefficients: Doubles = np.zeros(rows.shape[1])
    before = -np.inf
    ridge = np.diag([0.0] + [_RIDGE] * (rows.shape[1] - 1))
    for _ in range(_ITERATIONS):
        joint = rates.evidence(kept) + _normal(grid.logs, means, deviation)[:, :, None]
        rates, posterior, total = _step(joint, kept, rates)
        mean, variance = moments(posterior.sum(axis=2), grid.logs)
        solved = np.linalg.solve(rows.T @ rows + ridge, rows.T @ mean)
        coefficients = np.asarray(solved, dtype=np.float64)
        means = rows @ coefficients
        spread = math.sqrt(float(np.mean((mean - means) ** 2 + variance)))
        deviation = max(spread, grid.spacing / 2.0)  # narrower than the grid tells apart
        if total - before < _TOLERANCE * abs(total):
            break
        before = total
    return Prior(rates, None, design, coefficients, deviation)


def fit_rates(cells: Cells, iterations: int = _ITERATIONS) -> tuple[Rates, float]:
    """The prior of rates where each user's half-life is given (g = 1), and its log-likelihood."""
    rates, before = _flat_rates(), -np.inf
    for _ in range(iterations):
        rates, _, total = _step(rates.evidence(cells), cells, rates)
        if total - before < _TOLERANCE * abs(total):
            break
        before = total
    return rates, total


def moments(probabilities: Doubles, logs: Doubles) -> tuple[Doubles, Doubles]:
    """Mean and variance of log h under (users, g) probabilities."""
    mean = probabilities @ logs
    apart = logs - mean[:, None]
    return mean, np.sum(probabilities * apart**2, axis=1)


def _tuned(cells: Cells, grid: Grid) -> Prior:
    columns = range(len(grid.logs))
    found = [fit_rates(cells.column(column), _TUNING)[1] for column in columns]
    best = int(np.argmax(found))
    return Prior(fit_rates(cells.column(best))[0], best)


def _flat_rates() -> Rates:
    return Rates(1.0, 1.0, np.full(len(SHARES), 1.0 / len(SHARES)))


def _normal(logs: Doubles, means: Doubles, deviation: float) -> Doubles:
    heights = -0.5 * ((logs - means[:, None]) / deviation) ** 2
    found: Doubles = heights - log_sum(heights, 1)[:, None]
    return found


def _step(joint: Doubles, cells: Cells, rates: Rates) -> tuple[Rates, Doubles, float]:
    """One step of EM on the rates: the new ones, (users, g, shares) posterior, log-likelihood.

    The Gamma's shape is Minka's closed form (2002, Estimating a Gamma distribution), within 1.5 %
    of the maximum; the steps after it mend that.
    """
    users = len(cells.count)
    evidence = log_sum(joint, 1, 2)
    posterior = np.exp(joint - evidence[:, None, None])
    mean = float(np.sum(posterior * rates.expected(cells))) / users
    logs = float(digamma(np.asarray(rates.shape + cells.count, dtype=np.float64)).sum())
    logs = (logs - float(np.sum(posterior * np.log(rates.rate + cells.means)))) / users
    apart = math.log(mean) - logs
    shape = (3.0 - apart + math.sqrt((apart - 3.0) ** 2 + 24.0 * apart)) / (12.0 * apart)
    shares = posterior.sum(axis=(0, 1)) / users + 1e-6
    return Rates(shape, shape / mean, shares / shares.sum()), posterior, float(evidence.sum())


def digamma(x: Doubles) -> Doubles:
    """The derivative of log Gamma, for x > 0: recurrence up to 6, then Stirling's series."""
    x, low = np.array(x, dtype=np.float64), np.zeros(np.shape(x))
    for _ in range(6):
        low -= 1.0 / x
        x = x + 1.0
    f = 1.0 / (x * x)
    series = f * (1.0 / 12.0 - f * (1.0 / 120.0 - f * (1.0 / 252.0 - f / 240.0)))
    found: Doubles = low + np.log(x) - 0.5 / x - series
    return found
