"""The one reader of slates: whoever is asked for gets one, known or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.recommend.hot_list import DEFAULT_SCOPE
from ebb.recommend.reasons import COLD
from ebb.schema import HOT_LIST, REASON, RECOMMENDATIONS
from ebb.tables import Tables

_USER_IDS = T.StructType([T.StructField("user_id", T.StringType(), nullable=False)])


def recommendations_for(
    tables: Tables, user_ids: Sequence[str] | DataFrame, as_of: datetime
) -> DataFrame:
    """The slates of some users at an as_of; the default slate for those who have none.

    Parameters
    ----------
    user_ids : ids, or a DataFrame with a column user_id. Each is answered once, however often
        it is given.
    as_of : a night whose recommendations are complete; without them there are no rows.

    Returns
    -------
    DataFrame with the columns of the table `recommendations`. The default slate is what
    `hot_list` holds under the scope ``default``: source popularity, no model_version, and a
    reason that says that the user isn't known.
    """
    asked = _asked(tables, user_ids)
    slates = tables.read_slice(RECOMMENDATIONS, as_of)
    known = slates.join(asked, on="user_id", how="left_semi")
    # Anti-joined on the asked users' own slates, so that nobody else's rows are shuffled.
    unknown = asked.join(known.select("user_id").distinct(), on="user_id", how="left_anti")
    default = tables.read_slice(HOT_LIST, as_of).where(F.col("scope") == DEFAULT_SCOPE)
    # A few items for each unknown user.
    given = unknown.crossJoin(F.broadcast(default)).select(
        "as_of",
        "user_id",
        "rank",
        "item_id",
        "score",
        F.lit("popularity").alias("source"),
        F.array(_reason()).cast(T.ArrayType(REASON)).alias("reasons"),
        F.lit(1.0).alias("propensity"),
        F.lit(None).cast("int").alias("pool"),
        F.lit(None).cast("int").alias("pool_rank"),
        F.lit(None).cast("string").alias("model_version"),
        F.lit(None).cast("string").alias("arm"),
    )
    return known.select(*RECOMMENDATIONS.schema.names).unionByName(given)


def _asked(tables: Tables, user_ids: Sequence[str] | DataFrame) -> DataFrame:
    if not isinstance(user_ids, DataFrame):
        return tables.spark.createDataFrame([(user,) for user in sorted(set(user_ids))], _USER_IDS)
    return user_ids.select(F.col("user_id").cast("string")).distinct()


def _reason() -> Column:
    given = {
        "source": F.lit("popularity"),
        "contribution": F.col("score"),
        "sentence": F.lit(COLD),
    }
    fields = [given.get(f.name, F.lit(None).cast(f.dataType)).alias(f.name) for f in REASON]
    return F.struct(*fields)
