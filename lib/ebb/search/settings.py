"""The configuration's section `search`. Pure Python; never imports Spark or optuna."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ebb.durations import Duration, parse_duration

Bound = int | float | str


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Range(_Section):
    """Everything from `low` to `high`, both included: numbers, or durations such as 3h.

    Attributes
    ----------
    low, high : where both are whole, without a decimal point, so is what is tried.
    log : tries as much between 1 and 10 as between 10 and 100.
    step : from one value to the next; None is any value between.
    """

    low: Bound
    high: Bound
    log: bool = False
    step: Bound | None = None

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        kinds = {isinstance(bound, str) for bound in (self.low, self.high, self.step or self.low)}
        if len(kinds) > 1:
            raise ValueError("has both numbers and durations; expected low, high and step alike")
        low, high, step = self.bounds
        if low >= high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and (low <= 0 or step is not None):
            raise ValueError("log needs a low above 0, and goes without a step")
        if step is not None and step <= 0:
            raise ValueError(f"step {self.step} must be above 0")
        return self

    @property
    def is_duration(self) -> bool:
        return isinstance(self.low, str)

    @property
    def is_whole(self) -> bool:
        return all(isinstance(bound, int) for bound in (self.low, self.high, self.step or 1))

    @property
    def bounds(self) -> tuple[float, float, float | None]:
        """low, high and step as numbers; durations in seconds."""
        step = None if self.step is None else _number(self.step)
        return _number(self.low), _number(self.high), step


Choices = tuple[Any, ...]
Parameter = Range | Choices


class Search(_Section):
    """How the job `search` looks for better settings. Needs the extra `search`.

    Attributes
    ----------
    parameters : configuration key to a list of choices or a range; None takes some for the models
        that are fitted.
    method : ``tpe`` goes where earlier trials did well; ``grid`` tries every combination.
    trials : how many combinations are tried at most.
    time : of one call; no trial begins after it.
    nights : label windows of `evaluate.horizon` that trials are judged on.
    aside : later ones, that only the best trial and the present configuration are judged on.
    at_once : trials that run at the same time. Another number tries others.
    memory_mb : what views may take that are kept for later trials, on the driver.
    seed : another one tries others.
    """

    parameters: dict[str, Range | Choices] | None = None
    method: Literal["tpe", "grid"] = "tpe"
    trials: int = Field(default=30, ge=1)
    time: Duration = timedelta(hours=1)
    nights: int = Field(default=3, ge=1)
    aside: int = Field(default=1, ge=1)
    at_once: int = Field(default=1, ge=1)
    memory_mb: int = Field(default=2_048, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _there_is_something_to_try(self) -> Self:
        if self.parameters is not None and not self.parameters:
            raise ValueError("parameters is empty; name at least one, or leave it out")
        for key, parameter in (self.parameters or {}).items():
            if isinstance(parameter, Range):
                if self.method == "grid" and parameter.step is None:
                    raise ValueError(
                        f"parameters has a range without a step for {key}, which a grid can't "
                        "list; give it a step, or list the choices"
                    )
            elif not parameter:
                raise ValueError(f"parameters has no choices for {key}; list at least one")
        return self


def _number(bound: Bound) -> float:
    return parse_duration(bound).total_seconds() if isinstance(bound, str) else bound
