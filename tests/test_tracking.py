"""What MLflow is told; with the extra `mlflow`, against a store in a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ebb.boxes.tracked import tracked_contest, tracked_study
from ebb.config import Config
from ebb.context import Night
from ebb.errors import RunError
from ebb.evaluate.significance import Interval
from ebb.progress import Progress
from ebb.ranker.contest import Verdict
from ebb.ranker.rolling import FittedRanker
from ebb.ranker.settings import Ranker
from ebb.recommend.choose import Tried
from ebb.tracking import name_of, require_mlflow, track
from evaluate.studies import AS_OF, study_of

CONTEST = FittedRanker(
    Tried("ranker", {}, 0.3, 9),
    b"",
    3,
    {},
    Verdict(True, "promoted: why", 0.3, 0.2, "ease", Interval(0.1, 0.05, 0.15, 9), 9),
    5,
)


def night_of(log: dict[str, Any]) -> Night:
    source = {"path": "x", "format": "csv"}
    events = {"sources": [source], "types": {"view": {}}}
    config = Config.model_validate({"root": "r", "events": events, "log": log})
    tables: Any = SimpleNamespace(root="r")
    spark: Any = None
    return Night(spark, tables, config, AS_OF, Progress(terminal=False), "evaluate", "run")


def test_without_the_section_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    night = night_of({})
    require_mlflow(night)
    track(night, tracked_study(night, study_of()))


def test_what_is_missing_is_told_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(RunError, match=r"pip install 'ebb\[mlflow\]'"):
        require_mlflow(night_of({"mlflow": {"uri": "file:///tmp/none"}}))


def test_a_study_is_told_by_its_means_and_a_contest_by_its_verdict() -> None:
    found = study_of()
    told = tracked_study(night_of({}), found)
    assert told.metrics["auto/ndcg@10"] == found.mean("auto", "ndcg@10")
    assert all(np.isfinite(list(told.metrics.values()))) and told.params["nights"] == 3
    contest = tracked_contest(Ranker(trees=7), CONTEST, "v1")
    assert contest.params["trees"] == 7 and contest.tags["version"] == "v1"
    assert contest.metrics["ahead_low"] == 0.05 and contest.metrics["promoted"] == 1.0
    assert name_of("auto/ndcg@10") == "auto/ndcg_at_10"


def test_mlflow_has_what_it_was_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri, found = (tmp_path / "store").as_uri(), study_of()
    night = night_of({"mlflow": {"uri": uri, "experiment": "shop"}})
    require_mlflow(night)
    track(night, tracked_study(night, found))
    track(night, tracked_contest(Ranker(), CONTEST, "v1"))
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("shop").experiment_id
    runs = {run.info.run_name.split()[0]: run for run in client.search_runs([experiment])}
    assert runs.keys() == {"evaluate", "ranker"}
    metrics, params = runs["evaluate"].data.metrics, runs["evaluate"].data.params
    assert metrics["auto/ndcg_at_10"] == pytest.approx(found.mean("auto", "ndcg@10"))
    assert len(params["config"]) == 16 and params["as_of"] == "2026-02-25T00:00:00Z"
    assert runs["ranker"].data.tags["reason"] == "promoted: why"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_where_mlflow_cannot_be_reached_it_is_said_and_nothing_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "file").write_text("no folder")
    night = night_of({"mlflow": {"uri": (tmp_path / "file").as_uri()}})
    track(night, tracked_contest(Ranker(), CONTEST, "v1"))
    said = capsys.readouterr()
    assert "mlflow … was not told of this run" in said.out + said.err
