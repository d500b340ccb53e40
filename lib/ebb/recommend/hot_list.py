"""What is popular now: for everybody, by category, and as the slate of somebody unknown."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import HotList
from ebb.models.popularity import popularity
from ebb.recommend.catalogue import as_catalogue
from ebb.recommend.gather import one_batch
from ebb.recommend.prepare import Prepared
from ebb.recommend.scoring import score_block
from ebb.recommend.slates import Ranking, slate_of, stranger

DEFAULT_SCOPE = "default"


def hot_list(
    events: DataFrame, eligible: DataFrame, as_of: datetime, settings: HotList
) -> DataFrame:
    """The most popular items that may be recommended, by scope.

    Parameters
    ----------
    events : item_id, event_ts, weight; all strictly before `as_of`.
    eligible : item_id, categories (`eligible_items`).
    settings : scopes ``all`` and ``category:NAME`` hold the `hot_list.n` hottest under
        `hot_list.half_life`, only such as have a score above 0.

    Returns
    -------
    DataFrame of scope, rank, item_id, score (6 significant digits), n (events that count).
    Ties by item_id. Each scope is ranked in one task: it grows with items only.
    """
    hot = _scored(eligible, popularity(events, as_of, settings.half_life))
    hot = hot.where(F.col("score") > 0)
    everything = hot.withColumn("scope", F.lit("all"))
    names = hot.withColumn("name", F.explode(F.array_distinct("categories")))
    by_category = names.where(F.col("name").isNotNull()).withColumn(
        "scope", F.concat(F.lit("category:"), F.col("name"))
    )
    return _first(everything, settings.n).unionByName(_first(by_category, settings.n))


def default_slate(prepared: Prepared, ranking: Ranking) -> DataFrame:
    """The slate of somebody of whom nothing is known, under scope ``default``.

    Made on the driver, from the catalogue alone, as everybody's slate is.

    Returns
    -------
    DataFrame of scope, rank, item_id, score, n (0: it isn't a count of events).
    """
    catalogue = as_catalogue(one_batch(prepared.table))
    plan = prepared.plan
    (one,) = score_block(catalogue, plan, [stranger(plan.columns.half_lives)])
    entries = slate_of(catalogue, plan, ranking, one)
    rows = [
        (DEFAULT_SCOPE, rank, catalogue.ids[entry.item].as_py(), entry.score, 0)
        for rank, entry in enumerate(entries, start=1)
    ]
    schema = "scope string, rank int, item_id string, score double, n long"
    return prepared.places.sparkSession.createDataFrame(rows, schema).coalesce(1)


def _scored(eligible: DataFrame, popular: DataFrame) -> DataFrame:
    """Eligible items with their popularity, at least 0."""
    score = F.greatest(F.coalesce("score", F.lit(0.0)), F.lit(0.0))
    return eligible.join(popular, on="item_id", how="left").select(
        "item_id", "categories", score.alias("score"), F.coalesce("n", F.lit(0)).alias("n")
    )


def _first(scored: DataFrame, n: int) -> DataFrame:
    best_first = Window.partitionBy("scope").orderBy(F.desc("score"), F.asc("item_id"))
    ranked = scored.withColumn("rank", F.row_number().over(best_first))
    return ranked.where(F.col("rank") <= n).select("scope", "rank", "item_id", "score", "n")
