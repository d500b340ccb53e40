"""What interests were made from, and which stored sums a reading at an as_of can go on from.

The readers with Spark (`reader.py`) and without (`frames.py`) both choose by this. Pure Python;
never imports Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ebb.config import KEPT, Events
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.forgetting.fits import Fit, fits_of, held_at
from ebb.interests.measures import Interests
from ebb.interests.slots import Slots
from ebb.interests.stored import Parts, Sum, distinct_sums, reach, stored_parts
from ebb.language.labels import Labels
from ebb.stamps import Commit

Commits = Callable[[], Iterable[Commit]]


@dataclass(frozen=True)
class Setup:
    """What interests are made from and how; kept in the facts of a night's commit.

    Attributes
    ----------
    epoch : of the events (`ingest.events_epoch`); it is another after a change under `events`.
    labels : what gives items further keys; None where nothing does. Stored sums hang on nothing of
        it but `told`.
    fit : the half-lives that measures by users' own go by; None where there is no such measure, or
        none were learned yet.
    """

    interests: Interests
    facets: tuple[str, ...]
    events: Events
    epoch: int
    labels: Labels | None = None
    fit: Fit | None = None

    @property
    def parts(self) -> dict[str, Parts]:
        """What each stored measure is made of."""
        tuned = self.fit.tuned if self.fit else {}
        return stored_parts(self.interests.measures, self.facets, tuned)

    @property
    def sums(self) -> tuple[Sum, ...]:
        return distinct_sums(self.parts)

    @property
    def told(self) -> tuple[str, ...]:
        """Types of events whose texts are kept beside their items (`named.py`)."""
        return self.labels.told if self.labels else ()

    def to_facts(self) -> dict[str, Any]:
        return {
            "interests": self.interests.model_dump(mode="json"),
            "facets": list(self.facets),
            "events": self.events.model_dump(mode="json"),
            "epoch": self.epoch,
            "labels": self.labels.to_facts() if self.labels else None,
            "fit": self.fit.to_facts() if self.fit else None,
        }

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> Setup:
        return Setup(
            Interests.model_validate(facts["interests"]),
            tuple(facts["facets"]),
            Events.model_validate(facts["events"]),
            facts["epoch"],
            Labels.from_facts(labels) if (labels := facts.get("labels")) else None,
            Fit.from_facts(fit) if (fit := facts.get("fit")) else None,
        )

    def stores_as(self, other: Setup) -> bool:
        """Whether sums stored under the other hold under this one as well."""
        same_slots = self.interests.slots == other.interests.slots
        same_events = self.epoch == other.epoch and self.told == other.told
        same_sums = self.sums == other.sums and self.fit == other.fit
        return same_events and same_slots and same_sums

    def with_fit(self, fits: Commits, as_of: datetime) -> Setup:
        """The same with the half-lives that hold at an instant, where a measure goes by them."""
        fit = held_at(fits_of(fits()), as_of) if self.interests.by_own else None
        return replace(self, fit=fit)


@dataclass(frozen=True)
class Stored:
    """The stored sums of one version of `interest_state`.

    Attributes
    ----------
    is_latest : nothing but upkeep came after it: the table is to be read as it is now. Delta
        refuses to read a version by its number once that is older than what vacuum leaves.
    rows_a_slot : rows that the version brought, for each slot that it brought up.
    """

    version: int
    slots: Slots
    setup: Setup
    is_latest: bool = False
    rows_a_slot: float = 0.0

    @staticmethod
    def of(commit: Commit) -> Stored | None:
        stamp = commit.stamp
        if stamp is None or stamp.step != "interests":
            return None
        facts = dict(stamp.facts)
        return Stored(
            commit.version,
            Slots.from_facts(facts["slots"]),
            Setup.from_facts(facts["setup"]),
            rows_a_slot=commit.rows_written / max(1, facts["brought"]),
        )


@dataclass(frozen=True)
class Reading:
    """How interests at an instant are to be read.

    Attributes
    ----------
    stored : sums to go on from; None where all events have to be read.
    below : only events of ingests numbered below this are known; None: all are.
    """

    setup: Setup
    stored: Stored | None
    below: int | None


def latest(newest_first: Iterable[Commit]) -> Stored | None:
    """The stored sums as they are now, from the commits of `interest_state`."""
    found = (Stored.of(commit) for commit in newest_first)
    return next((replace(stored, is_latest=True) for stored in found if stored), None)


def choose_reading(states: Commits, fits: Commits, as_of: datetime, root: str) -> Reading:
    """Find the stored sums that a reading at `as_of` can go on from.

    Parameters
    ----------
    states, fits : give the commits of `interest_state` and of `half_lives`, newest first; only as
        many are taken as it needs.

    Raises
    ------
    RunError
        When no night has computed interests under `root` yet.
    """
    now = latest(states())
    if now is None:
        raise RunError(
            f"there are no interests under {root}; "
            f"run: ./spark-submit.sh interests --as-of {format_instant(as_of)}"
        )
    setup, below = now.setup.with_fit(fits, as_of), None
    if setup.interests.late == "frozen":
        below = _known_below(states(), as_of)
    if reach(setup.interests.measures) is None:
        return Reading(setup, None, below)
    return Reading(setup, _usable(states(), now, setup, as_of, below), below)


def _known_below(newest_first: Iterable[Commit], as_of: datetime) -> int | None:
    """The batch below which the night of `as_of` knew the events; None if it had no night."""
    for commit in newest_first:
        stamp = commit.stamp
        if stamp and stamp.step == "interests" and stamp.as_of == as_of:
            return int(stamp.facts["batch"])
    return None


def _usable(
    newest_first: Iterable[Commit],
    now: Stored,
    setup: Setup,
    as_of: datetime,
    below: int | None,
) -> Stored | None:
    """The newest version whose sums are all from before `as_of`, and of known events only."""
    for commit in newest_first:
        stored = Stored.of(commit)
        if stored is None or not setup.stores_as(stored.setup):
            continue
        if stored.version != now.version and commit.at < datetime.now(UTC) - KEPT:
            return None
        known = below is None or stored.slots.last_batch <= below
        if known and stored.slots.latest <= as_of:
            return now if stored.version == now.version else stored
    return None
