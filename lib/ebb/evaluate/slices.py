"""Which users a figure is of: by activity, known or cold, by what they care for most.

Each function gives user_id, slice; join them with `unionByName` for `slates.summarise`.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def activity_slices(activity: DataFrame, bounds: tuple[int, int] | None = None) -> DataFrame:
    """Users by how many events they had: ``activity: few``, ``some`` or ``many``.

    Parameters
    ----------
    activity : user_id, events (before as_of), one row a user to be judged. Users with none are in
        no slice.
    bounds : few is up to the first, some up to the second, many above; both included. Default the
        terciles of the users with events, which in small or uneven data may leave a slice empty.

    Raises
    ------
    ValueError
        When the bounds don't rise, or begin below 1.
    """
    active = activity.where(F.col("events") > 0)
    if bounds is not None:
        if not 1 <= bounds[0] < bounds[1]:
            raise ValueError(f"bounds {bounds}: expected two rising numbers of events from 1 on")
        return active.select("user_id", _level(F.lit(bounds[0]), F.lit(bounds[1])))
    # One row: the terciles. Their state is as large as there are different numbers of events.
    terciles = active.agg(
        F.percentile("events", 1 / 3).alias("lower"), F.percentile("events", 2 / 3).alias("upper")
    )
    cut = active.crossJoin(F.broadcast(terciles))
    return cut.select("user_id", _level(F.col("lower"), F.col("upper")))


def _level(lower: Column, upper: Column) -> Column:
    level = F.when(F.col("events") <= lower, "few").when(F.col("events") <= upper, "some")
    return F.concat(F.lit("activity: "), level.otherwise("many")).alias("slice")


def warmth_slices(activity: DataFrame, warm_from: int = 1) -> DataFrame:
    """``cold``: users with fewer events before as_of than `warm_from`; else ``warm``.

    Parameters
    ----------
    activity : user_id, events, one row a user to be judged; no events as 0 or null.
    """
    events = F.coalesce("events", F.lit(0))
    warmth = F.when(events < warm_from, "cold").otherwise("warm")
    return activity.select("user_id", warmth.alias("slice"))


def category_slices(shares: DataFrame, most: int = 20) -> DataFrame:
    """Users by the category they care for most: ``category: jazz``; ties by name.

    Parameters
    ----------
    shares : user_id, category, share (above 0), of the users to be judged.
    most : so many categories have a slice of their own, those with the most users, ties by name;
        users of the others are in ``category: (others)``.
    """
    strongest = F.min(F.struct((-F.col("share")).alias("least"), F.col("category")))
    favourite = (
        shares.where(F.col("share") > 0)
        .groupBy("user_id")
        .agg(strongest.alias("strongest"))
        .select("user_id", "strongest.category")
    )
    # At most `most` rows.
    frequent = (
        favourite.groupBy("category")
        .agg(F.count("*").alias("users"))
        .orderBy(F.desc("users"), "category")
        .limit(most)
        .select("category", F.col("category").alias("own"))
    )
    name = F.concat(F.lit("category: "), F.coalesce("own", F.lit("(others)"))).alias("slice")
    return favourite.join(F.broadcast(frequent), on="category", how="left").select("user_id", name)
