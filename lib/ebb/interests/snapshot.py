"""Everybody's interests at one instant, from counted events, stored sums, or both.

All measures of all facets come from one groupBy behind one shuffle by user; the keys of an item
get its sums, and the shares and ranks that follow need no other shuffle.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.config import EventType
from ebb.forgetting.fits import held_at
from ebb.interests.columns import age_days
from ebb.interests.keys import with_keys
from ebb.interests.measures import Interests
from ebb.interests.own import OwnHalfLives, with_own
from ebb.interests.profile import with_profile
from ebb.interests.stored import Sum, counts_later, distinct_sums, is_stored, stored_parts
from ebb.interests.sums import carried, direct, measure_value, of_event, ratio_value, total

_EVENT = ("user_id", "item_id", "event_type", "event_ts", "weight")


def interests_from_events(
    events: DataFrame,
    items: DataFrame,
    facets: tuple[str, ...],
    settings: Interests,
    types: Mapping[str, EventType],
    as_of: datetime,
    own: OwnHalfLives | None = None,
    texts: DataFrame | None = None,
) -> DataFrame:
    """Compute the interests of all users at `as_of` from their events: the full rebuild.

    Parameters
    ----------
    events : counted events (`counted.counted`): strictly before `as_of`, cancellations applied.
    items : item versions that hold at `as_of`, one row an item.
    types : the configured event types.
    own : learned half-lives, for measures by users' own; None where nothing was learned.
    texts : of events, with their tags (`labelled.labelled_texts`); None where none are read.

    Returns
    -------
    DataFrame of as_of, user_id, facet, key, n, last_ts, one column a measure and a ratio, share,
    rank, drift, trend.
    """
    users = _by_user(events, settings)
    return interests_of(users, items, facets, settings, types, as_of, own, texts)


def interests_with_stored(
    stored: DataFrame,
    events: DataFrame,
    items: DataFrame,
    facets: tuple[str, ...],
    settings: Interests,
    types: Mapping[str, EventType],
    as_of: datetime,
    own: OwnHalfLives | None = None,
    texts: DataFrame | None = None,
) -> DataFrame:
    """The same from sums stored for (user, item) and the events that they lack.

    Parameters
    ----------
    stored : user_id, item_id, stored_n, stored_last, the stored sums, and stored_at, the instant at
        which they are true.
    events : counted events with `fresh`: false where the stored sums hold the event already, and
        it is there for windows and lines only.
    """
    both = _by_user(events, settings, "fresh").unionByName(
        stored.repartition("user_id"), allowMissingColumns=True
    )
    return interests_of(both, items, facets, settings, types, as_of, own, texts)


def interests_of(
    rows: DataFrame,
    items: DataFrame,
    facets: tuple[str, ...],
    settings: Interests,
    types: Mapping[str, EventType],
    as_of: datetime,
    own: OwnHalfLives | None,
    texts: DataFrame | None,
) -> DataFrame:
    fit = held_at(own.fits, as_of) if own else None
    parts = stored_parts(settings.measures, facets, fit.tuned if fit else {})
    sums = distinct_sums(parts)
    per_item = _per_item(with_own(rows, own, as_of, sums), sums, settings, types, as_of)
    keyed = with_keys(per_item, items, facets, texts)
    # Where items are the only keys there is nothing left to sum.
    summed = keyed if facets == ("item",) else _per_key(keyed, sums)
    place = ("user_id", "facet", "key")
    values = [measure_value(m, parts.get(m.name, ()), as_of) for m in settings.measures]
    valued = summed.where(F.col("n") > 0).select(*place, "n", "last_ts", *values)
    valued = valued.select("*", *(ratio_value(ratio) for ratio in settings.ratios))
    return with_profile(valued, settings).select(
        F.lit(as_of).alias("as_of"),
        *place,
        "n",
        "last_ts",
        *settings.columns,
        "share",
        "rank",
        "drift",
        "trend",
    )


def _per_item(
    rows: DataFrame,
    stored: tuple[Sum, ...],
    settings: Interests,
    types: Mapping[str, EventType],
    as_of: datetime,
) -> DataFrame:
    """One row a (user, item) with all that is summed: far fewer than events, and an item may
    stand for several keys."""
    sums = [
        *(total_of(s, rows.columns, types, as_of).alias(s.name) for s in stored),
        *(column.alias(name) for measure in settings.measures if not is_stored(measure)
          for name, column in direct(measure, types, as_of).items()),
    ]  # fmt: skip
    on_items = rows.where(F.col("item_id").isNotNull())
    return on_items.groupBy("user_id", "item_id").agg(*counted_totals(rows.columns), *sums)


def _per_key(rows: DataFrame, sums: tuple[Sum, ...]) -> DataFrame:
    """One row a (user, facet, key) from the rows of its items."""
    lasts = {"last_ts", *(s.name for s in sums if s.what == "last")}
    lists = {field.name for field in rows.schema if isinstance(field.dataType, T.ArrayType)}
    own = ("user_id", "facet", "key")

    def whole(name: str) -> Column:
        if name in lists:
            return F.flatten(F.collect_list(name))
        return F.max(name) if name in lasts else F.sum(name)

    return rows.groupBy(*own).agg(*(whole(n).alias(n) for n in rows.columns if n not in own))


def counted_totals(columns: list[str]) -> tuple[Column, Column]:
    """n, the events that count, and last_ts, the latest of them; stored ones included."""
    if "fresh" not in columns:
        return F.count(F.lit(1)).alias("n"), F.max("event_ts").alias("last_ts")
    one = F.when(F.col("fresh"), F.lit(1))
    n = F.sum(F.coalesce("stored_n", one)).alias("n")
    return n, F.max(F.coalesce("stored_last", "event_ts")).alias("last_ts")


def total_of(s: Sum, columns: list[str], types: Mapping[str, EventType], as_of: datetime) -> Column:
    """A stored sum over rows of events and, where there are any, of stored sums."""
    term = of_event(s, age_days(as_of, F.col("event_ts")), types)
    if "fresh" in columns:
        before = carried(s, age_days(as_of, F.col("stored_at")))
        term = F.coalesce(before, F.when(F.col("fresh"), term))
    return total(s, term)


def _by_user(events: DataFrame, settings: Interests, *also: str) -> DataFrame:
    """Events by user, so that all that follows needs no other shuffle."""
    counting = counts_later(settings.measures)
    columns = (*_EVENT, *also, *(("event_id",) if counting else ()))
    rows = events.select(*columns).repartition("user_id")
    if not counting:
        return rows
    newest_first = Window.partitionBy("user_id").orderBy(
        F.col("event_ts").desc(), F.col("event_id").desc()
    )
    later = F.row_number().over(newest_first) - 1
    return rows.withColumn("later", later.cast("double")).drop("event_id")
