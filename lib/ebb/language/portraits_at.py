"""Portraits at an instant: each tag with what is left by then of the interests that it sums up."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.interests.reader import interests_at, plan_reading
from ebb.language.portraits_due import latest_portraits
from ebb.rounding import significant
from ebb.schema import PORTRAITS
from ebb.tables import Tables

_MICROSECOND = timedelta(microseconds=1)


def portraits_at(tables: Tables, as_of: datetime, users: DataFrame | None = None) -> DataFrame:
    """Tags of people who have a portrait of a night up to `as_of`, decayed to `as_of`.

    A tag's interest is the sum of its keys' by the measure `interests.rank_by`. One of which
    nothing is left is gone.

    Parameters
    ----------
    users : a frame with user_id; None means everybody.

    Returns
    -------
    DataFrame of as_of, user_id, tag, interest, rank; rank is 1 for the strongest, to 6 significant
    digits, ties by tag.

    Raises
    ------
    RunError
        When no night has computed interests yet.
    """
    rank_by = plan_reading(tables, as_of).setup.interests.rank_by
    portraits = tables.read(PORTRAITS)
    if users is not None:
        portraits = portraits.join(users.select("user_id"), on="user_id", how="left_semi")
    made = latest_portraits(portraits, as_of + _MICROSECOND)
    tags = made.select("user_id", F.inline("tags")).select("user_id", "tag", F.inline("keys"))
    interests = interests_at(tables, as_of, made)
    own = Window.partitionBy("user_id").orderBy(significant(F.col("interest")).desc(), "tag")
    return (
        tags.join(interests, on=["user_id", "facet", "key"], how="inner")
        .groupBy("user_id", "tag")
        .agg(F.sum(rank_by).alias("interest"))
        .where(F.col("interest") > 0)
        .select(
            F.lit(as_of).alias("as_of"),
            "user_id",
            "tag",
            "interest",
            F.row_number().over(own).alias("rank"),
        )
    )
