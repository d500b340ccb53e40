"""Half-lives of everybody in one facet: a prior from a sample of users, then each user's own.

Two passes over the events: the first brings what a bounded sample of users did at three instants to
the driver, the second learns every user's half-life next to the user's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from ebb.durations import days
from ebb.evaluate.significance import sampled_users
from ebb.forgetting.cells import SHARES, Cells, Grid
from ebb.forgetting.described import FEATURES
from ebb.forgetting.forgetters import Models, choose_prior, fit_models
from ebb.forgetting.pasts import (
    LEARNED_SCHEMA,
    OBSERVED_SCHEMA,
    Cuts,
    Observed,
    learn,
    met_rows,
    observe,
)
from ebb.forgetting.priors import Prior, fit_prior
from ebb.forgetting.settings import Forgetting


@dataclass(frozen=True)
class Stretch:
    """The time that is learned from.

    Attributes
    ----------
    first : the first event.
    horizon : models are held against the last horizon before as_of, and chosen by the one before.
    """

    first: datetime
    as_of: datetime
    horizon: timedelta

    @property
    def grid(self) -> Grid:
        return Grid.over(days(self.as_of - self.first))


@dataclass(frozen=True)
class Learned:
    """What was learned of one facet.

    Attributes
    ----------
    prior : of everybody's half-lives, on what is known at as_of.
    models : fitted a horizon earlier, for comparison; None where nobody had come back by then.
    tuned : the one half-life that would be best for all at as_of, days.
    rows : a row a user, of `pasts.LEARNED_SCHEMA`.
    """

    prior: Prior
    models: Models | None
    tuned: float
    rows: DataFrame


def learn_half_lives(
    events: DataFrame, items: DataFrame, facet: str, stretch: Stretch, settings: Forgetting
) -> Learned | None:
    """Learn the half-lives of one facet; None where nobody ever came back to a key.

    Runs one job; `rows` is lazy. The same events give the same half-lives, however they are
    partitioned.

    Parameters
    ----------
    events : counted events, strictly before as_of.
    items : item versions that hold at as_of.
    """
    grid, horizon = stretch.grid, days(stretch.horizon)
    gap = days(settings.session_gap)
    cuts = Cuts(stretch.as_of, (-2.0 * horizon, -horizon, 0.0), gap, grid)
    earlier, before, now = _observed_sample(events, items, facet, cuts, settings.users)
    if not now.cells.count.any():
        return None
    prior = choose_prior(before.cells, now.cells, grid, before.described, now.described)
    models = None
    if before.cells.count.any():
        then = choose_prior(earlier.cells, before.cells, grid, earlier.described, before.described)
        models = fit_models(then, before.cells, grid, before.described, before.waited)
    tuned = fit_prior("global", now.cells, grid, now.described).column or 0
    last_two = Cuts(stretch.as_of, cuts.days[1:], gap, grid)
    rows = met_rows(events, items, facet)
    found = rows.mapInArrow(learn(last_two, models, prior), LEARNED_SCHEMA)
    return Learned(prior, models, float(grid.half_lives[tuned]), found)


def _observed_sample(
    events: DataFrame, items: DataFrame, facet: str, cuts: Cuts, users: int
) -> list[Observed]:
    """What a sample of at most `users` users had done at each cut; runs one job."""
    rows = met_rows(sampled_users(events, users), items, facet)
    table = rows.mapInArrow(observe(cuts), OBSERVED_SCHEMA).toArrow().sort_by("user_id")
    return [
        _observed(table.filter(pc.equal(table.column("cut"), cut)), cuts.grid)
        for cut in range(len(cuts.days))
    ]


def _observed(table: pa.Table, grid: Grid) -> Observed:
    users, points = len(table), len(grid.half_lives)

    def block(name: str, *shape: int) -> npt.NDArray[np.float64]:
        flat = table.column(name).combine_chunks().flatten().to_numpy()
        return np.asarray(flat, dtype=np.float64).reshape(users, *shape)

    cells = Cells(
        count=table.column("count").to_numpy(),
        log_rates=block("log_rates", points, len(SHARES)),
        excited=block("excited", points),
        floor=table.column("floor").to_numpy(),
    )
    return Observed(cells, table.column("waited").to_numpy(), block("described", len(FEATURES)))
