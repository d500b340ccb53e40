from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ebb.config_file import load_config
from ebb.search.shown import print_search
from ebb.search.space import Parameters, with_parameters
from ebb.search.trials import Trial
from ebb.search.verdict import BEST, METRIC, PRESENT, as_options, as_yaml, verdict_on

LOCAL = Path(__file__).parents[2] / "conf/local.yaml"
NIGHT = datetime(2026, 1, 19, tzinfo=UTC)
TRIED: Parameters = {
    "recommend.half_lives.profile": ["1d", "7d"],
    "recommend.half_lives.similarity": "2.5d",
    "recommend.half_lives.confidence": None,
    "recommend.choose.penalty": 0.5,
    "train.ranker.depth": 6,
}
PRESENT_TRIAL = Trial(0, {}, {NIGHT: 0.4}, 1.0, "hash")
TRIAL = Trial(7, TRIED, {NIGHT: 0.5}, 1.0, "hash")


def figures(ahead: float, noise: float = 0.2) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    present = draw.random(200)
    best = present + ahead + draw.normal(0, noise, 200)
    users = [f"u{user}" for user in range(200)]
    parts = [
        pd.DataFrame({"model": model, "as_of": NIGHT, "user_id": users, METRIC: values})
        for model, values in ((BEST, best), (PRESENT, present))
    ]
    return pd.concat(parts)


def test_a_trial_clearly_ahead_on_the_night_kept_aside_is_better(capsys) -> None:
    found = verdict_on(TRIAL, figures(0.1))
    assert found.is_better
    assert found.sentence.startswith("Better: trial 7 +0.0821 [+0.0525, +0.1091] against ")
    assert "on the latest night, which the search didn't use (200 users)" in found.sentence
    print_search([PRESENT_TRIAL, TRIAL], found, "ndcg@10")
    out = capsys.readouterr().out
    assert as_options(TRIED) in out and as_yaml(TRIED) in out
    assert "+0.1000" in out


@pytest.mark.parametrize("ahead", [0.0, 0.01, -0.1])
def test_a_trial_ahead_in_the_search_alone_is_never_called_better(ahead: float, capsys) -> None:
    found = verdict_on(TRIAL, figures(ahead))
    assert not found.is_better
    assert found.sentence.startswith("Not better by more than noise: trial 7 ")
    print_search([PRESENT_TRIAL, TRIAL], found, "ndcg@10")
    assert "--set" not in capsys.readouterr().out


def test_where_no_trial_is_ahead_nothing_is_better(capsys) -> None:
    found = verdict_on(PRESENT_TRIAL, None)
    assert not found.is_better
    refused = Trial(1, {"recommend.n": 0}, {}, 0.0, "hash", "why")
    print_search([PRESENT_TRIAL, refused], found, "ndcg@10")
    out = capsys.readouterr().out
    assert "1 trials, 1 of them refused" in out and "no trial is ahead" in out


def test_the_lines_to_write_give_the_configuration_that_was_tried(tmp_path) -> None:
    config = load_config(LOCAL, environment={})
    tried = with_parameters(config, TRIED)
    words = shlex.split(as_options(TRIED))
    assert words[::2] == ["--set"] * len(TRIED)
    assert load_config(LOCAL, sets=words[1::2], environment={}) == tried
    lines = as_yaml(TRIED)
    assert lines.splitlines()[:3] == ["recommend:", "  half_lives:", "    profile: [1d, 7d]"]
    written = yaml.safe_load(lines)
    assert written["train"] == {"ranker": {"depth": 6}}
    assert written["recommend"]["half_lives"]["confidence"] is None
