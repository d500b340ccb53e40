"""What may be recommended at an as_of, to whom, and whether people take things again.

Only looks strictly before `as_of`. Never writes a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.recommend.settings import Recommend

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The last stretch of the events, on which taking again is measured: a tenth of their span.
_STRETCH_SHARE = 0.1
_LONGEST_STRETCH = timedelta(days=30)
_VERSION = (
    "title", "categories", "tags", "attributes", "published_at", "available", "valid_to",
)  # fmt: skip


def items_at(
    items: DataFrame, events: DataFrame, as_of: datetime, settings: Recommend
) -> DataFrame:
    """Every item known at `as_of`, and whether it may be recommended.

    An item may be if its version valid just before `as_of` says that it is available and it was
    published, or touched, by then; so may an item that was touched and has no version. What
    `recommend.block` names may not, nor what `recommend.allow` (where given) doesn't name, nor
    what was published, or first touched, longer than `recommend.max_age` ago.

    Parameters
    ----------
    items : versions, columns of the table `items`.
    events : item_id, event_ts; all strictly before `as_of`.

    Returns
    -------
    DataFrame of item_id, title, categories, tags, attributes, published_at, eligible: one row an
    item. Of an item that may not be recommended the title is still wanted, since it may be cited
    as a reason.
    """
    versions = (
        items.where(F.col("valid_from") < F.lit(as_of))
        .groupBy("item_id")
        .agg(F.max_by(F.struct(*_VERSION), "valid_from").alias("version"))
    )
    touched = (
        events.where(F.col("item_id").isNotNull())
        .groupBy("item_id")
        .agg(F.min("event_ts").alias("first_ts"))
    )
    known = versions.join(touched, on="item_id", how="full")
    return known.select(
        "item_id",
        *(F.col(f"version.{name}") for name in _VERSION[:5]),
        (_may_be_shown(as_of) & _is_wanted(as_of, settings)).alias("eligible"),
    )


def _is_wanted(as_of: datetime, settings: Recommend) -> Column:
    """By the lists and the age that the configuration asks for."""
    wanted = ~F.col("item_id").isin(list(settings.block))
    if settings.allow is not None:
        wanted = wanted & F.col("item_id").isin(list(settings.allow))
    if settings.max_age is not None:
        since = F.least(F.col("version.published_at"), F.col("first_ts"))
        is_young = since >= F.lit(as_of - settings.max_age)
        wanted = wanted & F.coalesce(is_young, F.lit(False))
    return wanted


def eligible_items(known: DataFrame) -> DataFrame:
    """The rows of `items_at` that may be recommended: item_id, categories."""
    return known.where("eligible").select("item_id", "categories")


def users_to_score(
    users: DataFrame, events: DataFrame, as_of: datetime, settings: Recommend
) -> DataFrame:
    """The users who get a slate: everybody known at `as_of`, cold ones included.

    Parameters
    ----------
    users : user_id, first_seen (empty: known always).
    events : user_id, event_ts; all strictly before `as_of`. Only looked at where
        `recommend.users` asks for activity within a stretch before `as_of`.

    Returns
    -------
    DataFrame of user_id.
    """
    known = users.where(F.col("first_seen").isNull() | (F.col("first_seen") < F.lit(as_of))).select(
        "user_id"
    )
    if settings.users == "all":
        return known
    since = F.lit(as_of - settings.users.active_within)
    active = events.where(F.col("event_ts") >= since).select("user_id")
    return known.join(active, on="user_id", how="left_semi")


@dataclass(frozen=True)
class Repeats:
    """Whether slates may hold what their user already had.

    Attributes
    ----------
    allowed : the decision.
    share : the figure behind it, 0 to 1; None where the configuration decides, or where nobody
        known took anything in the last stretch.
    """

    allowed: bool
    share: float | None


def repeat_allowed(events: DataFrame, as_of: datetime, settings: Recommend) -> Repeats:
    """Decide `recommend.repeat`; where it is `auto`, by what people did before `as_of`.

    The last stretch is the last tenth of the time from the first event to `as_of`, 30 days at
    most. The share is, of the distinct (user, item) taken in it by users known before it, the
    part that those users had already before it. Weights at or below 0 take nothing.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.

    Notes
    -----
    Where it has to look, it runs two jobs, each of which returns one row to the driver.
    """
    if settings.repeat != "auto":
        return Repeats(settings.repeat == "allow", None)
    taken = events.where(F.col("item_id").isNotNull() & (F.col("weight") > 0))
    first = taken.agg(F.min(F.unix_micros("event_ts")).alias("first")).first()
    if first is None or first["first"] is None:
        return Repeats(False, None)
    span = (as_of - _EPOCH) - first["first"] * _MICROSECOND
    share = _taken_again(taken, as_of - min(span * _STRETCH_SHARE, _LONGEST_STRETCH))
    return Repeats(share is not None and share >= settings.repeat_threshold, share)


def _taken_again(taken: DataFrame, start: datetime) -> float | None:
    earliest, latest = F.min("event_ts"), F.max("event_ts")
    pairs = taken.groupBy("user_id", "item_id").agg(
        (earliest < F.lit(start)).alias("before"), (latest >= F.lit(start)).alias("within")
    )
    users = pairs.groupBy("user_id").agg(
        F.bool_or("before").alias("known"),
        F.count_if("within").alias("within"),
        F.count_if(F.col("within") & F.col("before")).alias("again"),
    )
    sums = users.where("known").agg(F.sum("within").alias("within"), F.sum("again").alias("again"))
    row = sums.first()
    return float(row["again"] / row["within"]) if row and row["within"] else None


def _may_be_shown(as_of: datetime) -> Column:
    version = F.col("version")
    is_touched = F.col("first_ts").isNotNull()
    holds = version["valid_to"].isNull() | (version["valid_to"] >= F.lit(as_of))
    published_at = version["published_at"]
    is_out = published_at.isNull() | (published_at < F.lit(as_of)) | is_touched
    # Without a version an item is known from its events alone.
    return F.when(version.isNull(), F.lit(True)).otherwise(
        F.coalesce(version["available"], F.lit(True)) & holds & is_out
    )
