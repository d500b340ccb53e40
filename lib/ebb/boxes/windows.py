"""Label windows before an as_of, and what could be seen at the beginning of each.

Models are fitted anew at the beginning of each window, on what was known then: a choice or a
training set made on windows never looks into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame

from ebb.boxes.labels import items_in
from ebb.boxes.sequences import desk_of
from ebb.boxes.vectors import texts_to_project, with_vectors
from ebb.context import Night
from ebb.evaluate.slates import labels_after
from ebb.evaluate.splits import Split
from ebb.interests.counted import counted
from ebb.models.fit import FittedModels, fit_models
from ebb.ranker.settings import Ranker
from ebb.ranker.training import examples
from ebb.recommend.eligible import items_at
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.impressions import shown_between
from ebb.recommend.prepare import Prepared, prepare, view_of, view_rows
from ebb.recommend.settings import Recommend
from ebb.recommend.views import View
from ebb.schema import EVENTS
from ebb.storage import stored


def windows_before(
    as_of: datetime,
    first: datetime,
    half_lives: HalfLives,
    settings: Recommend,
    most: int | None = None,
) -> list[Split]:
    """The windows that end at `as_of` one after the other, the latest first.

    Parameters
    ----------
    first : the first event; windows without a past of two windows' length are left out.
    most : how many at most; None is `recommend.choose.nights`.
    """
    horizon = settings.choose.horizon or half_lives.scale
    ends = [as_of - horizon * place for place in range(most or settings.choose.nights)]
    windows = [Split(end - horizon, end) for end in ends]
    return [window for window in windows if window.has_past(first)]


@dataclass(frozen=True)
class Seen:
    """What could be seen at the beginning of a window, with models fitted on it.

    Attributes
    ----------
    known : counted events before the window. items : of `eligible.items_at`.
    """

    night: Night
    window: Split
    known: DataFrame
    items: DataFrame
    fitted: FittedModels

    def view(self, columns: Columns, most_users: int) -> View:
        """The view of people who took something in the window; runs jobs."""
        return self.outlook(columns).view(most_users)

    def outlook(self, columns: Columns) -> Outlook:
        """Candidates and labels under some columns; gathers the items, which runs jobs.

        Parameters
        ----------
        columns : with the half-lives that the models were fitted with.
        """
        config, as_of, until = self.night.config, self.window.as_of, self.window.until
        factors = with_vectors(self.night, self.fitted.item_factors, as_of)
        models = (self.fitted.item_weights, factors)
        events, shown, shown_then = self.night.tables.read(EVENTS), None, None
        if columns.shown:
            shown = shown_between(events, config.events, None, as_of)
            shown_then = shown_between(events, config.events, as_of, until)
            shown_then = shown_then.select("user_id", "item_id").distinct()
        network = self.fitted.network if columns.has_sequence else None
        prepared = prepare(
            *(self.known, self.items, *models, as_of, columns, config, shown),
            network=network.raw if network else None,
        )
        then = counted(events, config.events, until)
        had = None if columns.repeat else self.known.select("user_id", "item_id").distinct()
        labels = labels_after(then, as_of, until, had)
        return Outlook(self, prepared, labels, shown_then)


@dataclass(frozen=True)
class Outlook:
    """What could be recommended at the beginning of a window, and what people then took.

    Attributes
    ----------
    labels : of `evaluate.slates.labels_after`.
    shown : user_id, item_id, distinct: what people were shown in the window; None if unknown.
    """

    seen: Seen
    prepared: Prepared
    labels: DataFrame
    shown: DataFrame | None

    def view(self, most_users: int) -> View:
        """The view of people who took something in the window; runs jobs."""
        until = self.seen.window.until
        return view_of(self.prepared, self.seen.known, self.labels, until, most_users, self.shown)

    @contextmanager
    def examples(self, settings: Ranker) -> Iterator[DataFrame]:
        """The window's rows of a training set (`training.examples`); lazy, while `with` lasts."""
        most = (settings.users, settings.negatives)
        with view_rows(self.prepared, self.seen.known, self.labels, *most, self.shown) as rows:
            yield examples(rows, self.prepared.places, self.seen.window)


@contextmanager
def seen_at(night: Night, half_lives: HalfLives, window: Split) -> Iterator[Seen]:
    """Fit all models on what was known at the beginning of a window; runs jobs."""
    config, tables = night.config, night.tables
    also = config.recommend.read_of_events
    with stored(counted(tables.read(EVENTS), config.events, window.as_of, *also)) as known:
        versions = items_in(night, config.affinity_facets, window.as_of)
        found = items_at(versions, known, window.as_of, config.recommend)
        with stored(found) as items:
            desk = desk_of(night)
            texts = texts_to_project(night, window.as_of)
            fitted = fit_models(known, window.as_of, half_lives, config.train, desk, texts)
            try:
                yield Seen(night, window, known, items, fitted)
            finally:
                fitted.release()


def view_in(night: Night, columns: Columns, window: Split, most_users: int) -> View:
    """Fit all models as of the window and see what its users took; runs jobs."""
    with seen_at(night, columns.half_lives, window) as seen:
        return seen.view(columns, most_users)
