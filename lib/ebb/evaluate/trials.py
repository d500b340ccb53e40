"""The places of slates that tried things out, and what came of them: the log for `off_policy`."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def trial_places(slates: DataFrame, labels: DataFrame) -> DataFrame:
    """Each place whose item was drawn, and whether the user took it.

    Parameters
    ----------
    slates : user_id, rank, item_id, propensity: rows of `recommendations`, of one as_of.
    labels : user_id, item_id, distinct; what users took after it (`slates.labels_after`).

    Returns
    -------
    DataFrame of user_id, rank, item_id, propensity, reward (1 where it was taken, else 0), of every
    user who was shown one: those who took nothing count too. Sample it by
    `significance.sampled_users` before it is gathered.
    """
    taken = labels.select("user_id", "item_id", F.lit(1.0).alias("taken"))
    shown = slates.where(F.col("propensity") < 1.0)
    return shown.join(taken, on=["user_id", "item_id"], how="left").select(
        "user_id", "rank", "item_id", "propensity", F.coalesce("taken", F.lit(0.0)).alias("reward")
    )
