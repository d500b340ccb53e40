"""The periods that a search tries settings of `foretell` on: how far each is ahead of the decayed
past. No table is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import pandas as pd

from ebb.boxes.foretell import SECTIONS, foretelling
from ebb.config import Config
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.evaluate.splits import Split
from ebb.foretell.learn import judge, require_torch
from ebb.foretell.pasts import Pasts
from ebb.foretell.settings import Foretell
from ebb.search.verdict import METRIC

# Trainings draw from torch's one generator.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class ForetoldNights:
    """Periods whose interests are foretold.

    Attributes
    ----------
    nights, aside : as `rolling.Nights` has them.
    pasts : at the beginning of those kept aside, of the nights, and of the periods before them.
    """

    nights: Sequence[Split]
    aside: Sequence[Split]
    pasts: Sequence[Pasts]
    sections: tuple[str, ...] = SECTIONS
    measure: str = "ahead of decay"

    def judged(self, config: Config, windows: Sequence[Split]) -> pd.DataFrame:
        """as_of, user_id (the user's place in the period) and how far the loss is below the
        baseline's, of what the periods before teach."""
        settings = config.foretell or Foretell()
        own = self.pasts if windows[0] in self.aside else self.pasts[len(self.aside) :]
        with _ONE_AT_A_TIME:
            found = judge(own, settings.model_copy(update={"judged": len(windows)}))
        if not found:
            raise RunError("foretell: nobody met a key again before the nights of the search")
        parts = [
            pd.DataFrame({"as_of": window.as_of, METRIC: one.ahead})
            for window, one in zip(windows, found, strict=True)
        ]
        return pd.concat(parts).rename_axis("user_id").reset_index()


def foretold_nights(night: Night) -> ForetoldNights:
    """Gather the pasts that all trials look at; runs jobs.

    Raises
    ------
    RunError
        When the extra `deep` isn't installed, or the events begin too late.
    """
    require_torch()
    search, settings = night.config.search, night.config.foretell or Foretell()
    held_out = search.aside + search.nights
    # Recurrent trials read steps; the others let them be.
    with foretelling(night, settings.model_copy(update={"kind": "lstm"})) as one:
        windows = one.windows(held_out + settings.periods)
        if len(windows) <= held_out:
            raise RunError(
                f"search: the events begin too late before {format_instant(night.as_of)} for "
                f"{held_out + 1} periods of foretell with a past of two; shorten foretell.period "
                "or name a later --as-of"
            )
        pasts = one.pasts(windows)
    return ForetoldNights(windows[search.aside : held_out], windows[: search.aside], pasts)
