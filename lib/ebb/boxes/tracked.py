"""What MLflow is told of a study and of a ranker's contest. Reads and writes no table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebb.context import Night
from ebb.durations import format_duration
from ebb.ranker.rolling import FittedRanker
from ebb.ranker.settings import Ranker
from ebb.tracking import Tracked

if TYPE_CHECKING:
    from ebb.boxes.study import Study


def tracked_study(night: Night, found: Study) -> Tracked:
    """Means over the nights judged, of all users: ``auto/ndcg@10``, ``popularity/recall@5``, ..."""
    rows = found.nights[0].metrics
    named = rows.loc[rows["slice"] == "all", ["model", "metric"]].itertuples(index=False)
    settings = night.config.evaluate
    return Tracked(
        "evaluate",
        {
            "n": found.n,
            "nights": len(found.nights),
            "horizon": format_duration(settings.horizon),
            "users": settings.users,
        },
        {
            f"{model}/{metric}": found.mean(model, metric)
            for model, metric in named
            if model in found.models
        },
        {
            "chosen": ", ".join(one.choice.chosen.strategy for one in found.nights),
            "test_sets": ", ".join(one.test_set for one in found.nights),
        },
    )


def tracked_contest(settings: Ranker, found: FittedRanker, version: str) -> Tracked:
    """A ranker's settings, and how it did against the best of the others."""
    verdict = found.verdict
    return Tracked(
        "ranker",
        {**settings.model_dump(), "windows fitted on": found.windows},
        {
            "ndcg": verdict.ndcg,
            "ndcg_other": verdict.ndcg_other,
            "ahead": verdict.ahead.value,
            "ahead_low": verdict.ahead.low,
            "ahead_high": verdict.ahead.high,
            "users": verdict.users,
            "promoted": verdict.promoted,
        },
        {"version": version, "other": verdict.other, "reason": verdict.reason},
    )
