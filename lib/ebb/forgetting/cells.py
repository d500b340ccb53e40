"""What users' returns say of every half-life on a grid, with their rates integrated out.

A cell is a half-life h and a share s of the intensity in `intensity.py`. In each the likelihood of
a user's n returns is rho^n * prod(rate at each return) * e^(-rho * mean), so that under a Gamma
prior rho integrates out in closed form, and its posterior is Gamma again. Pure numpy; never imports
Spark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ebb.forgetting.intensity import by_user, kernel_scale, returns_in
from ebb.forgetting.visits import Doubles, Integers, Visits

# Parts of what one visit brings about that decay; the rest is the floor.
SHARES = np.array([0.02, 0.1, 0.3, 0.6, 0.9, 0.98])
_SHORTEST, _POINTS = 1.0 / 24.0, 24
# As good as no forgetting; the curve over 1e9 days is flat to the last digits.
_NEVER = 1e9


@dataclass(frozen=True)
class Grid:
    """Half-lives that are tried, in days: from an hour to the span on a log scale, and never.

    Attributes
    ----------
    half_lives : (g,) ascending; the last stands for no forgetting at all.
    span : T of the intensity: from the first event to as_of, days.
    """

    half_lives: Doubles
    span: float

    @staticmethod
    def over(span: float) -> Grid:
        finite = np.geomspace(_SHORTEST, max(span, 2.0 * _SHORTEST), _POINTS)
        return Grid(np.append(finite, _NEVER), span)

    @property
    def logs(self) -> Doubles:
        """(g - 1,) natural logarithms of the half-lives but never."""
        return np.log(self.half_lives[:-1])

    @property
    def spacing(self) -> float:
        return float(self.logs[1] - self.logs[0])

    def nearest(self, half_lives: Doubles) -> Integers:
        """Columns of the nearest half-lives, as ratios; never is none of them."""
        apart = np.abs(np.log(half_lives)[:, None] - self.logs)
        return np.asarray(np.argmin(apart, axis=1), dtype=np.int64)


@dataclass(frozen=True)
class Cells:
    """Likelihoods of some users' returns, by half-life and share.

    Attributes
    ----------
    count : (users,) returns.
    log_rates : (users, g, shares) sum over returns of the log of the rate at rho = 1.
    excited, floor : (users, g) and (users,) integrals of the two parts of the rate at rho = 1 and
        s = 1 or 0.
    """

    count: Integers
    log_rates: Doubles
    excited: Doubles
    floor: Doubles

    @cached_property
    def means(self) -> Doubles:
        """(users, g, shares) the expected returns at rho = 1."""
        floor = self.floor[:, None, None] * (1.0 - SHARES)
        return np.asarray(self.excited[:, :, None] * SHARES + floor)

    def columns(self, chosen: Integers) -> Cells:
        """Of each user the one half-life that is named: g = 1."""
        rows = np.arange(len(self.count))
        return Cells(
            self.count,
            self.log_rates[rows, chosen][:, None],
            self.excited[rows, chosen][:, None],
            self.floor,
        )

    def column(self, chosen: int) -> Cells:
        return self.columns(np.full(len(self.count), chosen))

    def finite(self) -> Cells:
        """Without the last half-life, which stands for never."""
        return Cells(self.count, self.log_rates[:, :-1], self.excited[:, :-1], self.floor)

    def where(self, kept: Integers) -> Cells:
        return Cells(self.count[kept], self.log_rates[kept], self.excited[kept], self.floor[kept])


def cells_of(visits: Visits, grid: Grid, gap: float, until: float) -> Cells:
    """The cells of all that was observed before `until`, in days since as_of."""
    found = returns_in(visits, grid.half_lives, gap, -np.inf, until)
    scale = kernel_scale(grid.half_lives, grid.span)
    excited = scale * found.excited
    rates = [
        by_user(np.log(s * excited + (1.0 - s) / grid.span), found.user, visits.users)
        for s in SHARES
    ]
    return Cells(
        found.count, np.stack(rates, axis=2), scale * found.exposure, found.days / grid.span
    )


@dataclass(frozen=True)
class Rates:
    """The prior of what is no half-life: rho is Gamma(shape, rate), s one of `SHARES`.

    Attributes
    ----------
    shares : (shares,) their probabilities.
    """

    shape: float
    rate: float
    shares: Doubles

    def evidence(self, cells: Cells) -> Doubles:
        """(users, g, shares) log of probability of s and likelihood, rho integrated out."""
        counts, place = np.unique(cells.count, return_inverse=True)
        gammas = np.array([math.lgamma(self.shape + n) - math.lgamma(self.shape) for n in counts])
        known = gammas[place] + self.shape * math.log(self.rate)
        shape = (self.shape + cells.count)[:, None, None]
        likelihood = cells.log_rates - shape * np.log(self.rate + cells.means)
        return known[:, None, None] + likelihood + np.log(self.shares)

    def expected(self, cells: Cells) -> Doubles:
        """(users, g, shares) the posterior mean of rho."""
        return (self.shape + cells.count)[:, None, None] / (self.rate + cells.means)


def log_sum(values: Doubles, *axes: int) -> Doubles:
    """log of the sum of e^values over the given axes."""
    highest = np.max(values, axis=axes, keepdims=True)
    total = np.log(np.sum(np.exp(values - highest), axis=axes, keepdims=True))
    found: Doubles = np.squeeze(highest + total, axis=axes)
    return found
