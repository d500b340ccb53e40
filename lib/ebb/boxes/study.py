"""The job `evaluate`: how every strategy would have done, on label windows before as_of.

At each as_of judged, the choice is made as a night would make it, on windows before that as_of; all
strategies are then held against what people took after it. Nothing from a label window reaches what
is judged on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, reduce

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.choose import SECTIONS, Grounds, choice_on, grounds_at
from ebb.boxes.evaluate import write_evaluations
from ebb.boxes.ranker import examples_of_views, ranker_beside, settings_of
from ebb.boxes.windows import view_in
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.evaluate.catalogue import catalogue_metrics
from ebb.evaluate.facts import Facts, audience_overlaps, item_users
from ebb.evaluate.significance import Interval, compare_models, test_set_hash
from ebb.evaluate.slates import labels_after, summarise, user_metrics
from ebb.evaluate.slices import activity_slices, category_slices
from ebb.evaluate.splits import Split, rolling_nights
from ebb.interests.counted import counted
from ebb.models.pairs import decayed_weight
from ebb.recommend.choose import Choice, Tried, ranked
from ebb.recommend.eligible import items_at
from ebb.recommend.features import Columns
from ebb.recommend.views import View
from ebb.schema import EVENTS, ITEMS
from ebb.steps import stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

# The window, the features and how many users at most.
ViewKey = tuple[Split, Columns, int]
Views = dict[ViewKey, View]
AUTO, PLAIN = "auto", "popularity_flat"
_ROWS = (
    "model string, metric string, slice string, value double, users long, ahead double, "
    "ahead_low double, ahead_high double"
)
_SLATES = "model string, user_id string, rank int, item_id string"


@dataclass(frozen=True)
class JudgedNight:
    """One as_of judged.

    Attributes
    ----------
    choice : made at it. metrics : model, metric, slice, value, users.
    users : model, user_id and the metrics of each user judged.
    test_set : hash of users and labels: figures on the same one can be compared.
    """

    window: Split
    choice: Choice
    columns: Columns
    remark: str
    metrics: pd.DataFrame
    users: pd.DataFrame
    test_set: str


@dataclass(frozen=True)
class Study:
    """Some nights judged, the latest first."""

    nights: list[JudgedNight]
    n: int

    @property
    def models(self) -> list[str]:
        """Those that were judged every night; `auto` first."""
        judged = [set(night.users["model"]) for night in self.nights]
        names = sorted(reduce(set.intersection, judged) - {AUTO})
        return [AUTO, *names]

    @cached_property
    def pooled(self) -> pd.DataFrame:
        """`users` of all nights, with their as_of."""
        return pd.concat([night.users.assign(as_of=night.window.as_of) for night in self.nights])

    def ahead(self, model: str, metric: str) -> Interval:
        """How far `auto` is ahead of a model in a metric, over all nights, drawn by users."""
        return compare_models(self.pooled, metric, AUTO, model)

    def mean(self, model: str, metric: str, of_slice: str = "all") -> float:
        """Mean of a metric over the nights, each night weighing the same."""
        values = []
        for night in self.nights:
            rows = night.metrics
            own = (rows["model"] == model) & (rows["metric"] == metric)
            values += rows.loc[own & (rows["slice"] == of_slice), "value"].tolist()
        return float(np.mean(values)) if values else float("nan")


def write_study(night: Night, found: Study) -> None:
    """Put a study into `evaluations`, a commit a night judged."""
    for judged in found.nights:
        rows = judged.metrics.assign(
            **dict.fromkeys(("ahead", "ahead_low", "ahead_high"), np.nan),
        )
        users = judged.users.assign(as_of=judged.window.as_of)
        for row, model, metric in rows[rows["slice"] == "all"][["model", "metric"]].itertuples():
            if metric in users.columns and model != AUTO:
                ahead = compare_models(users, metric, AUTO, model)
                figures = (ahead.value, ahead.low, ahead.high)
                rows.loc[row, ["ahead", "ahead_low", "ahead_high"]] = figures
        frame = night.spark.createDataFrame(rows.astype(object).where(rows.notna(), None), _ROWS)
        stamp = stamp_for(night, "study", (*SECTIONS, "evaluate"), {})
        made = Stamp(
            "study", judged.window.as_of, stamp.config, facts={"test_set": judged.test_set}
        )
        write_evaluations(night.tables, frame.coalesce(1), "study", made, judged.window.until)


def judged_windows(night: Night) -> list[Split]:
    """The label windows that are judged, the latest first, which ends at as_of."""
    settings = night.config.evaluate
    return rolling_nights(night.as_of - settings.horizon, settings.horizon, settings.nights)


def study(night: Night) -> Study:
    """Judge every strategy at the configured number of as_of before the night's.

    Raises
    ------
    RunError
        When the events don't reach back far enough for a single one.
    """
    views: Views = {}
    found = []
    for window in judged_windows(night):
        before = replace(night, as_of=window.as_of)
        with night.progress.step(f"judge {format_instant(before.as_of)}") as shown:
            grounds = grounds_at(before)
            if not window.has_past(grounds.first):
                shown.note("the events don't reach back far enough")
                break
            judged = _judged(before, grounds, window, views)
            shown.note(judged.remark)
            found.append(judged)
    if not found:
        raise RunError(
            f"evaluate: the events begin less than three label windows of evaluate.horizon before "
            f"{format_instant(night.as_of)}; shorten evaluate.horizon or name a later --as-of"
        )
    return Study(found, night.config.recommend.n)


@dataclass(frozen=True)
class Chosen:
    """The choice of an as_of, and the view of what people took after it.

    Attributes
    ----------
    models : what is judged, `auto` first.
    unranked : the choice without a ranker.
    """

    choice: Choice
    unranked: Choice
    remark: str
    models: Mapping[str, Tried]
    view: View


def views_needed(before: Night, grounds: Grounds, window: Split) -> list[ViewKey]:
    """What `chosen_at` looks at: the views of the choice, the latest first, then the window's."""
    recommend, columns = before.config.recommend, grounds.columns
    earlier = [*grounds.windows, *grounds.further] if recommend.weights is None else []
    return [
        *((one, columns, recommend.choose.users) for one in earlier),
        (window, columns, before.config.evaluate.users),
    ]


def chosen_at(before: Night, grounds: Grounds, window: Split, views: Views) -> Chosen:
    """Choose at the window's as_of, as a night does, and see what people took in the window.

    Parameters
    ----------
    before : the night at the window's as_of. views : those that are there; others are added.
    """
    keys, columns = views_needed(before, grounds, window), grounds.columns
    for of_window, _, users in (key for key in keys if key not in views):
        views[of_window, columns, users] = view_in(before, columns, of_window, users)
    *seen, view = (views[key] for key in keys)
    unranked, remark = choice_on(before, grounds, seen[: len(grounds.windows)])
    choice = unranked
    if (ranker := settings_of(before)) is not None:
        # From the same views, since no table of a night is a study's to write.
        examples = examples_of_views(before.spark, ranker)
        choice, _, said = ranker_beside(before, seen, unranked, examples)
        remark += f"; {said}"
    if not view.users:
        raise RunError(
            f"evaluate: nobody known at {format_instant(before.as_of)} took anything that could "
            f"have been recommended until {format_instant(window.until)}; lengthen evaluate.horizon"
        )
    models = {AUTO: choice.chosen, **{t.strategy: t for t in choice.tried}}
    if PLAIN in columns.names:
        models.setdefault(PLAIN, Tried(PLAIN, {PLAIN: 1.0}, None, 0))
    return Chosen(choice, unranked, remark, models, view)


def _judged(before: Night, grounds: Grounds, window: Split, views: Views) -> JudgedNight:
    """Choose at the window's as_of, and judge on what people took in it."""
    found, columns = chosen_at(before, grounds, window, views), grounds.columns
    ks = sorted({*before.config.evaluate.ks, before.config.recommend.n})
    slates = slates_of(found.view, found.models, max(ks))
    metrics, users, test_set = _measured(before, found.view, columns, slates, ks)
    return JudgedNight(window, found.choice, columns, found.remark, metrics, users, test_set)


def slates_of(view: View, models: Mapping[str, Tried], n: int) -> pd.DataFrame:
    """model, user_id, rank, item_id: the n best of a view's candidates under each model."""
    ids = view.ids.to_numpy(zero_copy_only=False)
    users = np.array(view.users, dtype=object)
    parts = []
    for model, own in models.items():
        order, rank = ranked(view, own.score(view))
        kept = order[rank < n]
        parts.append(
            pd.DataFrame(
                {
                    "model": model,
                    "user_id": users[view.user_of[kept]],
                    "rank": (rank[rank < n] + 1).astype(np.int32),
                    "item_id": ids[view.places[kept]],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _measured(
    before: Night, view: View, columns: Columns, slates: pd.DataFrame, ks: list[int]
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Metrics by model and slice, metrics by user, and the test set's hash."""
    config, tables, spark = before.config, before.tables, before.spark
    events = tables.read(EVENTS)
    users = spark.createDataFrame([(user,) for user in view.users], "user_id string")
    with stored(counted(events, config.events, view.as_of)) as known:
        items = items_at(tables.read(ITEMS), known, view.as_of, config.recommend)
        had = known.where(F.col("item_id").isNotNull()).select("user_id", "item_id").distinct()
        then = counted(events, config.events, view.until)
        labels = labels_after(then, view.as_of, view.until, None if columns.repeat else had)
        eligible = items.where("eligible").select("item_id")
        with (
            stored(items) as shelf,
            stored(spark.createDataFrame(slates, _SLATES)) as shown,
            stored(
                labels.join(F.broadcast(users), on="user_id", how="left_semi").join(
                    F.broadcast(eligible), on="item_id", how="left_semi"
                )
            ) as truth,
        ):
            shares = category_shares(known, shelf, users, view.as_of, columns)
            facts = Facts(
                categories=shelf.select("item_id", "categories"),
                popularity=item_users(had),
                known_users=max(1, had.select("user_id").distinct().count()),
                shares=shares,
                popular=shown.where(F.col("model") == PLAIN).drop("model"),
                overlaps=audience_overlaps(had, shown),
            )
            activity = known.join(F.broadcast(users), on="user_id", how="left_semi").groupBy(
                "user_id"
            )
            slices = activity_slices(activity.agg(F.count("*").alias("events"))).unionByName(
                category_slices(shares)
            )
            names = sorted(slates["model"].unique())
            with stored(user_metrics(shown, truth, ks, facts, names)) as by_user:
                whole = summarise(by_user, slices).unionByName(
                    catalogue_metrics(shown, eligible.count(), ks, names)
                )
                return whole.toPandas(), by_user.toPandas(), test_set_hash(truth)


def category_shares(
    known: DataFrame, items: DataFrame, users: DataFrame, as_of: datetime, columns: Columns
) -> DataFrame:
    """user_id, category, share: of the decayed weights, an item's split over its categories."""
    lives = [h for h in columns.half_lives.profile if h is not None]
    half_life = lives[-1] if lives else None
    own = known.join(F.broadcast(users), on="user_id", how="left_semi")
    size = F.size("categories").cast("double")
    mass = (
        own.join(items.select("item_id", "categories"), on="item_id", how="inner")
        .where(size > 0)
        .withColumn("mass", decayed_weight(as_of, half_life) / size)
        .select("user_id", F.explode("categories").alias("category"), "mass")
        .groupBy("user_id", "category")
        .agg(F.sum("mass").alias("mass"))
        .where(F.col("mass") > 0)
    )
    total = mass.groupBy("user_id").agg(F.sum("mass").alias("total"))
    return mass.join(total, on="user_id", how="inner").select(
        "user_id", "category", (F.col("mass") / F.col("total")).alias("share")
    )
