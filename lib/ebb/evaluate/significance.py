"""Whether a difference between models is more than the luck of which users were drawn.

Paired bootstrap on users (Efron 1979; percentile interval, Efron & Tibshirani 1993, chapter 13):
the users are drawn again and again with replacement, and the figure of each draw is taken. What
users share (the night, the catalogue) is not drawn anew: a figure of some nights that is to hold on
others has the interval of `across_windows`, whose width comes from how the nights differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.special import stdtrit

DRAWS = 2_000
LEVEL = 0.95
# Of a contest, which asks for the lower end alone: luck passes it once in twenty, too.
ONE_SIDED = 0.90
# So many users' figures are gathered on the driver, some MB; more would hardly narrow an interval.
MOST_USERS = 20_000
# Users drawn at once: 16 MB of indices.
_AT_ONCE = 4_000_000
# Of a window's mean, where its users all differ alike.
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean over rows and its bootstrap interval, in the unit of the figures.

    Attributes
    ----------
    value : the mean (of a difference: of first - second).
    low, high : the percentile interval at `level`.
    users : how many were drawn from.
    """

    value: float
    low: float
    high: float
    users: int
    level: float = LEVEL

    @property
    def is_significant(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    users: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The mean of first - second over users, with its interval.

    Parameters
    ----------
    first, second : figures of two models, aligned: shape (rows,). Rows where either is NaN are left
        out.
    users : whose row it is, shape (rows,), where a user has several, as with pooled nights: users
        are drawn with all of their rows (a cluster bootstrap). Default: each row is a user.
    draws, seed : how many draws, and what they start from: the same seed gives the same interval.
    level : share of the draws' means within the interval.

    Raises
    ------
    ValueError
        When the arrays differ in length, or no row has both figures.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"shapes {one.shape} and {other.shape}: expected two equally long rows")
    return bootstrap_mean(one - other, users, draws=draws, seed=seed, level=level)


def bootstrap_mean(
    values: ArrayLike,
    users: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The mean of one model's figures, with its interval. Parameters as in `paired_bootstrap`."""
    figures = np.asarray(values, dtype=float)
    given = ~np.isnan(figures)
    if not given.any():
        raise ValueError("no row has a figure: there is nothing to draw from")
    drawn = None if users is None else np.asarray(users)[given]
    return bootstrap_ratio(
        figures[given], np.ones(given.sum()), drawn, draws=draws, seed=seed, level=level
    )


def bootstrap_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    users: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The sum of numerators over that of denominators, with its interval: a weighted mean.

    Parameters as in `paired_bootstrap`; denominators are at least 0, and not all 0.
    """
    over, under = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    if not under.sum() > 0:
        raise ValueError(f"the denominators add up to {under.sum()}; expected more than 0")
    if users is not None:
        _, codes = np.unique(np.asarray(users), return_inverse=True)
        over, under = (np.bincount(codes, weights=one).astype(float) for one in (over, under))
    means = _drawn_means(over, under, draws, np.random.default_rng(seed))
    tail = (1.0 - level) / 2.0
    # A draw of nobody with a weight says nothing.
    low, high = np.nanquantile(means, [tail, 1.0 - tail])
    return Interval(float(over.sum() / under.sum()), float(low), float(high), len(over), level)


def across_windows(windows: Sequence[ArrayLike], *, level: float = LEVEL) -> Interval:
    """The mean difference to be expected on a window like these, with its interval.

    Random effects (DerSimonian & Laird 1986): a window's mean is off by the luck of its users and
    by what all of them share. Where windows differ by more than users' luck, few of them say
    little, however many users each has. From three windows on the interval is that of Hartung and
    Knapp (2001), Student's t of how the windows differ, but never narrower than users' luck makes
    it; of two, whose t would prove nothing whatever they say, it is still a little narrow.

    Parameters
    ----------
    windows : of each the differences of its users, shape (users,). One of a lone user is left out.
    """
    figures = [one for one in (np.asarray(w, dtype=float) for w in windows) if len(one) > 1]
    if not figures:
        return Interval(0.0, -np.inf, np.inf, 0, level)
    means = np.array([one.mean() for one in figures])
    variances = np.array([max(one.var(ddof=1) / len(one), _LEAST_VARIANCE) for one in figures])
    if len(figures) > 1:
        variances = variances + _variance_between(means, variances)
    weights = 1.0 / variances
    value = float(weights @ means / weights.sum())
    reach = _reach(means - value, weights, level)
    return Interval(value, value - reach, value + reach, sum(map(len, figures)), level)


def _reach(apart: NDArray[np.float64], weights: NDArray[np.float64], level: float) -> float:
    """Half the width of the interval of a weighted mean, from how far each window is from it."""
    below = (1.0 + level) / 2.0
    width = 1.0 / float(np.sqrt(weights.sum()))
    freedom = len(weights) - 1
    if freedom < 2:
        return NormalDist().inv_cdf(below) * width
    stretched = float(np.sqrt(max(1.0, float(weights @ apart**2) / freedom)))
    return float(stdtrit(freedom, below)) * width * stretched


def _variance_between(means: NDArray[np.float64], variances: NDArray[np.float64]) -> float:
    """tau^2 of DerSimonian & Laird, of at least two windows."""
    weights = 1.0 / variances
    apart = float(weights @ (means - weights @ means / weights.sum()) ** 2)
    room = float(weights.sum() - weights @ weights / weights.sum())
    return max(0.0, (apart - (len(means) - 1)) / room)


def compare_models(
    sample: pd.DataFrame, metric: str, first: str, second: str, *, seed: int = 0
) -> Interval:
    """How far `first` is ahead of `second` in a metric, on the users of a sample.

    Parameters
    ----------
    sample : model, user_id, the metric, and as_of where nights are pooled: what `sampled_users`
        gives, as a pandas frame. Rows of users whom one of the models lacks are left out.
    """
    night = [name for name in ("as_of",) if name in sample.columns]
    wanted = sample[sample["model"].isin([first, second])]
    paired = wanted.pivot(index=["user_id", *night], columns="model", values=metric)
    missing = {first, second} - set(paired.columns)
    if missing:
        raise ValueError(f"no rows of {sorted(missing)}; expected of {first} and {second}")
    users = paired.index.get_level_values("user_id").to_numpy()
    return paired_bootstrap(paired[first], paired[second], users, seed=seed)


def sampled_users(user_metrics: DataFrame, most: int = MOST_USERS, seed: int = 0) -> DataFrame:
    """The rows of at most `most` users, in all models and nights: few enough to gather.

    Users are chosen by a hash of their id, so that each call with the same seed chooses the same,
    whatever the models, the order of rows or the number of threads.

    Parameters
    ----------
    user_metrics : user_id, and whatever else; `slates.user_metrics`, of several nights with as_of.
    """
    at = F.xxhash64(F.lit(seed), F.col("user_id"))
    chosen = user_metrics.select("user_id").distinct().orderBy(at, "user_id").limit(most)
    return user_metrics.join(chosen, on="user_id", how="left_semi")


def test_set_hash(labels: DataFrame) -> str:
    """A name for a test set: two figures can be compared where it is the same.

    The number of labels, and the sum of two xxhash64 of each (user_id, item_id) modulo 2^64, in
    hexadecimal: the same in whatever order the rows come. Runs a job that brings back one row.

    Parameters
    ----------
    labels : user_id, item_id, distinct.
    """
    whole = "decimal(38,0)"
    hashes = [F.xxhash64(F.lit(seed), F.col("user_id"), F.col("item_id")) for seed in (0, 1)]
    sums = [F.sum(one.cast(whole)).alias(f"sum_{place}") for place, one in enumerate(hashes)]
    row = labels.agg(F.count("*").alias("labels"), *sums).collect()[0]
    digits = [f"{int(row[f'sum_{place}'] or 0) % 2**64:016x}" for place in range(len(sums))]
    return f"{row['labels']}-{''.join(digits)}"


def _drawn_means(
    sums: NDArray[np.float64], rows: NDArray[np.float64], draws: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """The mean of each draw of as many users with replacement, in blocks of bounded memory; NaN
    where the drawn ones have no row.

    The draws of a user are multinomial; taking the drawn users' sums is the same as weighing them.
    """
    users = len(sums)
    block = max(1, _AT_ONCE // users)
    means = np.empty(draws)
    for start in range(0, draws, block):
        size = (min(block, draws - start), users)
        drawn = random.integers(0, users, size=size, dtype=np.int32)
        total, count = sums[drawn].sum(axis=1), rows[drawn].sum(axis=1)
        empty = np.full(size[0], np.nan)
        means[start : start + size[0]] = np.divide(total, count, out=empty, where=count > 0)
    return means
