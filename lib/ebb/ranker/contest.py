"""Whether the ranker may rank: held against the best of the other strategies, window by window.

It must be ahead by more than noise, that of users and that of windows, and ahead on each of three
windows. Pure numpy; never imports Spark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ebb.evaluate.significance import ONE_SIDED, Interval, across_windows
from ebb.recommend.catalogue import Doubles

RANKER = "ranker"
HELD_OUT = 3


@dataclass(frozen=True)
class Judged:
    """NDCG of one held-out window's users.

    Attributes
    ----------
    ranker : (u,). others : (u,) by strategy.
    """

    ranker: Doubles
    others: Mapping[str, Doubles]


@dataclass(frozen=True)
class Verdict:
    """How the ranker did.

    Attributes
    ----------
    reason : a sentence.
    ndcg, ndcg_other : mean over users and windows. other : the best of the other strategies.
    ahead : ranker less other, as `across_windows` has it.
    users : of the held-out windows, a user counting once a window.
    """

    promoted: bool
    reason: str
    ndcg: float
    ndcg_other: float
    other: str
    ahead: Interval
    users: int


def verdict(judged: Sequence[Judged]) -> Verdict:
    """Promote the ranker, or say why not.

    Parameters
    ----------
    judged : the windows held out, the latest first; at least one.
    """
    names = list(judged[0].others)
    means = {name: float(np.concatenate([j.others[name] for j in judged]).mean()) for name in names}
    other = max(names, key=lambda name: (means[name], -names.index(name)))
    own = np.concatenate([j.ranker for j in judged])
    differences = [j.ranker - j.others[other] for j in judged]
    ahead = across_windows(differences, level=ONE_SIDED)
    wins = sum(float(one.mean()) > 0.0 for one in differences)
    promoted = ahead.low > 0 and wins >= HELD_OUT
    said = (
        f"{ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}] against {other}, "
        f"ahead on {wins} of {len(judged)} windows"
    )
    if promoted:
        reason = f"promoted: {said}"
    elif ahead.low > 0:
        reason = f"not promoted, ahead on fewer than {HELD_OUT} windows: {said}"
    else:
        reason = f"not promoted, no more than noise: {said}"
    return Verdict(promoted, reason, float(own.mean()), means[other], other, ahead, len(own))
