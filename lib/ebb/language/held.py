"""Which of the models fitted on texts holds at an instant. Pure Python; never imports Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ebb.stamps import Commit


def held_at(
    newest_first: Iterable[Commit], step: str, config: str, as_of: datetime
) -> Commit | None:
    """The latest fit up to an instant under a configuration, else the earliest after it.

    That one has learned from texts alone, never from what people did: to look back with it tells
    nothing of the future that anybody could be judged by.

    Parameters
    ----------
    newest_first : commits of the registry, newest first.
    step : that fits. config : hash of the settings it was fitted under.
    """
    last: dict[datetime, Commit] = {}  # of each as_of: what it wrote before is gone
    for commit in newest_first:
        if commit.stamp and commit.stamp.as_of and commit.stamp.step == step:
            last.setdefault(commit.stamp.as_of, commit)
    fitted = [at for at, commit in last.items() if commit.stamp and commit.stamp.config == config]
    before = [at for at in fitted if at <= as_of]
    chosen = max(before, default=min(fitted, default=None))
    return None if chosen is None else last[chosen]
