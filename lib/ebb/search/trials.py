"""A trial: the settings that were tried and how they did on each night, as a row of `trials`.

Pure Python; never imports Spark or optuna.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ebb.durations import format_instant, parse_instant
from ebb.search.space import Parameters, as_json

DONE, REFUSED = "done", "refused"


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes
    ----------
    number : from 1; 0 is the present configuration, which has no parameters.
    by_night : mean NDCG of the users of each night; empty where the configuration was refused.
    config : hash of the settings that slates hang on.
    refused : why the configuration was refused.
    """

    number: int
    parameters: Parameters
    by_night: Mapping[datetime, float]
    seconds: float
    config: str
    refused: str | None = None

    @property
    def value(self) -> float | None:
        """The mean over the nights, each weighing the same; None where it was refused."""
        return sum(self.by_night.values()) / len(self.by_night) if self.by_night else None

    def to_row(self, as_of: datetime, study: str, versions: Mapping[str, int]) -> dict[str, Any]:
        """As a row of `trials`."""
        return {
            "as_of": as_of,
            "study": study,
            "number": self.number,
            "parameters": {key: as_json(value) for key, value in self.parameters.items()},
            "value": self.value,
            "by_night": {format_instant(night): v for night, v in self.by_night.items()},
            "state": REFUSED if self.refused else DONE,
            "message": self.refused,
            "seconds": self.seconds,
            "config": self.config,
            "versions": dict(versions),
        }

    @staticmethod
    def of_row(row: Mapping[str, Any]) -> Trial:
        nights = {parse_instant(night): value for night, value in row["by_night"].items()}
        return Trial(
            number=row["number"],
            parameters={key: json.loads(value) for key, value in row["parameters"].items()},
            by_night=dict(sorted(nights.items(), reverse=True)),
            seconds=row["seconds"],
            config=row["config"],
            refused=row["message"],
        )


def best_of(trials: Iterable[Trial]) -> Trial:
    """The one with the highest value; of equal ones the first, so that the present stays."""
    return max(trials, key=lambda trial: (_value(trial), -trial.number))


def _value(trial: Trial) -> float:
    return float("-inf") if trial.value is None else trial.value
