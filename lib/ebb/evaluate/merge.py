"""The one merge of slates with the truth, from which `slates.py` takes every metric."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.evaluate import expressions
from ebb.evaluate.catalogue import model_names
from ebb.evaluate.facts import Facts

_ITEM = "struct<rank:int,item_id:string,novelty:double,had:boolean,categories:array<string>>"
_PAIR = "struct<rank:int,distance:double>"
_JUDGED = ["model", "user_id"]


def merge(
    served: DataFrame, labels: DataFrame, facts: Facts, models: Sequence[str] | None
) -> DataFrame:
    """One row a model and judged user, also where the user has no slate of the model.

    Parameters
    ----------
    served, labels, facts, models : as `slates.user_metrics` has them, cut at the last rank.

    Returns
    -------
    DataFrame of model, user_id and

    - ``labels`` : how many the user has;
    - ``slate`` : array of (rank, item_id, novelty, had, categories), by rank; empty without one;
    - ``hits`` : array of (rank, popular_rank), by rank: the slate's items that are labels, and
      their rank in the user's popular slate, null where they are not in it;
    - ``shares`` : array of (category, share), summing to 1; null where there are none;
    - ``category_pairs``, ``audience_pairs`` : array of (rank of the later, distance); only where
      the facts allow.
    """
    truth = labels.groupBy("user_id").agg(F.collect_set("item_id").alias("truth"))
    # A few models on the right.
    judged = truth.crossJoin(F.broadcast(model_names(served, models)))
    merged = judged.join(_lists(served, facts), on=_JUDGED, how="left")
    for of_user in _of_users(facts):
        merged = merged.join(of_user, on="user_id", how="left")
    prepared = merged.select(
        *_JUDGED,
        F.size("truth").alias("labels"),
        _or_empty("slate", _ITEM).alias("slate"),
        _hits(facts).alias("hits"),
        (F.lit(None) if facts.shares is None else F.col("shares")).alias("shares"),
    )
    if facts.categories is not None:
        pairs = expressions.category_pairs(F.col("slate")).alias("category_pairs")
        prepared = prepared.select("*", pairs)
    if facts.overlaps is not None:
        audience = _audience_pairs(prepared, facts.overlaps)
        prepared = prepared.join(audience, on=_JUDGED, how="left").withColumn(
            "audience_pairs", _or_empty("audience_pairs", _PAIR)
        )
    return prepared


def _lists(served: DataFrame, facts: Facts) -> DataFrame:
    """model, user_id, slate: the items by rank, each with what is known of it."""
    novelty, had, categories = F.lit(None), F.lit(None), F.lit(None)
    if facts.popularity is not None and facts.known_users is not None:
        served = served.join(facts.popularity.select("item_id", "users"), on="item_id", how="left")
        novelty = expressions.item_novelty(F.col("users"), facts.known_users)
        had = F.col("users") > 0
    if facts.categories is not None:
        listed = facts.categories.select("item_id", "categories")
        served = served.join(listed, on="item_id", how="left")
        categories = F.array_distinct("categories")
    item = F.struct(F.col("rank"), F.col("item_id"), novelty, had, categories).cast(_ITEM)
    by_rank = F.sort_array(F.collect_list(item))
    return served.groupBy(*_JUDGED).agg(by_rank.alias("slate"))


def _of_users(facts: Facts) -> list[DataFrame]:
    """What is known of a user: popular (item to rank) and shares, each where given."""
    frames = []
    if facts.popular is not None:
        ranks = F.map_from_entries(F.collect_list(F.struct("item_id", F.col("rank").cast("int"))))
        frames.append(facts.popular.groupBy("user_id").agg(ranks.alias("popular")))
    if facts.shares is not None:
        wanted = facts.shares.where(F.col("share") > 0)
        own = F.sort_array(F.collect_list(F.struct("category", "share")))
        grouped = wanted.groupBy("user_id").agg(own.alias("own"))
        frames.append(grouped.select("user_id", _over_their_sum(F.col("own")).alias("shares")))
    return frames


def _over_their_sum(own: Column) -> Column:
    total = F.aggregate(own, F.lit(0.0), lambda total, one: total + one["share"])
    return F.transform(
        own,
        lambda one: F.struct(
            one["category"].alias("category"), (one["share"] / total).alias("share")
        ),
    )


def _hits(facts: Facts) -> Column:
    def popular_rank(item: Column) -> Column:
        if facts.popular is None:
            return F.lit(None).cast("int")
        return F.try_element_at(F.col("popular"), item["item_id"])

    def hit(item: Column) -> Column:
        return F.struct(item["rank"].alias("rank"), popular_rank(item).alias("popular_rank"))

    slate = _or_empty("slate", _ITEM)
    labelled = F.filter(slate, lambda item: F.array_contains(F.col("truth"), item["item_id"]))
    return F.transform(labelled, hit)


def _audience_pairs(prepared: DataFrame, overlaps: DataFrame) -> DataFrame:
    """model, user_id, audience_pairs: of each two items of a slate that anybody had."""
    pairs = prepared.select(*_JUDGED, F.inline(expressions.item_pairs(F.col("slate"))))
    distance = 1.0 - F.coalesce(F.col("jaccard"), F.lit(0.0))
    pair = F.struct(F.col("rank"), distance.alias("distance")).cast(_PAIR)
    return (
        pairs.join(overlaps, on=["item_id", "other_id"], how="left")
        .groupBy(*_JUDGED)
        .agg(F.sort_array(F.collect_list(pair)).alias("audience_pairs"))
    )


def _or_empty(name: str, entry: str) -> Column:
    return F.coalesce(F.col(name), F.array().cast(f"array<{entry}>"))
