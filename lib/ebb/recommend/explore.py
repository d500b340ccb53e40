"""The places of a slate that try things out: items drawn with known probabilities. Pure numpy.

Each place draws from the pool's items that are left. The number behind a draw is a hash of as_of,
user, place and seed: a rerun draws the same, whatever the partitions, and nobody can foretell one
user's from another's. The probability of what was drawn, given the places above it, is exact and
goes into `recommendations.propensity`, beside how many items it was drawn from and its rank among
them: other policies can be judged by these (`evaluate.trials`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

import numpy as np

from ebb.recommend.catalogue import Booleans, Catalogue, Doubles, Integers
from ebb.recommend.reasons import PICKED_AS_NEW, PICKED_AS_RISING, Reason
from ebb.recommend.scoring import Candidates, Plan
from ebb.recommend.settings import Explore
from ebb.recommend.thompson import Floats, samples_of, shares_of_best

_DAY = timedelta(days=1)
# A double holds 53 bits of a number from 0 to 1.
_BITS = 53
# Under the softmax everything has a chance, however badly it is scored.
_LEAST_CHANCE = 1e-9


@dataclass(frozen=True)
class Drawn:
    """What a place shows, and how that came about.

    Attributes
    ----------
    row : of the pool, as it was before anything was drawn.
    propensity : the probability that it would be shown, given the places above.
    pool, pool_rank : items that were left to draw from, and this one's rank among them, by score:
        with which probability other policies would have shown it.
    """

    row: int
    propensity: float
    pool: int
    pool_rank: int


def nominated(
    catalogue: Catalogue, items: Integers, settings: Explore
) -> tuple[Booleans, Booleans]:
    """Which of `items` (places in the catalogue) are new, and which are among the most rising."""
    is_new = catalogue.age_days[items] <= settings.within / _DAY
    return is_new, np.isin(items, catalogue.most_rising_first[: settings.pool])


def draw(
    chances: Doubles,
    user_id: str,
    as_of: int,
    settings: Explore,
    samples: Floats | None = None,
) -> list[Drawn]:
    """An item for each place, as long as there are some left.

    Parameters
    ----------
    chances : (m,) of the pool's items, the best first: their part of the softmax that
        slates are ranked by.
    as_of : microseconds since 1970.
    samples : of ``thompson``, (at least as many of the first items as take part, k): what
        `thompson.samples_of` gives.
    """
    left = np.arange(min(len(chances), settings.pool))
    found: list[Drawn] = []
    for place in range(min(settings.places, len(left))):
        seen = None if samples is None else samples[left]
        probabilities = probabilities_of(chances[left], settings, seen)
        ends = np.cumsum(probabilities)
        number = uniform(settings.seed, as_of, user_id, place) * ends[-1]
        at = min(int(np.searchsorted(ends, number, side="right")), len(left) - 1)
        found.append(Drawn(int(left[at]), float(probabilities[at]), len(left), at + 1))
        left = np.delete(left, at)
    return found


def probabilities_of(chances: Doubles, settings: Explore, samples: Floats | None = None) -> Doubles:
    """(m,) with which one place shows each item of a pool, the best first.

    ``epsilon``: the best one, but with probability epsilon any, all alike (Sutton & Barto 2018,
    2.2). ``softmax``: each by its chance over that of all (2.8). ``thompson``: each by the
    probability that it is taken most, but with probability epsilon any (`thompson.py`).
    """
    if settings.method == "softmax":
        raised = np.maximum(chances, _LEAST_CHANCE)
        parts: Doubles = raised / raised.sum()
        return parts
    favoured = np.zeros(len(chances))
    if settings.method == "thompson":
        if samples is None:
            raise ValueError("thompson needs samples of what is known of the items")
        favoured = shares_of_best(samples)
    else:
        favoured[0] = 1.0
    parts = (1.0 - settings.epsilon) * favoured + settings.epsilon / len(chances)
    return parts


def uniform(seed: int, as_of: int, user_id: str, place: int) -> float:
    """A number in [0, 1) that hangs on these four alone."""
    key = f"{seed}|{as_of}|{place}|{user_id}".encode()
    whole = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
    return float((whole >> (64 - _BITS)) / 2**_BITS)


@dataclass(frozen=True)
class Trial:
    """How an item that was drawn came into a slate, and why it could."""

    drawn: Drawn
    reason: Reason


def with_trials(
    catalogue: Catalogue,
    plan: Plan,
    settings: Explore | None,
    one: Candidates,
    chances: Doubles,
    chosen: Integers,
) -> tuple[Integers, dict[int, Trial]]:
    """The slate with its last places drawn among new and rising candidates that it lacks.

    Parameters
    ----------
    chances : (c,) of the user's candidates. chosen : rows of candidates, the slate as ranked.

    Returns
    -------
    The rows of the slate, as many as there were, and of those drawn how that came about.
    """
    if settings is None:
        return chosen, {}
    is_new, is_rising = nominated(catalogue, one.items, settings)
    is_open = is_new | is_rising
    is_open[chosen[: max(0, plan.n - settings.places)]] = False
    pool = np.flatnonzero(is_open)
    pool = pool[np.lexsort((pool, -chances[pool]))]
    samples = None
    if settings.method == "thompson":
        samples = samples_of(catalogue, one.items[pool[: settings.pool]], plan.as_of, settings.seed)
    trials = {
        int(pool[drawn.row]): Trial(drawn, _reason(bool(is_new[pool[drawn.row]])))
        for drawn in draw(chances[pool], one.past.user_id, plan.as_of, settings, samples)
    }
    rows = np.array(list(trials), dtype=np.int64)
    ranked = chosen[~np.isin(chosen, rows)][: len(chosen) - len(rows)]
    return np.concatenate([ranked, rows]), trials


def _reason(is_new: bool) -> Reason:
    if is_new:
        return Reason("new", 0.0, PICKED_AS_NEW)
    return Reason("rising", 0.0, PICKED_AS_RISING)
