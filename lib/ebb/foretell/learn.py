"""Learns to foretell from pasts at the beginnings of periods, and judges what it learned.

Needs torch for the learning; loads it when it comes to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebb.extras import require
from ebb.foretell.contest import Judged, Verdict, verdict
from ebb.foretell.pasts import HALF_LIVES, Pasts
from ebb.foretell.settings import Foretell

_MISSING = (
    "foretell needs torch, which the extra deep brings: pip install 'ebb[deep]', or leave "
    "foretell out"
)


@dataclass(frozen=True)
class Learned:
    """What a night foretells by.

    Attributes
    ----------
    raw : the foreteller's bytes (`model.Foreteller`), fitted on all periods.
    verdict : on one that was fitted on the periods before those held out.
    rows : that it was fitted on.
    half_life : of its decayed baseline, in periods; infinite where that counts what never fades.
    """

    raw: bytes
    verdict: Verdict
    rows: int
    half_life: float


def require_torch() -> None:
    """Tell what is missing before anything is fitted.

    Raises
    ------
    RunError
        When the extra `deep` isn't installed.
    """
    require(_MISSING, "torch")


def learn(pasts: Sequence[Pasts], settings: Foretell) -> Learned | None:
    """Judge on the latest periods what those before teach, then learn from all.

    Parameters
    ----------
    pasts : at the beginning of each period, the latest first.

    Returns
    -------
    None where there are too few periods, or nobody met anything again.
    """
    from ebb.foretell.model import Foreteller

    found = verdict(judge(pasts, settings))
    if found is None:
        return None
    whole = Pasts.joined(pasts)
    last = Foreteller.fitted(whole, settings)
    half_life = HALF_LIVES[last.baseline.column % len(HALF_LIVES)]
    return Learned(last.to_bytes(), found, len(whole), half_life)


def judge(pasts: Sequence[Pasts], settings: Foretell) -> list[Judged]:
    """How what the periods before teach does on each of the latest; parameters as of `learn`."""
    from ebb.foretell.model import Foreteller

    held_out, before = pasts[: settings.judged], pasts[settings.judged :]
    if not any(np.any(one.label > 0) for one in before):
        return []
    foreteller = Foreteller.fitted(Pasts.joined(before), settings)
    judged = []
    for one in held_out:
        sums, units = foreteller.losses(one)
        judged.append(Judged(sums["network"], sums["decayed"], units))
    return judged
