from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ebb.errors import RunError
from ebb.progress import Progress
from ebb.search.loop import Asked, Course
from ebb.search.proposals import REQUIREMENT, planned, require_optuna
from ebb.search.settings import Parameter, Range, Search
from ebb.search.space import Parameters
from ebb.search.trials import Trial, best_of

NIGHT = datetime(2026, 1, 19, tzinfo=UTC)
SPACE: dict[str, Parameter] = {
    "recommend.choose.penalty": Range(low=0.1, high=10.0, log=True),
    "recommend.half_lives.similarity": Range(low="1h", high="30d", log=True),
    "recommend.half_lives.profile": (None, ["1d", "7d"], ["7d", "30d"]),
    "train.als.rank": Range(low=4, high=64),
}
GRID: dict[str, Parameter] = {
    "recommend.choose.penalty": (0.1, 1, 10),
    "train.als.rank": Range(low=8, high=16, step=8),
}


def value(parameters: Parameters) -> float:
    """Best at a penalty of 2 and a rank of 20; the present configuration has neither."""
    penalty, rank = parameters.get("recommend.choose.penalty", 9), parameters.get("train.als.rank")
    return 1.0 - abs(penalty - 2) / 10 - abs((rank or 40) - 20) / 100


class StoppedError(Exception):
    pass


class Recorder:
    """A search of a made-up world, in which time passes as trials are run."""

    def __init__(self, space: dict[str, Parameter], **settings: Any) -> None:
        self.now, self.ran = 0.0, []
        self.stop_after: int | None = None
        self.kept: dict[int, Trial] = {}
        self.said: list[str] = []
        self.space, self.settings = space, Search(parameters=space, **settings)

    def run(self) -> dict[int, Trial]:
        """One call: it begins with what was kept, whatever came of the call before."""
        progress = Progress(SimpleNamespace(write=self.said.append, flush=lambda: None), False)
        course = Course(
            self.space, self.settings, progress, self._trials, self._keep, dict(self.kept),
            clock=lambda: self.now,
        )  # fmt: skip
        course.run()
        return course.trials

    def _trials(self, asked: Asked) -> Iterator[Trial]:
        # The last first: which is finished first is no matter of its number.
        for number, parameters in reversed(asked.items()):
            if self.stop_after is not None and len(self.kept) > self.stop_after:
                raise StoppedError
            self.now += 10.0
            self.ran.append(number)
            yield Trial(number, parameters, {NIGHT: value(parameters)}, 10.0, "hash")

    def _keep(self, trial: Trial) -> None:
        self.kept[trial.number] = trial


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_interrupted_search_proposes_what_it_would_have_proposed(at_once: int) -> None:
    whole = Recorder(SPACE, trials=16, at_once=at_once)
    expected = whole.run()
    assert sorted(expected) == list(range(17))
    stopped = Recorder(SPACE, trials=16, at_once=at_once)
    for after in (3, 12):
        stopped.stop_after = after
        with pytest.raises(StoppedError):
            stopped.run()
        assert len(stopped.kept) == after + 1
    stopped.stop_after = None
    assert stopped.run() == expected
    # Nothing was run twice.
    assert sorted(stopped.ran) == list(range(17))


def test_proposals_follow_what_did_well_and_another_seed() -> None:
    found = Recorder(SPACE, trials=40).run()
    early = [found[number].value or 0.0 for number in range(1, 11)]
    late = [found[number].value or 0.0 for number in range(31, 41)]
    assert sum(late) > sum(early)
    assert best_of(found.values()).value == max(trial.value or 0.0 for trial in found.values())
    assert Recorder(SPACE, trials=40).run() == found
    other = Recorder(SPACE, trials=2, seed=1).run()
    assert other[1].parameters != found[1].parameters


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_grid_tries_every_combination_once(at_once: int) -> None:
    found = Recorder(GRID, method="grid", trials=30, at_once=at_once).run()
    tried = [tuple(found[number].parameters.values()) for number in range(1, 7)]
    assert len(found) == 7
    assert sorted(tried) == [(p, r) for p in (0.1, 1, 10) for r in (8, 16)]
    few = Recorder(GRID, method="grid", trials=4).run()
    assert len(few) == 5 and [few[n] for n in range(5)] == [found[n] for n in range(5)]


def test_no_trial_begins_after_the_time_and_the_next_call_goes_on() -> None:
    search = Recorder(SPACE, trials=10, time="35s")
    # The present configuration, and trials that begin after 10, 20 and 30 seconds.
    assert sorted(search.run()) == [0, 1, 2, 3]
    assert any("search.time is over before trial 4 of 10" in said for said in search.said)
    search.settings = Search(parameters=SPACE, trials=5, time="1h")
    found = search.run()
    assert sorted(found) == [0, 1, 2, 3, 4, 5] and search.ran == [0, 1, 2, 3, 4, 5]
    assert found == Recorder(SPACE, trials=5).run()


def test_each_trial_tells_how_it_did_the_best_so_far_and_the_time_left() -> None:
    search = Recorder(GRID, method="grid", time="1min")
    found = search.run()
    best = best_of(found[number] for number in (0, 1))
    name = f"trial {best.number}" if best.number else "the present configuration"
    (line,) = [one for one in search.said if one.startswith("trial 1 of 6 … done")]
    assert line.endswith(
        f": {found[1].value:.4f}; best so far {best.value:.4f}, {name}; at most 40.0 s left"
    )


def test_what_was_tried_before_is_not_run_again() -> None:
    search = Recorder({"recommend.choose.penalty": (1, 2)}, trials=12)
    found = search.run()
    assert len(found) == 13 and len(search.ran) == 3
    assert {trial.value for trial in found.values() if trial.number} == {
        value({"recommend.choose.penalty": penalty}) for penalty in (1, 2)
    }


def test_a_refused_trial_is_passed_over_and_never_the_best() -> None:
    refused = Trial(1, {"recommend.choose.penalty": 1.0}, {}, 0.0, "hash", "it can't be")
    present = Trial(0, {}, {NIGHT: 0.1}, 1.0, "hash")
    equal = Trial(2, {"recommend.choose.penalty": 2.0}, {NIGHT: 0.1}, 1.0, "hash")
    assert best_of([refused, equal, present]) is present
    space: dict[str, Parameter] = {"recommend.choose.penalty": Range(low=0.5, high=4.0)}
    search = Recorder(space, trials=3)
    search.kept = {0: present, 1: refused}
    assert sorted(search.run()) == [0, 1, 2, 3]


def test_without_optuna_the_command_that_installs_it_is_named(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr("ebb.extras.import_module", absent)
    with pytest.raises(RunError) as error:
        require_optuna()
    assert f"{sys.executable} -m pip install '{REQUIREMENT}'" in str(error.value)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert extras["search"] == [REQUIREMENT] and REQUIREMENT in extras["test"]
    assert planned(GRID, Search(parameters=GRID, trials=5)) == 5


def test_a_trial_is_read_back_as_it_was_stored() -> None:
    earlier = datetime(2026, 1, 18, tzinfo=UTC)
    tried: Parameters = {"a": None, "b": ["1d", "7d"], "c": 0.1 + 0.2, "d": "7d"}
    trial = Trial(4, tried, {NIGHT: 0.25, earlier: 0.5}, 1.5, "hash")
    row = trial.to_row(NIGHT, "study", {"events": 3})
    assert row["value"] == 0.375 and row["state"] == "done"
    assert row["parameters"]["b"] == '["1d","7d"]'
    assert Trial.of_row(row) == trial
    refused = Trial(5, {"a": 1}, {}, 0.0, "hash", "why")
    row = refused.to_row(NIGHT, "study", {})
    assert (row["state"], row["value"], Trial.of_row(row)) == ("refused", None, refused)
