"""Which of the models fitted on texts holds at an instant. Pure Python; never imports Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ebb.stamps import Commit


def serving_since(held: Commit, every: timedelta | None, as_of: datetime) -> datetime | None:
    """Since when a fit of an earlier night has served; None where it is too old at `as_of`.

    Parameters
    ----------
    every : for how long a fit does; None is for ever.
    """
    since = held.stamp.as_of if held.stamp else None
    serves = since is not None and since < as_of and (every is None or as_of < since + every)
    return since if serves else None


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
