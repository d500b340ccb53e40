"""What is known at as_of that metrics beyond accuracy need, besides slates and labels."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Audiences are compared on so many users: where a tenth had either item, a Jaccard to about 0.02.
AUDIENCE_USERS = 5_000


@dataclass(frozen=True)
class Facts:
    """Frames of what is known strictly before as_of; a metric whose frame is None is left out.

    Attributes
    ----------
    categories : item_id, categories (array of strings), one row an item. For category diversity
        and calibration.
    popularity : item_id, users (how many known users had it), one row an item that anybody had.
        For novelty; with `overlaps` for audience diversity.
    known_users : users known at as_of. Needed by `popularity`.
    shares : user_id, category, share; one row a user and category. For calibration.
    popular : user_id, rank, item_id: what plain popularity would have shown. For serendipity.
    overlaps : item_id, other_id (item_id < other_id), jaccard: pairs of items with common users;
        see `audience_overlaps`. For audience diversity, with `popularity`.

    Raises
    ------
    ValueError
        When there is `popularity` without `known_users`, or `overlaps` without `popularity`.
    """

    categories: DataFrame | None = None
    popularity: DataFrame | None = None
    known_users: int | None = None
    shares: DataFrame | None = None
    popular: DataFrame | None = None
    overlaps: DataFrame | None = None

    def __post_init__(self) -> None:
        if self.popularity is not None and (self.known_users is None or self.known_users < 1):
            raise ValueError(f"known_users {self.known_users}: popularity needs at least 1")
        if self.overlaps is not None and self.popularity is None:
            raise ValueError("overlaps need popularity, which says what items anybody had")


def item_users(had: DataFrame) -> DataFrame:
    """How many users had each item.

    Parameters
    ----------
    had : user_id, item_id; distinct pairs of what users had before as_of.

    Returns
    -------
    DataFrame of item_id, users, as `Facts.popularity`.
    """
    return had.groupBy("item_id").agg(F.count("*").alias("users"))


def audience_overlaps(had: DataFrame, slates: DataFrame, users: int = AUDIENCE_USERS) -> DataFrame:
    """Jaccard of the audiences of items in slates: users of both / users of either.

    From counts of items and of pairs of items: both / (one + other - both). Only items that slates
    show are counted, on the `users` users of least hash of their id, so that the cost stays bounded
    by their histories squared; with more users than that it is an estimate.

    Parameters
    ----------
    had : user_id, item_id; distinct pairs of what users had before as_of.
    slates : item_id of everything shown.

    Returns
    -------
    DataFrame of item_id, other_id (item_id < other_id), jaccard, of pairs with common users.
    """
    shown = slates.select("item_id").distinct()
    met = had.select("user_id", "item_id").join(shown, on="item_id", how="left_semi")
    chosen = met.select("user_id").distinct().orderBy(F.xxhash64("user_id"), "user_id").limit(users)
    audience = met.join(chosen, on="user_id", how="left_semi")
    other = audience.select("user_id", F.col("item_id").alias("other_id"))
    both = (
        audience.join(other, on="user_id", how="inner")
        .where(F.col("item_id") < F.col("other_id"))
        .groupBy("item_id", "other_id")
        .agg(F.count("*").alias("both"))
    )
    sizes = item_users(audience)
    one = sizes.select("item_id", F.col("users").alias("one"))
    another = sizes.select(F.col("item_id").alias("other_id"), F.col("users").alias("another"))
    return (
        both.join(one, on="item_id", how="inner")
        .join(another, on="other_id", how="inner")
        .select(
            "item_id",
            "other_id",
            (F.col("both") / (F.col("one") + F.col("another") - F.col("both"))).alias("jaccard"),
        )
    )
