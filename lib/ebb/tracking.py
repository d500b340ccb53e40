"""Tells MLflow what was tried: parameters, metrics and the configuration's hash of a run. Optional.

MLflow is a copy for people: what it is told stands in the tables already, nothing here reads from
it, and a night goes on where it can't be reached. Nothing of it is imported without `log.mlflow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ebb.config import Mlflow
from ebb.context import Night
from ebb.durations import format_instant
from ebb.extras import require

_MISSING = (
    "log.mlflow needs mlflow, which the extra mlflow brings: pip install 'ebb[mlflow]', or leave "
    "log.mlflow out"
)
# What MLflow takes at once.
_METRICS_AT_ONCE = 1_000
# What a run's configuration is: the sections that say what comes of it.
_SECTIONS = (
    "events", "items", "users", "interests", "language", "train", "recommend", "evaluate",
)  # fmt: skip


@dataclass(frozen=True)
class Tracked:
    """What MLflow is told of one run.

    Attributes
    ----------
    name : of the sort of run: evaluate or ranker. params : settings. metrics : figures, by their
        names in the tables. tags : words.
    """

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def require_mlflow(night: Night) -> None:
    """Tell what is missing before anything is computed; nothing where `log.mlflow` is left out.

    Raises
    ------
    RunError
        When the extra `mlflow` isn't installed.
    """
    if night.config.log.mlflow is not None:
        require(_MISSING, "mlflow")


def track(night: Night, tracked: Tracked) -> None:
    """Tell MLflow, where `log.mlflow` asks for it; say so where that fails."""
    settings = night.config.log.mlflow
    if settings is None:
        return
    from mlflow.exceptions import MlflowException

    try:
        _tell(settings, night, tracked)
    except (MlflowException, OSError) as error:
        said = str(error).partition("\n")[0]
        night.progress.say(f"mlflow … was not told of this run, which the tables have: {said}")


def _tell(settings: Mlflow, night: Night, tracked: Tracked) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client, name = MlflowClient(tracking_uri=settings.uri), settings.experiment
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    as_of = format_instant(night.as_of)
    about = {"as_of": as_of, "root": night.tables.root, "run_id": night.run_id}
    run = client.create_run(
        experiment, tags={**about, **tracked.tags}, run_name=f"{tracked.name} {as_of}"
    ).info.run_id
    params = {"as_of": as_of, "config": night.config.fingerprint(*_SECTIONS), **tracked.params}
    client.log_batch(run, params=[Param(key, str(value)) for key, value in params.items()])
    at = _milliseconds(night.as_of)
    metrics = [Metric(name_of(key), float(value), at, 0) for key, value in tracked.metrics.items()]
    for first in range(0, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run, metrics=metrics[first : first + _METRICS_AT_ONCE])
    client.set_terminated(run)


def name_of(metric: str) -> str:
    """As MLflow takes it, which knows no @: ndcg_at_10."""
    return metric.replace("@", "_at_")


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
