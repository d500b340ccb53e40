"""The box that decides what slates are ranked by: chosen on label windows before as_of, or kept.

A choice holds for `recommend.choose.every`: nights in between rank by the weights of the latest,
unless inputs drifted or slates suddenly did worse (`watch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import functions as F

from ebb.boxes.inputs import versions
from ebb.boxes.ranker import (
    ranker_beside,
    register,
    settings_of,
    write_examples,
    written_examples,
)
from ebb.boxes.tracked import tracked_contest
from ebb.boxes.watch import drifted_at
from ebb.boxes.windows import seen_at, windows_before
from ebb.context import Night
from ebb.durations import format_duration, format_instant
from ebb.errors import RunError
from ebb.evaluate.splits import Split
from ebb.interests.counted import counted
from ebb.ranker.contest import RANKER
from ebb.recommend.choose import BLEND, Choice, Tried, choose
from ebb.recommend.defaults import default_weights
from ebb.recommend.eligible import Repeats, repeat_allowed
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives, half_lives_for
from ebb.recommend.views import View
from ebb.schema import CHOICES, EVENTS, ITEMS
from ebb.steps import COMPLETE, RunLog, StepRun, logged, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp
from ebb.tracking import track

SECTIONS = ("events", "items", "train", "language", "recommend")
_STEP = "choose"


@dataclass(frozen=True)
class Decision:
    """What slates are ranked by, and how that came about.

    Attributes
    ----------
    as_of : of the night that decided. version : of its commit of `choices`.
    ranker : the version in `rankers` whose trees go on top of the weights; None is none.
    """

    as_of: datetime
    version: int
    strategy: str
    weights: Mapping[str, float]
    columns: Columns
    ranker: str | None = None

    @staticmethod
    def of(night: Night) -> Decision | None:
        """The latest decision that holds for the night under its configuration, if any."""
        wanted = night.config.fingerprint(*SECTIONS)
        since = night.as_of - night.config.recommend.choose.every
        for commit in night.tables.newest_first(CHOICES):
            stamp = commit.stamp
            if stamp is None or stamp.step != _STEP or stamp.as_of is None:
                continue
            if since < stamp.as_of <= night.as_of and stamp.config == wanted:
                if stamp.as_of < night.as_of and _must_choose_anew(night):
                    return None
                facts = stamp.facts
                columns = Columns(
                    HalfLives.from_facts(facts["half_lives"]),
                    tuple(facts["facets"]),
                    tuple(facts["models"]),
                    facts["repeat"],
                    facts.get("shown", False),
                    tuple(facts.get("numbers", ())),
                    tuple(facts.get("context", ())),
                )
                return Decision(
                    stamp.as_of,
                    commit.version,
                    facts["strategy"],
                    facts["weights"],
                    columns,
                    facts.get("ranker"),
                )
        return None

    @staticmethod
    def required(night: Night) -> Decision:
        """The same.

        Raises
        ------
        RunError
            When no decision holds.
        """
        known = Decision.of(night)
        if known is None:
            as_of = format_instant(night.as_of)
            raise RunError(
                f"there is no choice as of {as_of} under {night.tables.root}; "
                f"run: ./spark-submit.sh train --as-of {as_of}"
            )
        return known


def choose_strategy(night: Night, log: RunLog) -> tuple[Decision, bool]:
    """The decision that holds for the night, and whether it was made just now."""
    known = Decision.of(night)
    if known is not None and not (night.rerun and known.as_of == night.as_of):
        said = COMPLETE if known.as_of == night.as_of else f"kept from {known.as_of:%Y-%m-%d}"
        night.progress.say(f"{_STEP} … {said}: {known.strategy}")
        return known, False
    stamp = stamp_for(night, _STEP, SECTIONS, versions(night, EVENTS, ITEMS))
    why = "rebuilt, as --rerun asks" if known else "no choice holds for this as_of yet"
    if known is None and _must_choose_anew(night):
        why = f"no choice before holds, since these drifted: {', '.join(drifted_at(night))}"
    logged(night, log, stamp, why, lambda: _decide(night, stamp))
    made = Decision.of(night)
    if made is None:
        raise RuntimeError("a choice was made and can't be found")
    return made, True


@dataclass(frozen=True)
class Grounds:
    """What a choice is made on: which features there are, and which label windows.

    Attributes
    ----------
    first : the first event known at the as_of.
    further : windows before `windows`, that the ranker alone is fitted on.
    """

    columns: Columns
    windows: list[Split]
    further: list[Split]
    repeats: Repeats
    first: datetime


def grounds_at(night: Night) -> Grounds:
    """What the night's choice is to be made on; runs jobs over the events known at its as_of."""
    with stored(counted(night.tables.read(EVENTS), night.config.events, night.as_of)) as known:
        row = known.agg(F.min("event_ts").alias("first")).first()
        repeats = repeat_allowed(known, night.as_of, night.config.recommend)
    found = row["first"] if row else None
    first = found.astimezone(UTC) if found else night.as_of - timedelta(days=1)
    return grounds_on(night, first, repeats)


def grounds_on(night: Night, first: datetime, repeats: Repeats) -> Grounds:
    """The same from what is known of the events, under the night's configuration."""
    config, recommend = night.config, night.config.recommend
    lives = half_lives_for(night.as_of - first, recommend.half_lives)
    columns = Columns(
        lives,
        config.affinity_facets,
        config.models,
        repeats.allowed,
        bool(config.events.shown),
        recommend.numbers or (),
        recommend.context or (),
    )
    nights, ranker = recommend.choose.nights, settings_of(night)
    most = max(nights, ranker.windows) if ranker else nights
    windows = windows_before(night.as_of, first, lives, recommend, most)
    return Grounds(columns, windows[:nights], windows[nights:], repeats, first)


def choice_on(night: Night, grounds: Grounds, views: list[View]) -> tuple[Choice, str]:
    """The choice, and how it was made in words.

    Parameters
    ----------
    views : of the windows, the latest first; empty where weights are pinned.
    """
    recommend = night.config.recommend
    if recommend.weights is not None:
        return _pinned(BLEND, recommend.weights), "weights as configured"
    n, penalty = recommend.n, recommend.choose.penalty
    found = choose(views, grounds.columns.features, n, penalty) if views else None
    # Without a ranker yet it is the blend that the ranker would stand on.
    pinned = BLEND if recommend.strategy == RANKER else recommend.strategy
    if found is None:
        strategy = BLEND if pinned == "auto" else pinned
        weights = default_weights(strategy, grounds.columns)
        return _pinned(strategy, weights), f"{strategy}, by default: too little data to choose by"
    if pinned != "auto":
        found = found.pinned_to(pinned, default_weights(pinned, grounds.columns))
    chosen, plain = found.chosen, found.of("popularity_flat")
    beside = f", plain popularity {plain.ndcg or 0.0:.4f}" if plain else ""
    horizon = format_duration(grounds.windows[0].until - grounds.windows[0].as_of)
    return found, (
        f"{chosen.strategy}: ndcg@{n} {chosen.ndcg or 0.0:.4f}{beside}, over "
        f"{chosen.users:,} users; {len(grounds.windows)} windows of {horizon}"
    )


def _must_choose_anew(night: Night) -> bool:
    """Whether what the night's watch found leaves no earlier choice standing."""
    return night.config.recommend.choose.on_drift and bool(drifted_at(night))


def _decide(night: Night, stamp: Stamp) -> StepRun:
    grounds = grounds_at(night)
    columns, repeats = grounds.columns, grounds.repeats
    views = _views(night, grounds, stamp)
    choice, remark = choice_on(night, grounds, views[: len(grounds.windows)])
    facts = {
        "half_lives": columns.half_lives.to_facts(),
        "facets": list(columns.facets),
        "models": list(columns.models),
        "repeat": repeats.allowed,
        "shown": columns.shown,
        "numbers": list(columns.numbers),
        "context": list(columns.context),
        "repeat_share": repeats.share,
    }
    version = None
    if (ranker := settings_of(night)) is not None:
        choice, found, said = ranker_beside(night, views, choice, written_examples(night))
        remark += f"; {said}"
        if found is not None:
            version = register(night, found, stamp, facts)
            track(night, tracked_contest(ranker, found, version))
    chosen = choice.chosen
    facts = {
        **stamp.facts,
        **facts,
        "strategy": chosen.strategy,
        "weights": dict(chosen.weights),
        "ranker": version if chosen.strategy == RANKER else None,
    }
    rows = [
        (night.as_of, t.strategy, t is choice.chosen, t.ndcg, t.users, dict(t.weights))
        for t in choice.tried
    ]
    listed = night.spark.createDataFrame(rows, CHOICES.schema).coalesce(1)
    made = Stamp(stamp.step, stamp.as_of, stamp.config, stamp.inputs, facts)
    commit = night.tables.write_slice(CHOICES, listed, made)
    shown = "allowed" if repeats.allowed else "left out"
    why = f" ({repeats.share:.0%} of recent takes were)" if repeats.share is not None else ""
    return StepRun({"choices": commit.rows_written}, f"{remark}; repeats are {shown}{why}")


def _views(night: Night, grounds: Grounds, stamp: Stamp) -> list[View]:
    """The views of all windows that the choice needs, the latest first; for the ranker, training
    sets are written on the way, so that each window's models are fitted once."""
    settings, ranker = night.config.recommend, settings_of(night)
    if settings.weights is not None:
        return []
    views = []
    for place, window in enumerate([*grounds.windows, *grounds.further]):
        with seen_at(night, grounds.columns.half_lives, window) as seen:
            outlook = seen.outlook(grounds.columns)
            views.append(outlook.view(settings.choose.users))
            if ranker is not None:
                write_examples(outlook, ranker, stamp, is_first=place == 0)
    return views


def _pinned(strategy: str, weights: Mapping[str, float]) -> Choice:
    only = Tried(strategy, weights, None, 0)
    return Choice(only, (only,))
