"""Interests by each user's own half-life: decayed sums, as `half_lives` has them."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.catalogue import versions_at
from ebb.interests.columns import age_days
from ebb.interests.counted import counted
from ebb.interests.keys import with_keys
from ebb.language.labelled import labelled_items
from ebb.language.labels import Labels
from ebb.rounding import significant
from ebb.schema import EVENTS, FORGETTING_FITS, HALF_LIVES
from ebb.tables import Tables


def adaptive_interests(tables: Tables, config: Config, as_of: datetime) -> DataFrame:
    """Interests at `as_of`, each user's decayed by what was last learned of the user.

    Parameters
    ----------
    tables : with `half_lives` of an as_of at or before this one. Whoever came after that has the
        half-life that was then best for all.

    Returns
    -------
    DataFrame of as_of, user_id, facet, key, n (events), last_ts, interest (the sum of
    weight * 2^(-age / half-life)), half_life_days, rank (by interest to 6 significant digits, then
    by key). Facets of which nothing could be learned are absent.

    Raises
    ------
    RunError
        When nothing was learned at or before `as_of`.
    """
    learned_at = (
        tables.read(FORGETTING_FITS)
        .where(F.col("as_of") <= F.lit(as_of))
        .agg(F.max("as_of"))
        .collect()[0][0]
    )
    if learned_at is None:
        raise RunError(
            f"no half-lives were learned at or before {format_instant(as_of)} under "
            f"{tables.root}; run: ./spark-submit.sh forgetting --as-of {format_instant(as_of)}"
        )
    labels = Labels.of(config, config.facets)
    fits = tables.read_slice(FORGETTING_FITS, learned_at).where("model = 'global'")
    return decayed_by_own(
        counted(tables.read(EVENTS), config.events, as_of),
        versions_at(labelled_items(tables, labels, as_of), as_of),
        tables.read_slice(HALF_LIVES, learned_at),
        fits.select("facet", F.col("half_life_days").alias("tuned")),
        config.facets,
        as_of,
    )


def decayed_by_own(
    events: DataFrame,
    items: DataFrame,
    half_lives: DataFrame,
    tuned: DataFrame,
    facets: tuple[str, ...],
    as_of: datetime,
) -> DataFrame:
    """The same from frames: one shuffle of events by user, as `half_lives` is small beside them.

    Parameters
    ----------
    events : counted events, strictly before `as_of`. items : versions that hold at `as_of`.
    half_lives : user_id, facet, half_life_days. tuned : facet, tuned; facets not in it are left
        out.
    """
    rows = events.select("user_id", "item_id", "event_ts", "weight").repartition("user_id")
    keyed = with_keys(rows, items, facets).join(F.broadcast(tuned), on="facet", how="inner")
    own = half_lives.select("user_id", "facet", "half_life_days")
    joined = keyed.join(own, on=["user_id", "facet"], how="left")
    half_life = F.coalesce("half_life_days", "tuned")
    decayed = F.col("weight") * F.pow(F.lit(2.0), -age_days(as_of, F.col("event_ts")) / half_life)
    sums = joined.groupBy("user_id", "facet", "key").agg(
        F.count(F.lit(1)).alias("n"),
        F.max("event_ts").alias("last_ts"),
        F.sum(decayed).alias("interest"),
        F.first(half_life).alias("half_life_days"),
    )
    strongest = Window.partitionBy("user_id", "facet").orderBy(
        significant(F.col("interest")).desc(), "key"
    )
    return sums.select(
        F.lit(as_of).alias("as_of"),
        "user_id",
        "facet",
        "key",
        "n",
        "last_ts",
        "interest",
        "half_life_days",
        F.row_number().over(strongest).alias("rank"),
    )
