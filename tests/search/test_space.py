from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ebb.config_file import load_config
from ebb.errors import ConfigError
from ebb.search.settings import Range, Search
from ebb.search.space import (
    default_parameters,
    raw_of,
    raws_of,
    value_of,
    with_parameters,
)

LOCAL = Path(__file__).parents[2] / "conf/local.yaml"
DAY = 86_400.0


@pytest.mark.parametrize(
    ("parameter", "raw", "value"),
    [
        ((None, ["1d", "7d"]), '["1d","7d"]', ["1d", "7d"]),
        ((None, ["1d", "7d"]), "null", None),
        (Range(low=1, high=9), 4, 4),
        (Range(low=0.1, high=9.0), 1.23456, 1.23),
        # Rounded, it would be out of the range.
        (Range(low=1.2344, high=9.0), 1.2343999, 1.2344),
        (Range(low=0.0, high=1.0, step=0.1), 0.1 + 0.1 + 0.1, 0.3),
        (Range(low="1h", high="30d", log=True), 3.14159 * DAY, "3.14d"),
        (Range(low="1h", high="30d", log=True), 5_400.4, "1.5h"),
        (Range(low="36h", high="30d"), 1.5 * DAY, "36h"),
        (Range(low="1d", high="30d", step="12h"), 2.5 * DAY, "60h"),
    ],
)
def test_a_value_of_optunas_is_written_as_people_write_it(parameter, raw, value) -> None:
    assert value_of(parameter, raw) == value


@given(st.floats(3_600.0, 30 * DAY), st.booleans())
def test_what_was_tried_is_told_to_optuna_as_it_was_tried(seconds: float, is_duration: bool):
    bounds: dict[str, Any] = {"low": "1h", "high": "30d"}
    if not is_duration:
        bounds = {"low": 3_600.0, "high": 30 * DAY}
    parameter = Range(**bounds, log=True)
    value = value_of(parameter, seconds)
    raw = raw_of(parameter, value)
    assert value_of(parameter, raw) == value
    assert 3_600.0 <= float(raw) <= 30 * DAY
    assert float(raw) == pytest.approx(seconds, rel=0.006)


def test_a_grid_has_what_the_steps_lead_to() -> None:
    assert raws_of(Range(low=1, high=6, step=2)) == [1, 3, 5]
    assert raws_of(Range(low=0.1, high=0.3, step=0.1)) == pytest.approx([0.1, 0.2, 0.3])
    assert raws_of(Range(low="1d", high="3d", step="1d")) == [DAY, 2 * DAY, 3 * DAY]
    assert raws_of(("blend", None)) == ['"blend"', "null"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 3, "high": 3}, "low 3 must be below high 3"),
        ({"low": "1d", "high": 3}, "both numbers and durations"),
        ({"low": 0, "high": 3, "log": True}, "log needs a low above 0"),
        ({"low": 1, "high": 3, "log": True, "step": 1}, "goes without a step"),
        ({"low": 1, "high": 3, "step": 0}, "step 0 must be above 0"),
        ({"low": "soon", "high": "1d"}, "expected a duration"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Range(**given)


def test_a_grid_needs_steps_and_every_parameter_something_to_try() -> None:
    with pytest.raises(ValidationError, match=r"a range without a step for recommend\.n"):
        Search(method="grid", parameters={"recommend.n": Range(low=1, high=2)})
    with pytest.raises(ValidationError, match=r"no choices for recommend\.n"):
        Search(parameters={"recommend.n": ()})
    with pytest.raises(ValidationError, match="parameters is empty"):
        Search(parameters={})


# ------------------------------------------------------------------------- configurations
def test_a_trials_configuration_differs_in_its_settings_alone() -> None:
    config = load_config(LOCAL, environment={})
    tried = with_parameters(
        config,
        {"recommend.half_lives.profile": ["1d", "7d"], "train.ranker.depth": 6},
    )
    assert tried.train.ranker is not None and tried.train.ranker.depth == 6
    assert [life.days for life in tried.recommend.half_lives.profile or ()] == [1, 7]
    back = with_parameters(
        tried, {"recommend.half_lives.profile": None, "train.ranker": config.train.ranker}
    )
    assert back == config
    assert with_parameters(config, {}) is config


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            "{train.als.rank: [8, many]}",
            'train.als.rank is "many", expected a whole number',
        ),
        (
            "{train.als.rank: {low: 0.5, high: 8.0}}",
            "train.als.rank is 0.5, expected a whole number",
        ),
        ("{train.asl.rank: [8]}", "train.asl is not a setting, expected one of als"),
        (
            "{recommend.half_lives.similarity: {low: 1, high: 2}}",
            "recommend.half_lives.similarity is 1, expected a duration above zero",
        ),
        ("{recommend.n: [5, 10]}", 'search.parameters."recommend.n" can\'t be searched'),
        (
            "{foretell.rate: [0.01], train.als.rank: [8]}",
            "can't be searched, since trials differ only in what is foretold",
        ),
        ("{foretell.period: [1d, 7d]}", "expected a key of foretell.kind, foretell.layers"),
        ("{foretell.layers: [-1]}", "foretell.layers is -1, expected"),
        ("{'train.models[0]': [als]}", '"train.models[0]" is one entry of a list'),
        ("{'..': [als]}", 'search.parameters."..": is not a key'),
    ],
)
def test_a_mistake_in_what_is_searched_is_told_before_anything_starts(
    parameters: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(LOCAL, sets=[f"search.parameters={parameters}"], environment={})
    assert str(error.value).startswith("--set: ")
    assert said in str(error.value)


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path) -> None:
    path = tmp_path / "local.yaml"
    text = LOCAL.read_text() + "search:\n  parameters:\n    train.als.rank: [8, -1]\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"line {len(text.splitlines())}: train\.als\.rank is"):
        load_config(path, environment={})


def test_what_is_searched_by_default_is_taken_by_the_configuration() -> None:
    config = load_config(LOCAL, sets=["train.ranker={}"], environment={})
    found = default_parameters(config)
    named = load_config(
        LOCAL,
        sets=["train.ranker={}", f"search.parameters={_as_json(found)}"],
        environment={},
    )
    assert named.search.parameters == found
    assert {key.rpartition(".")[0] for key in found} == {
        "recommend.half_lives", "recommend.choose", "train.neighbours", "train.ease", "train.als",
        "train.ranker",
    }  # fmt: skip
    bare = load_config(LOCAL, sets=["train.models=[]", "recommend.weights={}"], environment={})
    assert default_parameters(bare) == {}


def _as_json(parameters: dict[str, Any]) -> str:
    return Search(parameters=parameters).model_dump_json(include={"parameters"})[14:-1]
