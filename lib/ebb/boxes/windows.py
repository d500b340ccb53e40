"""Label windows before an as_of, and what could be seen at the beginning of each.

Models are fitted anew at the beginning of each window, on what was known then: a choice or a
training set made on windows never looks into them.
"""

from __future__ import annotations

from datetime import datetime

from ebb.context import Night
from ebb.evaluate.slates import labels_after
from ebb.evaluate.splits import Split
from ebb.interests.counted import counted
from ebb.models.fit import fit_models
from ebb.recommend.eligible import items_at
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.prepare import prepare, view_of
from ebb.recommend.settings import Recommend
from ebb.recommend.views import View
from ebb.schema import EVENTS, ITEMS
from ebb.storage import stored

# Before its first window an as_of needs a past of this many windows.
_LEAST_PAST = 2


def windows_before(
    as_of: datetime, first: datetime, half_lives: HalfLives, settings: Recommend
) -> list[Split]:
    """The windows that end at `as_of` one after the other, the latest first.

    Parameters
    ----------
    first : the first event; windows without a past of two windows' length are left out.
    """
    horizon = settings.choose.horizon or half_lives.scale
    ends = [as_of - horizon * place for place in range(settings.choose.nights)]
    windows = [Split(end - horizon, end) for end in ends]
    return [w for w in windows if w.as_of - first >= horizon * _LEAST_PAST]


def view_in(night: Night, columns: Columns, window: Split, most_users: int) -> View:
    """Fit all models as of the window and see what its users took; runs jobs."""
    config, tables = night.config, night.tables
    events = tables.read(EVENTS)
    with stored(counted(events, config.events, window.as_of)) as known:
        had = None if columns.repeat else known.select("user_id", "item_id").distinct()
        then = counted(events, config.events, window.until)
        labels = labels_after(then, window.as_of, window.until, had)
        fitted = fit_models(known, window.as_of, columns.half_lives, config.train)
        try:
            items = items_at(tables.read(ITEMS), known, window.as_of, config.recommend)
            models = (fitted.item_weights, fitted.item_factors)
            prepared = prepare(known, items, *models, window.as_of, columns, config)
            return view_of(prepared, known, labels, window.until, most_users)
        finally:
            fitted.release()
