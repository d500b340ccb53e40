"""The places of slates that tried things out: what came of them, and what else would have.

What was drawn is judged as it was, and, by inverse propensity scores (`off_policy`), as two other
ways would have filled the same places: always the best-scored, and all of the pool alike. At each
place the items above it are taken as they were. Reads and writes no table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.evaluate.off_policy import value_of
from ebb.evaluate.significance import Interval, bootstrap_mean, sampled_users

# The policies, and what `evaluations` has of them.
LOGGED, OTHERS = "logged", ("best", "uniform")
TAKEN, IPS, SNIPS, EFFECTIVE = "taken", "ips", "snips", "effective"
WORTH = "model string, metric string, value double, low double, high double, users long"


def trial_places(slates: DataFrame, labels: DataFrame) -> DataFrame:
    """Each place whose item was drawn, and whether the user took it.

    Parameters
    ----------
    slates : user_id, rank, item_id, propensity, pool, pool_rank: rows of `recommendations`, of one
        as_of.
    labels : user_id, item_id, distinct; what users took after it (`slates.labels_after`).

    Returns
    -------
    DataFrame of user_id, rank, item_id, propensity, best and uniform (the probabilities under which
    these policies would have shown it), reward (1 where it was taken, else 0), of every user who
    was shown one: those who took nothing count too.
    """
    taken = labels.select("user_id", "item_id", F.lit(1.0).alias("taken"))
    shown = slates.where(F.col("propensity") < 1.0)
    return shown.join(taken, on=["user_id", "item_id"], how="left").select(
        "user_id",
        "rank",
        "item_id",
        "propensity",
        F.when(F.col("pool_rank") == 1, 1.0).otherwise(0.0).alias("best"),
        (F.lit(1.0) / F.col("pool")).alias("uniform"),
        F.coalesce("taken", F.lit(0.0)).alias("reward"),
    )


def worth_of_trials(places: DataFrame) -> list[tuple[Any, ...]]:
    """What places were worth under each policy, in the columns of `WORTH`; none without places.

    Gathers the places of at most `significance.MOST_USERS` users.

    Parameters
    ----------
    places : of `trial_places`.
    """
    log = sampled_users(places).orderBy("user_id", "rank").toPandas()
    if log.empty:
        return []
    users = log["user_id"].nunique()
    rows = [_row(LOGGED, TAKEN, bootstrap_mean(log["reward"], log["user_id"]))]
    for policy in OTHERS:
        rows += _other(policy, log, users)
    return rows


def _other(policy: str, log: pd.DataFrame, users: int) -> list[tuple[Any, ...]]:
    """Of a policy that wasn't followed; nothing where it would have shown none of the items."""
    if not np.any(log[policy]):
        return []
    found = value_of(log["reward"], log["propensity"], log[policy], log["user_id"])
    return [
        _row(policy, IPS, found.ips),
        _row(policy, SNIPS, found.snips),
        (policy, EFFECTIVE, found.effective, None, None, users),
    ]


def _row(policy: str, metric: str, of: Interval) -> tuple[Any, ...]:
    return (policy, metric, of.value, of.low, of.high, of.users)
