"""Boosted trees as they are scored: what they add to the blend, and which features made it.

The bytes travel as a shipped file, which each Python worker loads once; one thread a task, and each
user's rows alone, so that the sums are the same bits on any cluster.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pyspark import SparkContext

from ebb.extras import require
from ebb.ranker.features import Matrix
from ebb.recommend.catalogue import Doubles
from ebb.shipped import ship_bytes, shipped

if TYPE_CHECKING:
    from xgboost import Booster

_MISSING = (
    "train.ranker needs xgboost and scikit-learn, which the extra ranker brings: "
    "pip install 'ebb[ranker]', or leave train.ranker out"
)


def require_xgboost() -> None:
    """Tell what is missing before anything is fitted.

    Raises
    ------
    RunError
        When the extra `ranker` isn't installed.
    """
    require(_MISSING, "sklearn", "xgboost.spark")


class Trees:
    """Fitted trees over the features of the blend and those of `Columns.beside`, in this order."""

    def __init__(self, booster: Booster) -> None:
        booster.set_param({"nthread": 1})
        self._booster = booster

    @staticmethod
    def of(raw: bytes) -> Trees:
        from xgboost import Booster

        booster = Booster()
        booster.load_model(bytearray(raw))
        return Trees(booster)

    def sums(self, matrix: Matrix) -> Doubles:
        """(c,) what the trees add to the score of each row of (c, f + e) features."""
        added: Doubles = self._booster.inplace_predict(matrix, predict_type="margin").astype(
            np.float64
        )
        return added

    def contributions(self, matrix: Matrix) -> Doubles:
        """(c, f + e) each feature's part of `sums`, beyond what the trees give on average.

        TreeSHAP (Lundberg, Erion & Lee 2018); a row's parts and the average add up to its sum.
        """
        from xgboost import DMatrix

        parts = self._booster.predict(DMatrix(matrix, nthread=1), pred_contribs=True)
        own: Doubles = parts[:, :-1].astype(np.float64)
        return own

    def importance(self, names: tuple[str, ...]) -> dict[str, float]:
        """Each feature's share of what all splits gained; those never split on have none."""
        gains = self._booster.get_score(importance_type="total_gain")
        named = {names[int(key.removeprefix("f"))]: float(str(gain)) for key, gain in gains.items()}
        total = sum(named.values())
        return {name: float(f"{gain / total:.6g}") for name, gain in sorted(named.items())}


def ship_trees(context: SparkContext, raw: bytes) -> str:
    """Have Spark bring a ranker to each executor; returns its name."""
    return ship_bytes(context, ".ubj", raw)


@lru_cache(maxsize=2)
def shipped_trees(name: str) -> Trees:
    """Load shipped trees, on the driver or in a Python worker; once a process."""
    return Trees.of(shipped(name).read_bytes())
