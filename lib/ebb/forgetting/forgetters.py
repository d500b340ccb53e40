"""Each user's half-life from their own returns and a prior, and what models foresee of them.

Pure numpy; never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebb.forgetting.cells import Cells, Grid, Rates, log_sum
from ebb.forgetting.priors import KINDS, Kind, Prior, fit_prior, fit_rates, moments
from ebb.forgetting.visits import Booleans, Doubles, Integers

# Models that are held against each other, in the order of every array of them.
MODELS = ("adaptive", "point", "global", "constant", "waiting")
# So many returns of the average user are mixed into everybody's mean waiting time.
_WAITS_SHARED = 3.0


@dataclass(frozen=True)
class HalfLives:
    """Half-lives of some users.

    Attributes
    ----------
    days : (users,) e to the posterior mean of log h.
    deviation : (users,) posterior standard deviation of log h.
    is_own : (users,) their own returns say more of it than the prior: the posterior's variance is
        below half of the prior's.
    """

    days: Doubles
    deviation: Doubles
    is_own: Booleans


def half_lives_of(cells: Cells, grid: Grid, prior: Prior, described: Doubles) -> HalfLives:
    """The posterior of each user's log half-life."""
    before = prior.log_half_lives(grid, described)
    joint = log_sum(prior.rates.evidence(cells.finite()), 2) + before
    mean, variance = moments(np.exp(joint - log_sum(joint, 1)[:, None]), grid.logs)
    _, prior_variance = moments(np.exp(before), grid.logs)
    return HalfLives(np.exp(mean), np.sqrt(variance), variance < prior_variance / 2.0)


@dataclass(frozen=True)
class Models:
    """Everything that was learned from many users on what was known at one instant.

    Attributes
    ----------
    adaptive : the prior of half-lives. single : one tuned half-life for all.
    constant : rates without forgetting. waiting : rates under half-lives from waiting times.
    mean_wait : mean time between returns of the average user, days.
    """

    adaptive: Prior
    single: Prior
    constant: Rates
    waiting: Rates
    mean_wait: float


def fit_models(
    adaptive: Prior, cells: Cells, grid: Grid, described: Doubles, waited: Doubles
) -> Models:
    """Fit the baselines beside a prior.

    Parameters
    ----------
    waited : (users,) days waited for all returns together.
    """
    single = adaptive if adaptive.design is None else fit_prior("global", cells, grid, described)
    mean = float(waited.sum()) / max(int(cells.count.sum()), 1)
    columns = waiting_columns(cells, grid, waited, mean)
    return Models(
        adaptive,
        single,
        fit_rates(cells.column(-1))[0],
        fit_rates(cells.columns(columns))[0],
        mean,
    )


def waiting_columns(cells: Cells, grid: Grid, waited: Doubles, mean_wait: float) -> Integers:
    """Half-lives by the Gamma-exponential waiting time: ln 2 times its shrunk mean.

    It measures how often people come back, not how fast they forget: a baseline.
    """
    waits = (waited + _WAITS_SHARED * mean_wait) / (cells.count + _WAITS_SHARED)
    return grid.nearest(np.log(2.0) * np.maximum(waits, 1e-9))


@dataclass(frozen=True)
class Foreseen:
    """How each of `MODELS` foresaw the returns of a stretch of time after what it knew.

    Attributes
    ----------
    loglik : (users, models) log of the posterior predictive density of the returns.
    expected : (users, models) returns that were expected.
    returns : (users,) those that there were.
    """

    loglik: Doubles
    expected: Doubles
    returns: Integers


def foresee(
    known: Cells, then: Cells, grid: Grid, models: Models, described: Doubles, waited: Doubles
) -> Foreseen:
    """Hold models against returns after the instant that they were fitted at.

    The density is the evidence of all that was seen at the end of the stretch over that of what
    was known at its beginning: rates, and for ``adaptive`` the half-life, are integrated over what
    the user's own past says of them. ``point`` knows the nearest half-life of the grid to the
    user's estimate, ``waiting`` the one to the user's waiting time.

    Parameters
    ----------
    known, then : up to the beginning and up to the end of the stretch.
    """
    users = len(known.count)
    estimate = half_lives_of(known, grid, models.adaptive, described).days
    waits = waiting_columns(known, grid, waited, models.mean_wait)
    single = models.single.column or 0
    own = models.adaptive.log_half_lives(grid, described)
    ways = (
        (models.adaptive.rates, known.finite(), then.finite(), own),
        *(
            (rates, known.columns(columns), then.columns(columns), np.zeros((users, 1)))
            for rates, columns in (
                (models.adaptive.rates, grid.nearest(estimate)),
                (models.single.rates, np.full(users, single)),
                (models.constant, np.full(users, len(grid.half_lives) - 1)),
                (models.waiting, waits),
            )
        ),
    )
    pairs = [_foreseen(*way) for way in ways]
    loglik, expected = (np.column_stack([pair[i] for pair in pairs]) for i in range(2))
    return Foreseen(loglik, expected, then.count - known.count)


def _foreseen(
    rates: Rates, known: Cells, then: Cells, log_prior: Doubles
) -> tuple[Doubles, Doubles]:
    """(users,) log predictive density, and expected returns."""
    joint = rates.evidence(known) + log_prior[:, :, None]
    before = log_sum(joint, 1, 2)
    after = log_sum(rates.evidence(then) + log_prior[:, :, None], 1, 2)
    posterior = np.exp(joint - before[:, None, None])
    more = rates.expected(known) * (then.means - known.means)
    return after - before, np.sum(posterior * more, axis=(1, 2))


def choose_prior(
    known: Cells, then: Cells, grid: Grid, described_known: Doubles, described: Doubles
) -> Prior:
    """The kind of prior that foresees best, refitted on all.

    Each kind is fitted on `known` and foresees what follows until `then`. The single half-life
    stays where no other is ahead: so people who can't be told apart aren't.

    Parameters
    ----------
    known, then : of the same users at two instants.
    described_known, described : what their pasts are like at them.
    """
    there = np.flatnonzero(known.floor > 0)
    before, after, then_described = known.where(there), then.where(there), described_known[there]
    best: Kind = "global"
    if before.count.any():
        highest = -np.inf
        for kind in KINDS:
            prior = fit_prior(kind, before, grid, then_described)
            own = prior.log_half_lives(grid, then_described)
            loglik, _ = _foreseen(prior.rates, before.finite(), after.finite(), own)
            if loglik.sum() > highest:
                best, highest = kind, loglik.sum()
    return fit_prior(best, then, grid, described)
