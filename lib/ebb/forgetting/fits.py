"""Which of the half-lives that were learned hold at an instant.

The readers of interests with Spark and without both go by this. Pure Python; never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ebb.durations import format_instant, parse_instant
from ebb.stamps import Commit

# That learns them.
STEP = "forgetting"


@dataclass(frozen=True)
class Fit:
    """Half-lives that were learned together: a slice of `half_lives`.

    Attributes
    ----------
    as_of : they were learned from what is known strictly before it.
    version : of the table, which brought the slice: what is learned again is another fit.
    tuned : facet to the half-life, days, that is best for all. A facet of which nothing could be
        learned isn't in it.
    """

    as_of: datetime
    version: int
    tuned: Mapping[str, float]

    @staticmethod
    def of(commit: Commit) -> Fit | None:
        stamp = commit.stamp
        if stamp is None or stamp.step != STEP or stamp.as_of is None:
            return None
        return Fit(stamp.as_of, commit.version, stamp.facts["tuned"])

    def to_facts(self) -> dict[str, Any]:
        as_of = format_instant(self.as_of)
        return {"as_of": as_of, "version": self.version, "tuned": dict(self.tuned)}

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> Fit:
        return Fit(parse_instant(facts["as_of"]), facts["version"], facts["tuned"])


def fits_of(newest_first: Iterable[Commit]) -> tuple[Fit, ...]:
    """Every fit, the earliest as_of first; of those of one as_of the last that was written.

    Parameters
    ----------
    newest_first : commits of `half_lives`, newest first.
    """
    last: dict[datetime, Fit] = {}
    for commit in newest_first:
        fit = Fit.of(commit)
        if fit is not None:
            last.setdefault(fit.as_of, fit)
    return tuple(last[as_of] for as_of in sorted(last))


def held_at(fits: Sequence[Fit], as_of: datetime) -> Fit | None:
    """The latest fit up to an instant: it has learned from what came strictly before.

    Parameters
    ----------
    fits : the earliest as_of first.
    """
    known = [fit for fit in fits if fit.as_of <= as_of]
    return known[-1] if known else None
