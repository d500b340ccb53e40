"""The box that decides what slates are ranked by: chosen on label windows before as_of, or kept.

A choice holds for `recommend.choose.every`: nights in between rank by the weights of the latest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import functions as F

from ebb.boxes.inputs import versions
from ebb.boxes.windows import Window, view_in, windows_before
from ebb.context import Night
from ebb.durations import format_duration
from ebb.interests.counted import counted
from ebb.recommend.choose import BLEND, Choice, Tried, choose
from ebb.recommend.defaults import default_weights
from ebb.recommend.eligible import repeat_allowed
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives, half_lives_for
from ebb.schema import CHOICES, EVENTS, ITEMS
from ebb.steps import COMPLETE, RunLog, StepRun, logged, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

SECTIONS = ("events", "items", "train", "recommend")
_STEP = "choose"


@dataclass(frozen=True)
class Decision:
    """What slates are ranked by, and how that came about.

    Attributes
    ----------
    as_of : of the night that decided. version : of its commit of `choices`.
    """

    as_of: datetime
    version: int
    strategy: str
    weights: Mapping[str, float]
    columns: Columns

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
                facts = stamp.facts
                columns = Columns(
                    HalfLives.from_facts(facts["half_lives"]),
                    tuple(facts["facets"]),
                    facts["repeat"],
                )
                return Decision(
                    stamp.as_of, commit.version, facts["strategy"], facts["weights"], columns
                )
        return None


def choose_strategy(night: Night, log: RunLog) -> tuple[Decision, bool]:
    """The decision that holds for the night, and whether it was made just now."""
    known = Decision.of(night)
    if known is not None and not (night.rerun and known.as_of == night.as_of):
        said = COMPLETE if known.as_of == night.as_of else f"kept from {known.as_of:%Y-%m-%d}"
        night.progress.say(f"{_STEP} … {said}: {known.strategy}")
        return known, False
    stamp = stamp_for(night, _STEP, SECTIONS, versions(night, EVENTS, ITEMS))
    why = "rebuilt, as --rerun asks" if known else "no choice holds for this as_of yet"
    logged(night, log, stamp, why, lambda: _decide(night, stamp))
    made = Decision.of(night)
    if made is None:
        raise RuntimeError("a choice was made and can't be found")
    return made, True


def _decide(night: Night, stamp: Stamp) -> StepRun:
    tables, recommend = night.tables, night.config.recommend
    with stored(counted(tables.read(EVENTS), night.config.events, night.as_of)) as known:
        first = known.agg(F.min("event_ts").alias("first")).first()
        repeats = repeat_allowed(known, night.as_of, recommend)
    found = first["first"] if first else None
    since = found.astimezone(UTC) if found else night.as_of - timedelta(days=1)
    lives = half_lives_for(night.as_of - since, recommend.half_lives)
    columns = Columns(lives, night.config.affinity_facets, repeats.allowed)
    windows = windows_before(night.as_of, since, lives, recommend)
    choice, remark = _choice(night, columns, windows)
    facts = {
        **stamp.facts,
        "strategy": choice.chosen.strategy,
        "weights": dict(choice.chosen.weights),
        "half_lives": lives.to_facts(),
        "facets": list(columns.facets),
        "repeat": repeats.allowed,
        "repeat_share": repeats.share,
    }
    rows = night.spark.createDataFrame(
        [
            (night.as_of, tried.strategy, tried is choice.chosen, tried.ndcg, tried.users,
             dict(tried.weights))
            for tried in choice.tried
        ],
        CHOICES.schema,
    )  # fmt: skip
    made = Stamp(stamp.step, stamp.as_of, stamp.config, stamp.inputs, facts)
    commit = tables.write_slice(CHOICES, rows.coalesce(1), made)
    shown = "allowed" if repeats.allowed else "left out"
    why = f" ({repeats.share:.0%} of recent takes were)" if repeats.share is not None else ""
    return StepRun({"choices": commit.rows_written}, f"{remark}; repeats are {shown}{why}")


def _choice(night: Night, columns: Columns, windows: list[Window]) -> tuple[Choice, str]:
    """The choice, and how it was made in words."""
    recommend = night.config.recommend
    if recommend.weights is not None:
        return _pinned(BLEND, recommend.weights), "weights as configured"
    views = [view_in(night, columns, window) for window in windows]
    n, penalty = recommend.n, recommend.choose.penalty
    found = choose(views, columns.features, n, penalty) if views else None
    if found is None:
        strategy = BLEND if recommend.strategy == "auto" else recommend.strategy
        weights = default_weights(strategy, columns)
        return _pinned(strategy, weights), f"{strategy}, by default: too little data to choose by"
    if recommend.strategy != "auto":
        pinned = found.of(recommend.strategy)
        chosen = pinned or Tried(
            recommend.strategy, default_weights(recommend.strategy, columns), 0.0, 0
        )
        others = tuple(tried for tried in found.tried if tried is not pinned)
        found = Choice(chosen, (chosen, *others))
    chosen = found.chosen
    plain = found.of("popularity_flat")
    beside = f", plain popularity {plain.ndcg or 0.0:.4f}" if plain else ""
    horizon = format_duration(windows[0].until - windows[0].as_of)
    return found, (
        f"{chosen.strategy}: ndcg@{n} {chosen.ndcg or 0.0:.4f}{beside}, over "
        f"{chosen.users:,} users; {len(windows)} windows of {horizon}"
    )


def _pinned(strategy: str, weights: Mapping[str, float]) -> Choice:
    only = Tried(strategy, weights, None, 0)
    return Choice(only, (only,))
