"""What an item is like as of an instant: how popular, how fast rising, how old, how widely met.

One row an item of the catalogue or of the events. Nothing here knows of the time at or after
as_of.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.durations import days
from ebb.features.settings import Features, Velocity
from ebb.interests.columns import age_days, halved
from ebb.interests.stored import NOTHING


def item_features(
    events: DataFrame, items: DataFrame, settings: Features, as_of: datetime
) -> DataFrame:
    """Describe every item that had an event or stood in the catalogue before `as_of`.

    Parameters
    ----------
    events : counted events (`counted.counted`): user_id, item_id, event_ts, weight; strictly
        before `as_of`, cancellations applied. Itemless events are left out.
    items : item versions that hold at `as_of`, one row an item: item_id, published_at.

    Returns
    -------
    DataFrame, one row an item, of as_of, item_id and, with S(h) = sum of weight * 2^(-age / h)
    over the item's events:

    - ``n`` [events], ``users`` [users]: 0 for an item without events, whose other columns but
      popularity and age_days are empty;
    - ``first_ts``, ``last_ts`` [UTC instants], ``recency_days`` = as_of - last_ts [days];
    - ``age_days`` [days] = as_of - published_at where that is known and before as_of, else
      as_of - first_ts;
    - ``popularity`` [weight] = S(popularity_half_life); below 0 where dislikes prevail. The decayed
      count of Cohen & Strauss (2003);
    - ``velocity`` [ratio] = (max(S(short), 0) / L(short)) / (S(long) / L(long)), where
      L(h) = h / ln 2 is the mean lifetime of an exponential, so that S / L estimates the rate of
      weight a day: 1 is steady, above rising, below falling. Empty where S(long) <= 0, when nothing
      is left to compare with. S(long) of a young item has yet to fill: at a steady rate from birth
      it is (1 - 2^(-age / short)) / (1 - 2^(-age / long)), e.g. 3.4 at 7 days for 1d and 14d. The
      difference of a fast and a slow exponential mean is MACD (Appel 1979); a ratio compares items
      of any size;
    - with x_u = max(S of user u's events under popularity_half_life, 0) and p_u = x_u / sum of x:
      ``audience_entropy`` [bits] = - sum_u p_u log2 p_u (Shannon 1948): how spread the audience
      is; empty where no x is above 0;
      ``audience`` [users] = 2^audience_entropy, the effective number of users (Hill 1973, order
      1): so many equal ones would have that entropy; from 1 to `users`;
    - ``repeat_share`` [0, 1] = 1 - users / n: the part of its events by users who had met it
      before (Anderson, Kumar, Tomkins & Vassilvitskii 2014).

    References
    ----------
    Anderson, Kumar, Tomkins & Vassilvitskii (2014), The dynamics of repeat consumption, WWW.
    Appel (1979), The moving average convergence-divergence trading method.
    Cohen & Strauss (2003), Maintaining time-decaying stream aggregates, PODS.
    Hill (1973), Diversity and evenness: a unifying notation and its consequences, Ecology.
    Shannon (1948), A mathematical theory of communication, Bell System Technical Journal.
    """
    met = _of_items(_of_pairs(events, settings, as_of))
    known = items.select("item_id", "published_at")
    born = F.when(F.col("published_at") < F.lit(as_of), F.col("published_at"))
    return met.join(known, on="item_id", how="full").select(
        F.lit(as_of).alias("as_of"),
        "item_id",
        *(F.coalesce(F.col(name), F.lit(0)).alias(name) for name in ("n", "users")),
        "first_ts",
        "last_ts",
        age_days(as_of, F.col("last_ts")).alias("recency_days"),
        age_days(as_of, F.coalesce(born, "first_ts")).alias("age_days"),
        F.coalesce(F.col("popularity"), F.lit(0.0)).alias("popularity"),
        _velocity(settings.velocity).alias("velocity"),
        "audience_entropy",
        F.pow(F.lit(2.0), F.col("audience_entropy")).alias("audience"),
        (1 - F.col("users") / F.col("n")).alias("repeat_share"),
    )


def _of_pairs(events: DataFrame, settings: Features, as_of: datetime) -> DataFrame:
    """What each user did with each item: a popular item's events are summed in many tasks."""
    half_lives = {
        "popularity": settings.popularity_half_life,
        "short": settings.velocity.short,
        "long": settings.velocity.long,
    }
    return (
        events.where(F.col("item_id").isNotNull())
        .groupBy("item_id", "user_id")
        .agg(
            F.count(F.lit(1)).alias("n"),
            F.min("event_ts").alias("first_ts"),
            F.max("event_ts").alias("last_ts"),
            *(_decayed(half_life, as_of).alias(name) for name, half_life in half_lives.items()),
        )
    )


def _decayed(half_life: timedelta, as_of: datetime) -> Column:
    return F.sum(F.col("weight") * halved(days(half_life), age_days(as_of, F.col("event_ts"))))


def _of_items(pairs: DataFrame) -> DataFrame:
    return pairs.groupBy("item_id").agg(
        F.sum("n").alias("n"),
        F.count(F.lit(1)).alias("users"),
        F.min("first_ts").alias("first_ts"),
        F.max("last_ts").alias("last_ts"),
        *(F.sum(name).alias(name) for name in ("popularity", "short", "long")),
        _entropy(F.greatest(F.col("popularity"), F.lit(0.0))).alias("audience_entropy"),
    )


def _entropy(x: Column) -> Column:
    """Bits, of the shares p = x / S with S the sum of x: log2 S - sum of x log2 x / S.

    This form needs no S beforehand. Spark's log2(0) is null and drops out, as 0 log 0 should.
    Rounding may leave the entropy of a single user a hair below 0.
    """
    total = F.sum(x)
    bits = F.log2(total) - F.sum(x * F.log2(x)) / total
    return F.when(total >= F.lit(NOTHING), F.greatest(bits, F.lit(0.0)))


def _velocity(velocity: Velocity) -> Column:
    """The factor ln 2 of both mean lifetimes cancels."""
    short = F.greatest(F.col("short"), F.lit(0.0)) / F.lit(days(velocity.short))
    long = F.col("long") / F.lit(days(velocity.long))
    return F.when(F.col("long") >= F.lit(NOTHING), short / long)
