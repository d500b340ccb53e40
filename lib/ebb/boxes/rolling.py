"""The rolling nights of a search, and how a configuration would have done on them.

At each night the choice is made under that configuration on windows before it, as a night makes it,
and judged by what people took after it. No table is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pandas as pd

from ebb.boxes.choose import SECTIONS, Grounds, grounds_at, grounds_on
from ebb.boxes.shared_views import SharedViews
from ebb.boxes.study import chosen_at, views_needed
from ebb.config import Config
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.evaluate.splits import Split, rolling_nights
from ebb.recommend.choose import ndcg
from ebb.search.verdict import METRIC


class Nights(Protocol):
    """Nights that configurations are tried on.

    Attributes
    ----------
    nights : of the search, the latest first. aside : later ones, for the verdict.
    sections : of the configuration, that trials hang on. measure : what a value is called.
    """

    @property
    def nights(self) -> Sequence[Split]: ...
    @property
    def aside(self) -> Sequence[Split]: ...
    @property
    def sections(self) -> tuple[str, ...]: ...
    @property
    def measure(self) -> str: ...

    def judged(self, config: Config, windows: Sequence[Split]) -> pd.DataFrame:
        """as_of, user_id and `METRIC`, the more the better, on some of the nights; runs jobs."""
        ...


def means_on(nights: Nights, config: Config) -> dict[datetime, float]:
    """The mean over users on each night of the search; runs jobs."""
    means = nights.judged(config, nights.nights).groupby("as_of")[METRIC].mean()
    return {window.as_of: float(means[window.as_of]) for window in nights.nights}


@dataclass(frozen=True)
class Rolling:
    """Nights whose slates are judged.

    Attributes
    ----------
    nights, aside : as `Nights` has them.
    grounds : of each under the present configuration: what is known of its events.
    """

    night: Night
    nights: Sequence[Split]
    aside: Sequence[Split]
    grounds: Mapping[Split, Grounds]
    views: SharedViews

    @property
    def sections(self) -> tuple[str, ...]:
        return SECTIONS

    @property
    def measure(self) -> str:
        return f"ndcg@{self.night.config.recommend.n}"

    def judged(self, config: Config, windows: Sequence[Split]) -> pd.DataFrame:
        """as_of, user_id and NDCG at recommend.n of what would have been chosen; runs jobs."""
        befores = {w: replace(self.night, config=config, as_of=w.as_of) for w in windows}
        grounds = {
            w: grounds_on(before, self.grounds[w].first, self.grounds[w].repeats)
            for w, before in befores.items()
        }
        needed = [key for w in windows for key in views_needed(befores[w], grounds[w], w)]
        views = self.views.gather(replace(self.night, config=config), needed)
        parts = []
        for window, before in befores.items():
            chosen = chosen_at(before, grounds[window], window, views)
            scores = chosen.choice.chosen.score(chosen.view)
            figures = ndcg(chosen.view, scores, config.recommend.n)
            parts.append(
                pd.DataFrame({"as_of": window.as_of, "user_id": chosen.view.users, METRIC: figures})
            )
        return pd.concat(parts, ignore_index=True)


def nights_of(night: Night) -> Rolling:
    """The nights that the events reach back far enough for; runs jobs.

    Raises
    ------
    RunError
        When there isn't one for the search beside those that are kept aside.
    """
    settings, horizon = night.config.search, night.config.evaluate.horizon
    many = settings.aside + settings.nights
    grounds: dict[Split, Grounds] = {}
    for window in rolling_nights(night.as_of - horizon, horizon, many):
        found = grounds_at(replace(night, as_of=window.as_of))
        if not window.has_past(found.first):
            break
        grounds[window] = found
    windows = list(grounds)
    if len(windows) <= settings.aside:
        raise RunError(
            f"search: the events begin too late before {format_instant(night.as_of)} for "
            f"{settings.aside + 1} nights of evaluate.horizon with a past of two; shorten "
            "evaluate.horizon or name a later --as-of"
        )
    aside, own = windows[: settings.aside], windows[settings.aside :]
    return Rolling(night, own, aside, grounds, SharedViews(settings.memory_mb))
