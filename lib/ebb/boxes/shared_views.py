"""Views kept between the trials of a search: models are fitted once for all that share them.

A view hangs on the features, the window and what models are fitted with, not on how the blend is
fitted on it or which strategy is chosen: trials that differ in that alone fit no models.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from threading import Lock

from ebb.boxes.study import ViewKey, Views
from ebb.boxes.windows import seen_at
from ebb.config import Config
from ebb.context import Night
from ebb.evaluate.splits import Split
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.views import View

# What is done with views; and half-lives, which are in the columns.
_BESIDE_VIEWS = {
    "train": {"ranker"},
    "recommend": {"strategy", "weights", "choose", "half_lives"},
}
_Fit = tuple[str, HalfLives, Split]


class SharedViews:
    """Views by what they were made with; the least lately used are dropped first.

    Several threads may ask at once: of those that need the same models, one fits them.

    Parameters
    ----------
    memory_mb : what is kept at most. What a caller was given stays theirs.
    """

    def __init__(self, memory_mb: int) -> None:
        self._room = memory_mb << 20
        self._kept: OrderedDict[tuple[str, ViewKey], View] = OrderedDict()
        self._lock = Lock()
        self._fitting: defaultdict[_Fit, Lock] = defaultdict(Lock)

    def gather(self, night: Night, keys: Iterable[ViewKey]) -> Views:
        """The views of a night's configuration; runs jobs where they aren't there yet."""
        made_with = _made_with(night.config)
        by_fit: dict[_Fit, list[ViewKey]] = {}
        for key in dict.fromkeys(keys):
            by_fit.setdefault((made_with, key[1].half_lives, key[0]), []).append(key)
        views: Views = {}
        for fit, wanted in by_fit.items():
            with self._lock:
                fitting = self._fitting[fit]
            with fitting:
                views |= self._of_fit(night, fit, wanted)
        return views

    def _of_fit(self, night: Night, fit: _Fit, wanted: list[ViewKey]) -> Views:
        """Views of one window that one fit of the models serves."""
        made_with, half_lives, window = fit
        views = {key: view for key in wanted if (view := self._known(made_with, key)) is not None}
        missing = [key for key in wanted if key not in views]
        if missing:
            with seen_at(night, half_lives, window) as seen:
                for columns in dict.fromkeys(key[1] for key in missing):
                    outlook = seen.outlook(columns)
                    for key in missing:
                        if key[1] == columns:
                            views[key] = outlook.view(key[2])
            for key in missing:
                self._keep(made_with, key, views[key])
        return views

    def _known(self, made_with: str, key: ViewKey) -> View | None:
        with self._lock:
            view = self._kept.get((made_with, key))
            if view is not None:
                self._kept.move_to_end((made_with, key))
            return view

    def _keep(self, made_with: str, key: ViewKey, view: View) -> None:
        with self._lock:
            self._kept[made_with, key] = view
            while self._kept and sum(map(_size, self._kept.values())) > self._room:
                self._kept.popitem(last=False)


def _made_with(config: Config) -> str:
    """The settings that views hang on, beside their columns, as text."""
    settings = config.model_dump(mode="json", include={"train", "recommend"}, exclude=_BESIDE_VIEWS)
    return json.dumps(settings, sort_keys=True)


def _size(view: View) -> int:
    parts = (
        view.features, view.beside, view.places, view.is_label, view.is_shown, view.starts,
        view.labels,
    )  # fmt: skip
    return sum(part.nbytes for part in parts)
