"""Time in the demo world: milliseconds since 1970, in UTC.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ebb.config import World
from ebb.errors import ConfigError

DAY = 86_400_000
NEVER = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Clock:
    """The span [start, end) in which events happen."""

    start: int
    end: int

    @staticmethod
    def of(world: World) -> Clock:
        if world.start is None:
            raise ConfigError("world.start is empty, expected an instant: 2026-01-01T00:00:00Z")
        start = (world.start - _EPOCH) // timedelta(milliseconds=1)
        return Clock(start, start + world.days * DAY)

    @property
    def span(self) -> int:
        return self.end - self.start

    @property
    def last_day(self) -> int:
        """The last day with a file, in days since 1970."""
        return (self.end - 1) // DAY


def instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def iso(milliseconds: int) -> str:
    """As the landing files write it: 2026-01-01T00:00:00.000Z."""
    return instant(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
