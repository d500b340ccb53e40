"""Which of people's events the stored sums hold: users by slot, each slot up to an instant.

The users are dealt to slots by their bucket. A night brings one slot's sums up to its as_of, so
that after as many nights as there are slots everybody's have been; what the sums lack is read
from the events. Pure Python; never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ebb.durations import format_instant, parse_instant

# Users are dealt to so many buckets by crc32(user_id), a hash that any language has.
USER_BUCKETS = 256


@dataclass(frozen=True)
class Slot:
    """A slot's sums are true at `as_of`, from the events of ingests numbered below `batch`."""

    as_of: datetime
    batch: int


@dataclass(frozen=True)
class Slots:
    """The state of every slot; users of bucket b are in slot b * len(slots) // 256."""

    slots: tuple[Slot, ...]

    @staticmethod
    def all_at(count: int, as_of: datetime, batch: int) -> Slots:
        return Slots((Slot(as_of, batch),) * count)

    @property
    def count(self) -> int:
        return len(self.slots)

    @property
    def earliest(self) -> datetime:
        return min(slot.as_of for slot in self.slots)

    @property
    def latest(self) -> datetime:
        return max(slot.as_of for slot in self.slots)

    @property
    def first_batch(self) -> int:
        """Events of ingests numbered below this one were known to every slot."""
        return min(slot.batch for slot in self.slots)

    @property
    def last_batch(self) -> int:
        return max(slot.batch for slot in self.slots)

    def due(self, as_of: datetime) -> tuple[int, ...]:
        """The slots to bring up to `as_of`: the oldest, and any that is older than a round."""
        oldest = min(range(self.count), key=lambda number: (self.slots[number].as_of, number))
        round_ago = as_of - timedelta(days=self.count)
        overdue = [n for n, slot in enumerate(self.slots) if slot.as_of < round_ago]
        return tuple(sorted({oldest, *overdue}))

    def brought(self, numbers: Iterable[int], as_of: datetime, batch: int) -> Slots:
        """The slots after the given ones have been brought up to `as_of`."""
        chosen = set(numbers)
        return Slots(
            tuple(Slot(as_of, batch) if n in chosen else s for n, s in enumerate(self.slots))
        )

    def to_facts(self) -> list[list[Any]]:
        return [[format_instant(slot.as_of), slot.batch] for slot in self.slots]

    @staticmethod
    def from_facts(facts: list[list[Any]]) -> Slots:
        return Slots(tuple(Slot(parse_instant(as_of), int(batch)) for as_of, batch in facts))
