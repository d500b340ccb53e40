"""The box that learns how fast people forget: half-lives, curves, and how well they foresee."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.inputs import counted_events, versions
from ebb.boxes.labels import items_in, labels_made, sections_of_keys
from ebb.config import Config
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.forgetting.comparison import Comparison
from ebb.forgetting.curve import Part, learn_curve
from ebb.forgetting.fits import STEP, fits_of, held_at
from ebb.forgetting.forgetters import MODELS
from ebb.forgetting.learn import Learned, Stretch, learn_half_lives
from ebb.forgetting.settings import Forgetting
from ebb.recommend.half_lives import nearest_scale
from ebb.schema import EVENTS, FORGETTING_CURVES, FORGETTING_FITS, HALF_LIVES, ITEMS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

_SECTIONS = ("events", "items", "interests", "forgetting")


def forgetting_when_due(night: Night, log: RunLog) -> Outcome | None:
    """Learn where the configuration says so and what was learned last is old enough."""
    settings = night.config.forgetting
    if settings is None:
        return None
    last = _last(night)
    if last is not None and last < night.as_of < last + settings.every:
        night.progress.say(f"{STEP} … kept from {last:%Y-%m-%d}")
        return None
    return learn_forgetting(night, log)


def learn_forgetting(night: Night, log: RunLog) -> Outcome:
    """Learn half-lives and curves of every facet from what is known at the night's as_of."""
    settings = night.config.forgetting or Forgetting()

    def work(stamp: Stamp) -> StepRun:
        with ExitStack() as stack:
            return _work(night, settings, stamp, stack)

    inputs = {**versions(night, EVENTS, ITEMS), **labels_made(night, night.config.facets)}
    stamp = stamp_for(night, STEP, (*_SECTIONS, *sections_of_keys(night)), inputs)
    interests = night.config.interests
    # A frozen night's interests stay as they were, so what they decay by has to.
    is_frozen = bool(interests.by_own) and interests.late == "frozen"
    return run_step(night, log, FORGETTING_FITS, stamp, work, published=is_frozen)


def half_lives_held(night: Night) -> dict[str, int]:
    """The version of `half_lives` that the night's interests go by, by its name; none where no
    measure does, or nothing was learned yet."""
    fit = None
    if night.config.interests.by_own:
        fit = held_at(fits_of(night.tables.newest_first(HALF_LIVES)), night.as_of)
    return {HALF_LIVES.name: fit.version} if fit else {}


def _work(night: Night, settings: Forgetting, stamp: Stamp, stack: ExitStack) -> StepRun:
    tables, as_of = night.tables, night.as_of
    events = stack.enter_context(stored(counted_events(night)))
    known = versions_at(items_in(night, night.config.facets, as_of), as_of)
    items = stack.enter_context(stored(known))
    stretch = _stretch(events, settings, as_of)
    lives = tables.spark.createDataFrame([], HALF_LIVES.schema)
    curves: list[tuple[object, ...]] = []
    fits: list[tuple[object, ...]] = []
    tuned: dict[str, float] = {}
    for facet in night.config.facets:
        learned = learn_half_lives(events, items, facet, stretch, settings)
        if learned is None:
            continue
        tuned[facet] = learned.tuned
        rows = stack.enter_context(stored(learned.rows))
        lives = lives.unionByName(_lives(rows, facet, as_of))
        fits += [(as_of, facet, *fit) for fit in _fits(rows, learned)]
        kinds = coming_types(night.config)
        parts = learn_curve(events, items, facet, kinds, stretch, learned.tuned)
        curves += [(as_of, facet, *_values(part)) for part in parts]
    with_tuned = replace(stamp, facts={**stamp.facts, "tuned": tuned})
    written = tables.write_slice(HALF_LIVES, lives, with_tuned).rows_written
    spark = tables.spark
    tables.write_slice(
        FORGETTING_CURVES, spark.createDataFrame(curves, FORGETTING_CURVES.schema), stamp
    )
    # The fits come last: their commit says that all three are there.
    tables.write_slice(FORGETTING_FITS, spark.createDataFrame(fits, FORGETTING_FITS.schema), stamp)
    return StepRun(
        {"half_lives": written}, f"{written:,} half-lives, {len(curves)} parts of curves"
    )


def coming_types(config: Config) -> tuple[str, ...]:
    """Event types that count for a key."""
    types = config.events.types.items()
    return tuple(name for name, t in types if t.effect == "add" and t.weight > 0 and not t.itemless)


def _stretch(events: DataFrame, settings: Forgetting, as_of: datetime) -> Stretch:
    found = events.agg(F.min("event_ts")).collect()[0][0]
    first = found.astimezone(UTC) if found else as_of - timedelta(days=1)
    return Stretch(first, as_of, settings.horizon or nearest_scale(as_of - first))


def _lives(rows: DataFrame, facet: str, as_of: datetime) -> DataFrame:
    return rows.select(
        F.lit(as_of).alias("as_of"),
        "user_id",
        F.lit(facet).alias("facet"),
        "half_life_days",
        "deviation",
        "returns",
        "source",
    )


def _fits(rows: DataFrame, learned: Learned) -> list[tuple[object, ...]]:
    """Of each model what follows as_of, facet in `forgetting_fits`."""
    tuned = {"global": learned.tuned}
    found = Comparison.of(rows)
    if not found.count:
        return [(m, None, None, None, None, 0, None, tuned.get(m)) for m in MODELS]
    fits: list[tuple[object, ...]] = []
    for model in MODELS:
        ahead = found.ahead(model)
        figures = (found.per_return(model), float(ahead.value), ahead.low, ahead.high)
        fits.append((model, *figures, found.count, found.total(model), tuned.get(model)))
    return fits


def _values(part: Part) -> tuple[object, ...]:
    return part.event_type, part.half_life_days, part.weight, part.strength


def _last(night: Night) -> datetime | None:
    """The latest as_of up to the night's that was learned at, under the same configuration."""
    wanted = night.config.fingerprint(*_SECTIONS, *sections_of_keys(night))
    for commit in night.tables.newest_first(FORGETTING_FITS):
        stamp = commit.stamp
        if stamp is None or stamp.step != STEP or stamp.as_of is None:
            continue
        if stamp.as_of <= night.as_of and stamp.config == wanted:
            return stamp.as_of
    return None
