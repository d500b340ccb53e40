"""Figures, instants and names as the report writes them."""

from __future__ import annotations

from datetime import datetime

from ebb.evaluate.significance import Interval

_MINUS = "\N{MINUS SIGN}"
_LONGEST = 26


def figure(value: float, digits: int = 4) -> str:
    """0.1234; nothing for NaN."""
    return "" if value != value else f"{value:.{digits}f}".replace("-", _MINUS)


def signed(value: float) -> str:
    """+0.1234, with a minus sign that is one."""
    return f"{value:+.4f}".replace("-", _MINUS)


def interval(found: Interval) -> str:
    """+0.1234 [+0.1000, +0.1500]*: the star marks intervals that don't hold 0."""
    star = "*" if found.is_significant else ""
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]{star}"


def day(instant: datetime) -> str:
    """2026-02-25, or with the time of day where it isn't midnight; UTC."""
    midnight = not (instant.hour or instant.minute or instant.second)
    return f"{instant:%Y-%m-%d}" if midnight else f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def short(name: str) -> str:
    """A name cut to what a label has room for."""
    whole = " ".join(name.split())
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"
