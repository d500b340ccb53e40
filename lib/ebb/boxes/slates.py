"""The boxes that write everybody's slates, and the hot list."""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.arms import Dealt, slates_by_arm
from ebb.boxes.choose import SECTIONS, Decision
from ebb.boxes.inputs import counted_events, made_by, versions
from ebb.boxes.labels import items_in, labels_made
from ebb.boxes.ranker import shipped_ranker
from ebb.boxes.sequences import foreseen_of, network_of
from ebb.boxes.vectors import version_made, with_vectors
from ebb.context import Night
from ebb.recommend.eligible import eligible_items, items_at, users_to_score
from ebb.recommend.hot_list import default_slate, hot_list
from ebb.recommend.impressions import shown_between
from ebb.recommend.prepare import Prepared, prepare
from ebb.recommend.slates import Ranking
from ebb.schema import (
    EVENTS,
    HOT_LIST,
    ITEM_FACTORS,
    ITEM_WEIGHTS,
    ITEMS,
    MODELS,
    RECOMMENDATIONS,
    USERS,
)
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

_RECOMMEND = (*SECTIONS, "users")
_HOT_LIST = (*SECTIONS, "hot_list")


def recommend(night: Night, log: RunLog, decision: Decision) -> Outcome:
    """Write the slates of everybody known at the night's as_of."""
    tables, settings = night.tables, night.config.recommend
    inputs = versions(night, EVENTS, ITEMS, USERS)
    inputs |= {"models": made_by(night, MODELS, "train").version, "choices": decision.version}
    inputs |= version_made(night) | labels_made(night, night.config.affinity_facets)

    def work(stamp: Stamp) -> StepRun:
        with stored(counted_events(night)) as events:
            return slates_of(events, stamp)

    def slates_of(events: DataFrame, stamp: Stamp) -> StepRun:
        version = tables.read_slice(MODELS, night.as_of).agg(F.max("version")).first()
        ranking = replace(ranking_of(night, decision), explore=settings.explore)
        side = prepared(night, events, decision)
        users = users_to_score(tables.read(USERS), events, night.as_of, settings)
        dealt = Dealt.of(night)
        facts = {
            **stamp.facts,
            "repeat": decision.columns.repeat,
            "strategy": decision.strategy,
            "weights": dict(decision.weights),
            "ranker": decision.ranker,
            "experiment": dealt.to_facts() if dealt else None,
            "explores": bool(settings.explorations),
        }
        with foreseen_of(night, side, events, users, stamp) as foreseen:
            slates = slates_by_arm(
                night,
                decision,
                side,
                events,
                users,
                ranking,
                (version[0] if version else None) or "none",
                foreseen,
            )
            commit = tables.write_slice(RECOMMENDATIONS, slates, replace(stamp, facts=facts))
        remark = f"{commit.rows_written:,} rows by {decision.strategy}"
        return StepRun({"recommendations": commit.rows_written}, remark)

    stamp = stamp_for(night, "recommend", _RECOMMEND, inputs)
    return run_step(night, log, RECOMMENDATIONS, stamp, work, published=True)


def ranking_of(night: Night, decision: Decision) -> Ranking:
    """By what the night's slates are ranked; brings the ranker's trees to the executors."""
    trees = shipped_ranker(night, decision.ranker)
    return Ranking(decision.weights, night.config.recommend.rerank, trees)


def prepared(night: Night, events: DataFrame, decision: Decision) -> Prepared:
    """The item side of the night, from its tables."""
    tables, config = night.tables, night.config
    items = _items(night, events)
    factors = tables.read_slice(ITEM_FACTORS, night.as_of).drop("as_of")
    shown = None
    if decision.columns.shown:
        shown = shown_between(tables.read(EVENTS), config.events, None, night.as_of)
    return prepare(
        events,
        items,
        tables.read_slice(ITEM_WEIGHTS, night.as_of).drop("as_of"),
        with_vectors(night, factors, night.as_of),
        night.as_of,
        decision.columns,
        config,
        shown,
        network=network_of(night),
        tries_by_shown=config.recommend.learns_from_shown,
    )


def write_hot_list(night: Night, log: RunLog, decision: Decision) -> Outcome:
    """Write what is popular, and the slate of somebody unknown."""
    tables, config = night.tables, night.config

    def work(stamp: Stamp) -> StepRun:
        with stored(counted_events(night)) as events:
            items = _items(night, events)
            hot = hot_list(events, eligible_items(items), night.as_of, config.hot_list)
            side = prepare(events, items, None, None, night.as_of, decision.columns, config)
            default = default_slate(side, ranking_of(night, decision))
            listed = hot.unionByName(default).withColumn("as_of", F.lit(night.as_of))
            commit = tables.write_slice(HOT_LIST, listed, stamp)
        return StepRun({"hot list": commit.rows_written}, f"{commit.rows_written:,} rows")

    inputs = {**versions(night, EVENTS, ITEMS), "choices": decision.version}
    stamp = stamp_for(night, "hot list", _HOT_LIST, inputs)
    return run_step(night, log, HOT_LIST, stamp, work, published=True)


def _items(night: Night, events: DataFrame) -> DataFrame:
    items = items_in(night, night.config.affinity_facets, night.as_of)
    return items_at(items, events, night.as_of, night.config.recommend)
