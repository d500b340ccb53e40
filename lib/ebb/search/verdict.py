"""Whether the best trial is better than the present configuration, and what to write to have it.

Judged on nights that the search didn't use: on its own nights the best of many is ahead by luck
alone. Never edits a file.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pandas as pd
import yaml

from ebb.evaluate.significance import Interval, compare_models
from ebb.search.space import Parameters, as_json
from ebb.search.trials import Trial
from ebb.yaml_lines import Document, parse_value, path_of

METRIC, BEST, PRESENT = "value", "best", "present"


@dataclass(frozen=True)
class Verdict:
    """How the best trial did on the nights kept aside.

    Attributes
    ----------
    best : may be the present configuration itself.
    ahead : of the present configuration, drawn by users; None where the best is that itself.
    nights : that were kept aside.
    """

    best: Trial
    ahead: Interval | None
    nights: int

    @property
    def is_better(self) -> bool:
        return self.ahead is not None and self.ahead.low > 0

    @property
    def sentence(self) -> str:
        if self.ahead is None:
            return "Not better: no trial is ahead of the present configuration."
        many = "night" if self.nights == 1 else f"{self.nights} nights"
        said = (
            f"trial {self.best.number} {self.ahead.value:+.4f} [{self.ahead.low:+.4f}, "
            f"{self.ahead.high:+.4f}] against the present configuration, on the latest {many}, "
            f"which the search didn't use ({self.ahead.users:,} users)."
        )
        if self.is_better:
            return f"Better: {said}"
        return f"Not better by more than noise: {said} Keep the present configuration."


def verdict_on(best: Trial, figures: pd.DataFrame | None) -> Verdict:
    """Hold the best trial against the present configuration.

    Parameters
    ----------
    figures : model (`BEST` or `PRESENT`), as_of, user_id, `METRIC` of the nights kept aside; None
        where the best is the present configuration.
    """
    if figures is None:
        return Verdict(best, None, 0)
    ahead = compare_models(figures, METRIC, BEST, PRESENT)
    return Verdict(best, ahead, figures["as_of"].nunique())


def as_options(parameters: Parameters) -> str:
    """The options of the command line that set them, quoted for a shell."""
    return " ".join(f"--set {shlex.quote(f'{k}={_written(v)}')}" for k, v in parameters.items())


def as_yaml(parameters: Parameters) -> str:
    """The lines of the configuration that set them."""
    document = Document("search", {})
    for key, value in parameters.items():
        document.set(path_of(key, key), value, "search")
    return yaml.safe_dump(document.content, sort_keys=False, default_flow_style=None)


def _written(value: object) -> str:
    """As YAML on one line: text without quotes where that reads back as the same."""
    if isinstance(value, str) and value and parse_value(value, "search") == value:
        return value
    return as_json(value)
