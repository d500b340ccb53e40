"""Durations as people write them in YAML (``7d``, ``3h``) and instants with a zone.

Pure Python; never imports Spark.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w|y)")
DURATION_HELP = "a duration above zero such as 30min, 3h, 7d, 2w or 1y (a year is 365 days)"
INSTANT_HELP = "an instant with a zone such as 2011-11-20T00:00:00Z"


def parse_duration(text: object) -> timedelta:
    """Read ``"7d"`` as seven days; refuse anything that is not above zero.

    Raises
    ------
    ValueError
        When `text` is no number with one of the units s, min, h, d, w, y, or is zero.
    """
    if isinstance(text, timedelta):
        duration = text
    else:
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"expected {DURATION_HELP}")
        try:
            duration = float(match[1]) * _UNITS[match[2]]
        except OverflowError:
            raise ValueError(f"expected {DURATION_HELP}, at most a million years") from None
    if duration <= timedelta(0):
        raise ValueError(f"expected {DURATION_HELP}")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration in its largest unit that leaves a whole number: ``7d``, ``36h``."""
    for unit in ("y", "w", "d", "h", "min"):
        if duration % _UNITS[unit] == timedelta(0) and unit not in ("w", "y"):
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def format_seconds(seconds: float) -> str:
    """Write how long something took, as people read it: ``0.4 s``, ``12.3 s``, ``4 min 05 s``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def parse_instant(value: object) -> datetime:
    """Read an ISO 8601 instant that says its zone, as UTC.

    Raises
    ------
    ValueError
        When it can't be read or names no zone: an as_of without a zone means another
        night on another machine.
    """
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"expected {INSTANT_HELP}") from None
    if instant.tzinfo is None:
        raise ValueError(f"has no zone; expected {INSTANT_HELP}")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expected {INSTANT_HELP}, between the years 1 and 9999") from None


def format_instant(instant: datetime) -> str:
    """Write an instant as ``2011-11-20T00:00:00Z``, with microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def days(duration: timedelta) -> float:
    """Length in fractional days, the unit of every age and half-life in the maths."""
    return duration / timedelta(days=1)


def _instant_or_none(value: Any) -> Any:
    return None if value is None else parse_instant(value)


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Instant = Annotated[
    datetime, BeforeValidator(parse_instant), PlainSerializer(format_instant, return_type=str)
]
OptionalInstant = Annotated[
    datetime | None,
    BeforeValidator(_instant_or_none),
    PlainSerializer(lambda i: None if i is None else format_instant(i)),
]
