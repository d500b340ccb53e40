"""Whether the latest figure of a series is a sudden drop. Pure Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ebb.watch.settings import Watch

# The median absolute deviation times this estimates a normal standard deviation (Hampel 1974).
_TO_DEVIATION = 1.4826
# A series that hardly moved has a deviation of at least this part of its median.
_LEAST_DEVIATION = 0.02


@dataclass(frozen=True)
class Course:
    """The latest figure of a series beside those before it.

    Attributes
    ----------
    value : the latest. usual : the median of the nights before it. deviation : a robust standard
        deviation of theirs. nights : how many.
    change, plain_change : relative to what is usual, of the series and of the plain one beside it.
    is_drop : the figure fell suddenly, and by more than the plain one did.
    """

    value: float
    usual: float
    deviation: float
    nights: int
    change: float
    plain_change: float
    is_drop: bool


def course_of(own: Sequence[float], plain: Sequence[float], settings: Watch) -> Course | None:
    """See the latest night against the nights before it; None where there are too few.

    A figure drops where it is below the median of the nights before by more than
    `watch.deviations` robust standard deviations (the median and its deviation stand for mean and
    standard deviation, which one odd night would carry off), and plain popularity's didn't fall as
    much: where both fall, the people changed, or the day, and not the slates.

    Parameters
    ----------
    own, plain : figures night by night, the oldest first, of the slates and of plain popularity.
    """
    if len(own) != len(plain):
        raise ValueError(f"{len(own)} and {len(plain)} nights: expected one figure each a night")
    before = own[-settings.nights - 1 : -1]
    if len(before) < settings.least:
        return None
    usual = median(before)
    spread = _TO_DEVIATION * median([abs(x - usual) for x in before])
    deviation = max(spread, _LEAST_DEVIATION * usual)
    change = _change(own[-1], usual)
    plain_change = _change(plain[-1], median(plain[-settings.nights - 1 : -1]))
    fell = own[-1] < usual - settings.deviations * deviation
    return Course(
        own[-1], usual, deviation, len(before), change, plain_change, fell and change < plain_change
    )


def _change(value: float, usual: float) -> float:
    return value / usual - 1.0 if usual else 0.0
