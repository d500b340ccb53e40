"""Training sets of the ranker: what could be recommended to a user, and what they then took.

Features are those of the window's beginning, labels those of the window. Never collects a row.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.evaluate.splits import Split


def examples(rows: DataFrame, places: DataFrame, window: Split) -> DataFrame:
    """The rows of one window, as the table `training_sets` has them but for its as_of.

    Parameters
    ----------
    rows : of `prepare.view_rows`. places : item_id, place.
    """
    label_from = F.lit(window.as_of)
    return rows.join(F.broadcast(places), on="place", how="inner").select(
        label_from.alias("label_from"),
        F.lit(window.until).alias("label_until"),
        "user_id",
        "item_id",
        F.xxhash64(label_from, "user_id").alias("group_id"),
        "is_label",
        "is_shown",
        "labels",
        "weight",
        "features",
    )
