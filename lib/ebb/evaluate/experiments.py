"""Arms of an experiment held against each other: independent groups of users. No Spark.

Each user is in one arm, so nothing is paired: the difference of two means has the interval of Welch
(1947). Before any figure is believed, the arms' sizes are held against what was meant
(sample-ratio mismatch, Fabijan et al. 2019): users lost in one arm alone make every figure wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import chdtrc, stdtrit

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
    reach = float(stdtrit(freedom, (1.0 + level) / 2.0)) * spread
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
    return float(chdtrc(len(shares) - 1, statistic))
