"""The configuration's section `train.ranker`. Pure Python; never imports Spark or xgboost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ebb.interests.curves import Positive

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Ranker(BaseModel):
    """Boosted trees on top of the blend. Needs the extra `ranker`.

    Attributes
    ----------
    trees, depth, eta : how many trees, how deep, and how much of each step is taken.
    min_child_weight : least weight of a leaf, in the objective's curvature.
    subsample : share of rows that each tree sees, drawn with a fixed seed.
    windows : label windows used; the three latest are held out to judge by, and joined at last.
    users : at most so many users a window, chosen by a hash of their id.
    negatives : at most so many candidates of a user that they didn't take, by a stable hash.
    least_users : of the windows before the held-out ones; with fewer there is no ranker.
    workers : tasks that fit at once, each with its part of the users; results hang on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    trees: int = Field(default=100, ge=1)
    depth: int = Field(default=4, ge=1, le=12)
    eta: float = Field(default=0.05, gt=0, le=1)
    min_child_weight: NonNegative = 20.0
    l2: Positive = 1.0
    subsample: float = Field(default=1.0, gt=0, le=1)
    windows: int = Field(default=5, ge=4)
    users: int = Field(default=2_000, ge=10)
    negatives: int = Field(default=200, ge=1)
    least_users: int = Field(default=200, ge=1)
    workers: int = Field(default=1, ge=1)
