"""Arms of an experiment held against each other: independent groups of users. Pure Python.

Each user is in one arm, so nothing is paired: the difference of two means has the interval of Welch
(1947). Before any figure is believed, the arms' sizes are held against what was meant
(sample-ratio mismatch, Fabijan et al. 2019): users lost in one arm alone make every figure wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from ebb.evaluate.significance import LEVEL, Interval

# Below this probability the sizes of the arms are no luck.
MISMATCH = 0.001


@dataclass(frozen=True)
class Group:
    """Figures of one arm's users: how many there are, their mean and sample variance."""

    users: int
    mean: float
    variance: float


def welch(first: Group, second: Group, level: float = LEVEL) -> Interval | None:
    """The difference of the means, first - second, with its interval.

    None where a group has fewer than two users: nothing is known of its spread.
    """
    if min(first.users, second.users) < 2:
        return None
    parts = [group.variance / group.users for group in (first, second)]
    difference, spread = first.mean - second.mean, math.sqrt(sum(parts))
    users = first.users + second.users
    if spread == 0.0:
        return Interval(difference, difference, difference, users, level)
    # Satterthwaite's degrees of freedom.
    freedom = sum(parts) ** 2 / sum(
        part**2 / (group.users - 1) for part, group in zip(parts, (first, second), strict=True)
    )
    reach = t_quantile((1.0 + level) / 2.0, freedom) * spread
    return Interval(difference, difference - reach, difference + reach, users, level)


def sample_ratio_p(users: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The probability of sizes as far from the shares as these, or farther (Pearson's χ²).

    Parameters
    ----------
    users : of each arm. shares : meant for each arm; above 0.
    """
    total, whole = sum(users.values()), sum(shares.values())
    if total == 0 or len(shares) < 2:
        return 1.0
    expected = {arm: total * share / whole for arm, share in shares.items()}
    statistic = sum((users.get(arm, 0) - e) ** 2 / e for arm, e in expected.items())
    return chi_square_tail(statistic, len(shares) - 1)


def chi_square_tail(x: float, freedom: int) -> float:
    """P(χ² ≥ x): the incomplete gamma function in its finite form for whole degrees of freedom."""
    half = x / 2.0
    if freedom % 2 == 0:
        tail, term, order = math.exp(-half), math.exp(-half), 1.0
    else:
        tail, order = math.erfc(math.sqrt(half)), 1.5
        term = 2.0 * math.sqrt(half / math.pi) * math.exp(-half)
        if freedom == 1:
            return tail
        tail += term
    for _ in range((freedom - 1) // 2 if freedom % 2 == 0 else (freedom - 3) // 2):
        term *= half / order
        tail += term
        order += 1.0
    return tail


def t_quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t (Abramowitz & Stegun 26.7.5): to 0.2 % from 5 degrees of freedom."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4.0,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96.0,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160.0,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
