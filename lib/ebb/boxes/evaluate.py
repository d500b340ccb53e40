"""The box that judges the slates of an earlier night by what users then did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.arms import Dealt, judge_arms
from ebb.boxes.inputs import counted_events, versions
from ebb.context import Night
from ebb.durations import format_instant
from ebb.evaluate.shown import taken_of_shown
from ebb.evaluate.slates import evaluate_slates, labels_after
from ebb.evaluate.trials import WORTH, trial_places, worth_of_trials
from ebb.interests.counted import counted
from ebb.recommend.eligible import items_at, users_to_score
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import half_lives_for
from ebb.recommend.impressions import shown_between
from ebb.recommend.prepare import prepare
from ebb.recommend.slates import Ranking, make_slates
from ebb.schema import EVALUATIONS, EVENTS, ITEMS, RECOMMENDATIONS, USERS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Commit, Stamp, Tables

# Plain popularity decays nothing, so that any span will do.
_SPAN = timedelta(days=1)
_SECTIONS = ("events", "items", "users", "recommend", "evaluate")


def evaluate(night: Night, log: RunLog) -> Outcome | None:
    judged = _slates_before(night)
    if judged is None:
        night.progress.say("evaluate … no slates of an earlier as_of yet")
        return None
    return _evaluate_slates(replace(night, as_of=judged.as_of), log, judged, until=night.as_of)


@dataclass(frozen=True)
class _EarlierSlates:
    """Slates of a night before: their as_of, the version of their commit, whether they repeat, how
    users were dealt out to the arms of an experiment, and whether places tried things out."""

    as_of: datetime
    version: int
    repeat: bool
    dealt: Dealt | None
    explores: bool


def _slates_before(night: Night) -> _EarlierSlates | None:
    """The slates of the latest as_of before the night's."""
    best: _EarlierSlates | None = None
    for commit in night.tables.history(RECOMMENDATIONS):
        stamp = commit.stamp
        if stamp is None or stamp.as_of is None or stamp.as_of >= night.as_of:
            continue
        # History is newest first: of one as_of, the first met is the one that stands.
        if best is None or stamp.as_of > best.as_of:
            best = _EarlierSlates(
                stamp.as_of,
                commit.version,
                bool(stamp.facts.get("repeat")),
                Dealt.from_facts(stamp.facts.get("experiment")),
                bool(stamp.facts.get("explores")),
            )
    return best


def _evaluate_slates(
    before: Night, log: RunLog, judged: _EarlierSlates, until: datetime
) -> Outcome:
    """Judge the slates of `before`'s as_of, beside flat popularity's, by the label window."""
    tables, config = before.tables, before.config
    end = min(until, before.as_of + config.evaluate.horizon)

    def work(stamp: Stamp) -> StepRun:
        with stored(counted_events(before)) as known:
            found = items_at(tables.read(ITEMS), known, before.as_of, config.recommend)
            with stored(found) as items:
                return judge(known, items, stamp)

    def judge(known: DataFrame, items: DataFrame, stamp: Stamp) -> StepRun:
        users = users_to_score(tables.read(USERS), known, before.as_of, config.recommend)
        eligible = items.where("eligible").count()
        had = None if judged.repeat else known.select("user_id", "item_id").distinct()
        then = counted(tables.read(EVENTS), config.events, end)
        labels = labels_after(then, before.as_of, end, had)
        slates = tables.read_slice(RECOMMENDATIONS, before.as_of)
        with (
            stored(labels.join(users, on="user_id", how="left_semi")) as judged_by,
            stored(
                _popularity_slates(before, known, judged_by, items, repeat=judged.repeat)
            ) as plain,
        ):
            _write_beside(before, judged, slates, judged_by, stamp, end)
            models = {"ebb": slates, "popularity": plain}
            rows = _evaluation_rows(models, judged_by, config.recommend.n, eligible)
            if config.events.shown:
                shown = shown_between(tables.read(EVENTS), config.events, before.as_of, end)
                theirs = shown.join(users, on="user_id", how="left_semi")
                since = then.where(F.col("event_ts") >= F.lit(before.as_of))
                rows = rows.unionByName(taken_of_shown(theirs, since, slates))
            commit = write_evaluations(tables, rows, "published", stamp, end)
        return StepRun({"evaluations": commit.rows_written}, f"slates of {stamp.as_of:%Y-%m-%d}")

    inputs = {"recommendations": judged.version, **versions(replace(before, as_of=end), EVENTS)}
    stamp = stamp_for(before, "evaluate", _SECTIONS, inputs)
    return run_step(before, log, EVALUATIONS, stamp, work)


def _write_beside(
    before: Night,
    judged: _EarlierSlates,
    slates: DataFrame,
    labels: DataFrame,
    stamp: Stamp,
    until: datetime,
) -> None:
    """Judge the arms of an experiment, and the places that tried things out, where there were."""
    tables = before.tables
    if judged.dealt is not None:
        arms = judge_arms(slates, labels, judged.dealt, before.config.recommend.n)
        write_evaluations(tables, arms, "experiment", replace(stamp, step="arms"), until)
    if judged.explores:
        worth = worth_of_trials(trial_places(slates, labels))
        rows = before.spark.createDataFrame(worth, WORTH).coalesce(1)
        write_evaluations(tables, rows, "trials", replace(stamp, step="trials"), until)


def _popularity_slates(
    night: Night, events: DataFrame, labels: DataFrame, items: DataFrame, *, repeat: bool
) -> DataFrame:
    """What the users of some labels would have been shown by plain popularity, under the same
    rules."""
    config, users = night.config, labels.select("user_id").distinct()
    columns = Columns(half_lives_for(_SPAN, config.recommend.half_lives), (), (), repeat)
    prepared = prepare(events, items, None, None, night.as_of, columns, config)
    return make_slates(prepared, events, users, Ranking({"popularity_flat": 1.0}), "none")


def write_evaluations(
    tables: Tables, rows: DataFrame, of: str, stamp: Stamp, until: datetime
) -> Commit:
    """Replace the rows of one as_of and kind; columns that rows lack are empty.

    Parameters
    ----------
    rows : without as_of; without a slice they are of all users. until : end of the label window.
    """
    if stamp.as_of is None:
        raise ValueError("evaluations are kept by as_of: the stamp needs one")
    same = {"as_of": F.lit(stamp.as_of), "of": F.lit(of), "label_until": F.lit(until)}
    if "slice" not in rows.columns:
        same["slice"] = F.lit("all")
    given = rows.withColumns(same)
    missing = [f for f in EVALUATIONS.schema if f.name not in given.columns]
    whole = given.withColumns({f.name: F.lit(None).cast(f.dataType) for f in missing})
    condition = f"as_of = timestamp'{format_instant(stamp.as_of)}' AND of = '{of}'"
    return tables.replace(EVALUATIONS, whole, condition, stamp)


def _evaluation_rows(
    models: dict[str, DataFrame], labels: DataFrame, n: int, eligible: int
) -> DataFrame:
    scored = [
        evaluate_slates(slates, labels, n, eligible).withColumn("model", F.lit(name))
        for name, slates in models.items()
    ]
    return scored[0].unionByName(scored[1])
