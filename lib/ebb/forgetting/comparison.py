"""How learned half-lives foresee returns beside what is simpler, over users, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame

from ebb.evaluate.significance import Interval, paired_bootstrap, sampled_users
from ebb.forgetting.forgetters import MODELS

Doubles = npt.NDArray[np.float64]
_DECILES = 10
# Some MB of figures; of many readers of news few come back at all, so fewer would say little.
_MOST_USERS = 100_000


@dataclass(frozen=True)
class Comparison:
    """Models on the returns of one stretch or of several, a row a user and stretch.

    Attributes
    ----------
    user_id : (rows,)
    loglik, expected : (rows, models) in the order of `MODELS`.
    returns : (rows,)
    """

    user_id: npt.NDArray[np.object_]
    loglik: Doubles
    expected: Doubles
    returns: Doubles

    @staticmethod
    def of(rows: DataFrame) -> Comparison:
        """Gather a bounded sample of the users of whom something was foreseen; runs one job.

        Parameters
        ----------
        rows : of `pasts.LEARNED_SCHEMA`.
        """
        there = rows.where("foreseen_returns IS NOT NULL").select(
            "user_id", "foreseen_returns", "loglik", "expected"
        )
        found = sampled_users(there, _MOST_USERS).toPandas().sort_values("user_id")
        return Comparison(
            found["user_id"].to_numpy(),
            _matrix(found["loglik"]),
            _matrix(found["expected"]),
            found["foreseen_returns"].to_numpy(dtype=np.float64),
        )

    def __add__(self, other: Comparison) -> Comparison:
        """Both stretches; users are drawn with all of their rows."""
        return Comparison(
            np.concatenate([self.user_id, other.user_id]),
            np.concatenate([self.loglik, other.loglik]),
            np.concatenate([self.expected, other.expected]),
            np.concatenate([self.returns, other.returns]),
        )

    @property
    def count(self) -> int:
        return int(self.returns.sum())

    def total(self, model: str) -> float:
        """Returns that a model expected."""
        return float(self.expected[:, MODELS.index(model)].sum())

    def per_return(self, model: str) -> float:
        """Log-likelihood a return, nats."""
        return float(self.loglik[:, MODELS.index(model)].sum() / self.returns.sum())

    def ahead(self, model: str, of: str = "global") -> Interval:
        """How far a model's log-likelihood a return is ahead of another's."""
        one, other = (self.loglik[:, MODELS.index(name)] for name in (model, of))
        # The mean over rows, in returns; how many there were is taken as given.
        each = len(self.returns) / self.returns.sum()
        return paired_bootstrap(one * each, other * each, self.user_id)

    def calibration(self, model: str) -> list[tuple[float, float]]:
        """Expected and observed returns by decile of users, the least expected first."""
        expected = self.expected[:, MODELS.index(model)]
        order = np.lexsort((self.user_id.astype(str), expected))
        parts = np.array_split(order, _DECILES)
        return [(float(expected[p].sum()), float(self.returns[p].sum())) for p in parts]


def _matrix(lists: pd.Series) -> Doubles:
    if lists.empty:
        return np.zeros((0, len(MODELS)))
    return np.array(lists.to_list(), dtype=np.float64)
