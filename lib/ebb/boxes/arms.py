"""The slates of each arm of an experiment, and how the arms then did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.choose import Decision
from ebb.context import Night
from ebb.evaluate.experiments import Group, sample_ratio_p, welch
from ebb.evaluate.slates import user_metrics
from ebb.recommend.arms import arm_of
from ebb.recommend.defaults import default_weights
from ebb.recommend.prepare import Prepared
from ebb.recommend.settings import Arm
from ebb.recommend.slates import Ranking, make_slates
from ebb.schema import CHOICES

# Of `evaluations`: the probability of sizes as far from what was meant as these.
SIZES = "sample_ratio_p"
JUDGED = (
    "model string, metric string, slice string, value double, users long, ahead double, "
    "ahead_low double, ahead_high double"
)
_COMPARED = ("ndcg", "hit_rate", "recall", "mrr")


@dataclass(frozen=True)
class Dealt:
    """How users were dealt out when slates were made: kept in the facts of their commit."""

    name: str
    shares: Mapping[str, float]

    @staticmethod
    def of(night: Night) -> Dealt | None:
        experiment = night.config.recommend.experiment
        return Dealt(experiment.name, experiment.shares) if experiment else None

    def to_facts(self) -> dict[str, Any]:
        """As JSON takes it; a list, since the arms' order counts."""
        return {"name": self.name, "shares": list(self.shares.items())}

    @staticmethod
    def from_facts(facts: Mapping[str, Any] | None) -> Dealt | None:
        return Dealt(facts["name"], dict(facts["shares"])) if facts else None


def slates_by_arm(
    night: Night,
    decision: Decision,
    side: Prepared,
    events: DataFrame,
    users: DataFrame,
    ranking: Ranking,
    version: str,
    foreseen: DataFrame | None = None,
) -> DataFrame:
    """Everybody's slates: by the ranking, or by what becomes of it in the user's arm.

    Parameters as in `recommend.slates.make_slates`.
    """
    experiment = night.config.recommend.experiment
    if experiment is None:
        return make_slates(side, events, users, ranking, version, foreseen=foreseen)
    dealt = users.withColumn("arm", arm_of(experiment.name, experiment.shares))
    slates = [
        make_slates(
            side,
            events,
            dealt.where(F.col("arm") == name).select("user_id"),
            _changed(night, decision, ranking, arm),
            version,
            name,
            foreseen,
        )
        for name, arm in experiment.arms.items()
    ]
    return reduce(DataFrame.unionByName, slates)


def _changed(night: Night, decision: Decision, ranking: Ranking, arm: Arm) -> Ranking:
    """A ranking with what the arm has otherwise."""
    changed = replace(
        ranking,
        rerank=arm.rerank or ranking.rerank,
        explore=arm.explore or ranking.explore,
    )
    if arm.strategy in (None, "auto"):
        return changed
    return replace(changed, weights=_weights(night, decision, arm.strategy), trees=None)


def _weights(night: Night, decision: Decision, strategy: str) -> Mapping[str, float]:
    """Of a strategy as it was tried when the choice was made, else by default."""
    tried = night.tables.read_slice(CHOICES, decision.as_of)
    row = tried.where(F.col("strategy") == strategy).first()
    return dict(row["weights"]) if row else default_weights(strategy, decision.columns)


def judge_arms(slates: DataFrame, labels: DataFrame, dealt: Dealt, n: int) -> DataFrame:
    """How each arm did, and how far it is ahead of the first, with Welch's interval.

    Parameters
    ----------
    slates : columns of the table `recommendations`, of one as_of.
    labels : as in `evaluate.slates.user_metrics`.

    Returns
    -------
    DataFrame of the columns `JUDGED`: a row an arm and metric, and one of `SIZES` under the model
    ``all``. Runs jobs that bring back a row an arm.
    """
    metrics = [f"{name}@{n}" for name in _COMPARED]
    named = slates.select(F.lit("").alias("model"), "user_id", "rank", "item_id")
    figures = [
        F.struct(F.avg(m).alias("mean"), F.var_samp(m).alias("variance")).alias(m) for m in metrics
    ]
    by_arm = (
        user_metrics(named, labels, [n], models=[""])
        .groupBy(arm_of(dealt.name, dealt.shares).alias("arm"))
        .agg(F.count("*").alias("users"), *figures)
    )
    found = {row["arm"]: row for row in by_arm.collect()}
    rows: list[tuple[Any, ...]] = []
    for metric in metrics:
        groups = {
            arm: Group(row["users"], row[metric]["mean"], row[metric]["variance"] or 0.0)
            for arm, row in found.items()
        }
        rows += _compared(metric, groups, list(dealt.shares))
    sizes = slates.where(F.col("rank") == 1).groupBy("arm").count().collect()
    users = {row["arm"]: row["count"] for row in sizes}
    p = sample_ratio_p(users, dealt.shares)
    rows.append(("all", SIZES, "all", p, sum(users.values()), None, None, None))
    return slates.sparkSession.createDataFrame(rows, JUDGED).coalesce(1)


def _compared(metric: str, groups: dict[str, Group], arms: list[str]) -> list[tuple[Any, ...]]:
    first = groups.get(arms[0])
    rows: list[tuple[Any, ...]] = []
    for arm in arms:
        own = groups.get(arm)
        if own is None:
            continue
        ahead = welch(own, first) if first is not None and arm != arms[0] else None
        interval = (ahead.value, ahead.low, ahead.high) if ahead else (None, None, None)
        rows.append((arm, metric, "all", own.mean, own.users, *interval))
    return rows
