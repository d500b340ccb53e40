"""The course of a search: what is tried next, until the budget is used up or all is tried.

Knows nothing of how a trial is run or kept: that is handed in. Never imports Spark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ebb.durations import format_seconds
from ebb.progress import Progress
from ebb.search.proposals import planned, proposed
from ebb.search.settings import Parameter, Search
from ebb.search.space import Parameters
from ebb.search.trials import Trial, best_of

Asked = Mapping[int, Parameters]  # the number of a trial to what it is to try


@dataclass
class Course:
    """A search under way.

    Attributes
    ----------
    run_trials : runs some at the same time, and yields each when it is finished.
    keep : stores a finished trial.
    trials : the finished ones by number, those of earlier calls included.
    clock : seconds.
    """

    parameters: Mapping[str, Parameter]
    settings: Search
    progress: Progress
    run_trials: Callable[[Asked], Iterator[Trial]]
    keep: Callable[[Trial], None]
    trials: dict[int, Trial] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def run(self) -> None:
        """Try what isn't tried yet: the present configuration first, then what is proposed."""
        last = planned(self.parameters, self.settings)
        until = self.clock() + self.settings.time.total_seconds()
        for asked in self._rounds(last):
            # Without the present configuration there is nothing to compare with.
            if 0 not in asked and self.clock() >= until:
                self.progress.say(f"search.time is over before {_title(asked, last)}")
                return
            with self.progress.step(_title(asked, last)) as shown:
                for trial in self._results(asked):
                    self.keep(trial)
                    self.trials[trial.number] = trial
                shown.note(self._standing(asked, last, until))

    def _rounds(self, last: int) -> Iterator[Asked]:
        """What is to be tried at the same time, round by round.

        A round is proposed whole from the rounds before it, whichever of its trials are finished
        already: an interrupted search proposes what it would have proposed.
        """
        if 0 not in self.trials:
            yield {0: {}}
        for first in range(1, last + 1, self.settings.at_once):
            numbers = range(first, min(first + self.settings.at_once, last + 1))
            if all(number in self.trials for number in numbers):
                continue
            before = [self.trials[number] for number in range(1, first)]
            found = proposed(self.parameters, self.settings, before, len(numbers))
            asked = dict(zip(numbers, found, strict=True))
            yield {n: one for n, one in asked.items() if n not in self.trials}

    def _results(self, asked: Asked) -> Iterator[Trial]:
        """The trials; one that tries what another tried before isn't run again."""
        known = {number: same for number, one in asked.items() if (same := self._same(one))}
        for number, same in known.items():
            yield replace(same, number=number, seconds=0.0)
        others = {number: one for number, one in asked.items() if number not in known}
        if others:
            yield from self.run_trials(others)

    def _same(self, parameters: Parameters) -> Trial | None:
        return next((one for one in self.trials.values() if one.parameters == parameters), None)

    def _standing(self, numbers: Iterable[int], last: int, until: float) -> str:
        """How the trials did, which is the best so far, and how long is left at most."""
        own = [self.trials[number] for number in numbers]
        told = [f"{t.value:.4f}" if t.value is not None else f"refused: {t.refused}" for t in own]
        best = best_of(self.trials.values())
        name = f"trial {best.number}" if best.number else "the present configuration"
        return (
            f"{', '.join(told)}; best so far {best.value or 0.0:.4f}, {name}; "
            f"at most {format_seconds(self._left(last, until))} left"
        )

    def _left(self, last: int, until: float) -> float:
        """Seconds until the budget is used up, or at the present pace all is tried."""
        mean = sum(trial.seconds for trial in self.trials.values()) / len(self.trials)
        pace = mean * (last + 1 - len(self.trials)) / self.settings.at_once
        return max(0.0, min(pace, until - self.clock()))


def _title(asked: Asked, last: int) -> str:
    first, latest = min(asked), max(asked)
    if not first:
        return "the present configuration"
    return f"trial {first}" + (f" to {latest}" if latest > first else "") + f" of {last}"
