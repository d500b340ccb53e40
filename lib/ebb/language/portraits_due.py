"""Who is to be asked about, and what is told of them: their strongest keys."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.language.settings import Portraits
from ebb.rounding import significant


def due(
    interests: DataFrame,
    titles: DataFrame,
    before: DataFrame,
    rank_by: str,
    version: str,
    settings: Portraits,
) -> DataFrame:
    """People who did something since they were last asked about, and whose keys moved enough.

    Parameters
    ----------
    interests : everybody's, of the night (`interests_now`).
    titles : item_id, title. before : `latest_portraits` of the nights before.
    version : of the portraits that are to be made.

    Returns
    -------
    DataFrame of user_id, activity and keys: facet, key, name, by rank and facet; activity is what
        the keys weigh together, to 6 significant digits.
    """
    first = (F.col("rank") <= settings.keys) & (F.col(rank_by) > 0)
    named = interests.where(first).join(
        titles.select(F.lit("item").alias("facet"), F.col("item_id").alias("key"), "title"),
        on=["facet", "key"],
        how="left",
    )
    name = F.coalesce("title", "key").alias("name")
    one = F.struct("rank", "facet", "key", name)
    people = named.groupBy("user_id").agg(
        significant(F.sum(rank_by)).alias("activity"),
        F.max("last_ts").alias("last_ts"),
        F.transform(F.sort_array(F.collect_list(one)), _told).alias("keys"),
    )
    known = before.select("user_id", "version", "as_of", F.col("keys").alias("known"))
    keys = F.transform("keys", lambda key: F.struct(key["facet"], key["key"]))
    moved = F.size(F.array_except(keys, "known")) > F.lit(settings.moved) * F.size("keys")
    again = (F.col("last_ts") >= F.col("as_of")) & (moved | (F.col("version") != version))
    wanted = people.join(known, on="user_id", how="left").where(F.col("as_of").isNull() | again)
    return wanted.select("user_id", "activity", "keys")


def latest_portraits(portraits: DataFrame, until: datetime) -> DataFrame:
    """Each person's last portrait before `until`: user_id, as_of, version, keys, tags."""
    row = F.struct("as_of", "version", "keys", "tags")
    known = portraits.where(F.col("as_of") < F.lit(until))
    latest = known.groupBy("user_id").agg(F.max_by(row, "as_of").alias("latest"))
    return latest.select("user_id", "latest.*")


def _told(key: Column) -> Column:
    return F.struct(key["facet"].alias("facet"), key["key"].alias("key"), key["name"].alias("name"))
