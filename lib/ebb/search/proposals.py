"""What to try next: optuna's samplers, given the trials before.

What is proposed hangs on the settings, the seed and the trials before alone: each call replays them
into a new study in memory, and seeds the sampler by the number of the trial. So a study that was
interrupted goes on as if it had not been. Never imports Spark.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ebb.extras import require
from ebb.search.settings import Parameter, Range, Search
from ebb.search.space import Parameters, raw_of, raws_of, value_of
from ebb.search.trials import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

REQUIREMENT = "optuna>=5,<6"
# Trials that TPE draws at random before it looks at how they did.
_AT_RANDOM = 10


def require_optuna() -> None:
    """Tell what is missing before anything is fitted.

    Raises
    ------
    RunError
        When the extra `search` isn't installed.
    """
    command = f"{sys.executable} -m pip install '{REQUIREMENT}'"
    require(f"search needs optuna, which the extra search brings: {command}", "optuna")


def planned(parameters: Mapping[str, Parameter], settings: Search) -> int:
    """How many trials a study has when it is whole; of a grid at most its combinations."""
    if settings.method != "grid":
        return settings.trials
    return min(settings.trials, math.prod(len(raws_of(one)) for one in parameters.values()))


def proposed(
    parameters: Mapping[str, Parameter], settings: Search, before: Sequence[Trial], count: int
) -> list[Parameters]:
    """What the next `count` trials are to try, all of them at the same time.

    Parameters
    ----------
    before : every trial before them, in their order, without the present configuration.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {key: _distribution(parameter) for key, parameter in parameters.items()}
    study = optuna.create_study(direction="maximize")
    study.add_trials([_replayed(trial, parameters, spaces) for trial in before])
    found: list[Parameters] = []
    for number in range(len(before), len(before) + count):
        study.sampler = _sampler(parameters, settings, number)
        raws = study.ask(spaces).params
        found.append({key: value_of(parameters[key], raws[key]) for key in parameters})
    return found


def _sampler(parameters: Mapping[str, Parameter], settings: Search, number: int) -> BaseSampler:
    from optuna.samplers import GridSampler, TPESampler

    if settings.method == "grid":
        # Its seed shuffles all combinations; the number says which of them is next.
        return GridSampler({k: raws_of(p) for k, p in parameters.items()}, seed=settings.seed)
    (seed,) = np.random.SeedSequence([settings.seed, number]).generate_state(1)
    return TPESampler(
        seed=int(seed), n_startup_trials=_AT_RANDOM, multivariate=True, constant_liar=True
    )


def _replayed(
    trial: Trial, parameters: Mapping[str, Parameter], spaces: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
        value=trial.value,
        params={key: raw_of(parameters[key], value) for key, value in trial.parameters.items()},
        distributions=dict(spaces),
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(parameter, Range):
        return CategoricalDistribution(raws_of(parameter))
    low, high, step = parameter.bounds
    if step is not None:
        high = float(raws_of(parameter)[-1])  # the last that the steps lead to
    if parameter.is_whole:
        return IntDistribution(int(low), int(high), log=parameter.log, step=int(step or 1))
    return FloatDistribution(low, high, log=parameter.log, step=step)
