"""Everything that slates and views of one as_of are made from, gathered and shipped once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.recommend.contexts import items_by_context, latest_contexts
from ebb.recommend.features import Columns
from ebb.recommend.gather import gather, items_side, mean_weight, places_of, ship_catalogue
from ebb.recommend.impressions import items_tried, passed_over
from ebb.recommend.pasts import past_rows
from ebb.recommend.scoring import Plan
from ebb.recommend.views import SCHEMA, View, as_view, view_batches
from ebb.sequences.asked import Asked
from ebb.storage import stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Prepared:
    """A catalogue on every executor, and the plan to score by.

    Attributes
    ----------
    name : of the shipped catalogue. table : the same, on the driver.
    places : item_id, place, eligible.
    passed : user_id, item_id, passed: what users were shown and haven't taken since; None where it
        isn't known, or doesn't count.
    network : says what it foresees of users; None where there is none.
    """

    as_of: datetime
    name: str
    table: pa.Table
    places: DataFrame
    plan: Plan
    passed: DataFrame | None = None
    network: Asked | None = None

    def contexts(self, events: DataFrame) -> DataFrame | None:
        """The latest context of the users of some events, if trees look at it."""
        keys = self.plan.columns.context
        return latest_contexts(events, keys) if keys else None

    def foreseen(self, events: DataFrame) -> DataFrame | None:
        """What the network foresees of the users of some events, if there is one."""
        return None if self.network is None else self.network.foreseen(events, self.as_of)


def prepare(
    events: DataFrame,
    items: DataFrame,
    item_weights: DataFrame | None,
    item_factors: DataFrame | None,
    as_of: datetime,
    columns: Columns,
    config: Config,
    shown: DataFrame | None = None,
    *,
    network: bytes | None = None,
    tries_by_shown: bool = False,
) -> Prepared:
    """Gather the item side and ship it; runs jobs.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight, and context where `columns` has its keys; all
        strictly before `as_of`.
    items : of `eligible.items_at`.
    item_weights, item_factors : of `models.fit.FittedModels`, or from their tables.
    shown : of `impressions.shown_between`, all strictly before `as_of`.
    network : of `models.fit.FittedModels`; needs event_id and event_type in `events`.
    tries_by_shown : items are tried out by what came of showing them (`Explore.method` thompson).
    """
    recommend, als = config.recommend, config.train.als
    mean = mean_weight(events)
    side = items_side(items, events, as_of, columns.half_lives, mean)
    passed, tried, scale = None, None, columns.half_lives.scale
    if columns.shown and shown is not None:
        passed = passed_over(shown, events, as_of, scale)
        tried = items_tried(shown, events, as_of, scale) if tries_by_shown else None
    with ExitStack() as kept:
        contexts = None
        if columns.context:
            contexts = items_by_context(events, columns.context, as_of, scale)
            contexts = kept.enter_context(stored(contexts))
        models = (item_weights, item_factors)
        table = gather(side, columns, *models, recommend.memory_mb, tried, contexts)
    plan = Plan(
        columns=columns,
        n=recommend.n,
        as_of=(as_of - _EPOCH) // timedelta(microseconds=1),
        candidates=recommend.candidates,
        mean_weight=mean,
        alpha=als.alpha,
        regularization=als.regularization,
        floor=als.floor,
    )
    spark = events.sparkSession
    name = ship_catalogue(spark.sparkContext, table)
    asked = Asked.of(spark, network, table.column("id")) if network is not None else None
    return Prepared(as_of, name, table, places_of(spark, table), plan, passed, asked)


@contextmanager
def view_rows(
    prepared: Prepared,
    events: DataFrame,
    labels: DataFrame,
    most_users: int,
    negatives: int | None = None,
    shown: DataFrame | None = None,
) -> Iterator[DataFrame]:
    """Candidates of users with labels: `most_users` of them, the first by a hash of their id.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before the as_of.
    labels : user_id, item_id, distinct; those don't count that nobody could have foreseen: of
        people unknown at the as_of, and on items that could not have been recommended then.
    negatives : at most so many candidates of a user that they didn't take; None is all.
    shown : user_id, item_id, distinct: what users were shown in the label window.

    Yields
    ------
    DataFrame of `views.SCHEMA`, for as long as the `with` lasts. Lazy.
    """
    known = F.broadcast(prepared.places.where("eligible").select("item_id"))
    reachable = labels.join(known, on="item_id", how="left_semi").join(
        events.select("user_id").distinct(), on="user_id", how="left_semi"
    )
    users = reachable.select("user_id").distinct()
    chosen = users.orderBy(F.xxhash64("user_id"), "user_id").limit(most_users)
    with stored(chosen) as kept:

        def theirs(rows: DataFrame) -> DataFrame:
            return rows.join(F.broadcast(kept), on="user_id", how="left_semi")

        passed, own = prepared.passed, theirs(events)
        rows = past_rows(
            own,
            kept,
            prepared.places,
            prepared.as_of,
            prepared.plan.columns.half_lives,
            passed=None if passed is None else theirs(passed),
            labels=theirs(reachable),
            shown_then=None if shown is None else theirs(shown),
            contexts=prepared.contexts(own),
            foreseen=prepared.foreseen(own),
        )
        yield rows.mapInArrow(
            partial(view_batches, prepared.name, prepared.plan, negatives), SCHEMA
        )


def view_of(
    prepared: Prepared,
    events: DataFrame,
    labels: DataFrame,
    until: datetime,
    most_users: int,
    shown: DataFrame | None = None,
) -> View:
    """The view of some users with labels; parameters as of `view_rows`. Runs jobs."""
    with view_rows(prepared, events, labels, most_users, shown=shown) as rows:
        table = rows.toArrow()
    columns = prepared.plan.columns
    return as_view(table, columns, prepared.table.column("id"), prepared.as_of, until)
