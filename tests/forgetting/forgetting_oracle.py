"""The likelihood of returns by the book: loops, and integrals by adding up thin slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

Past = dict[str, list[float]]  # key to instants of events, days since as_of


def visits(events: Sequence[float], gap: float) -> list[tuple[float, float]]:
    """(start, end) of each visit: an event within the gap after the one before prolongs it."""
    found: list[tuple[float, float]] = []
    for ts in sorted(events):
        if found and ts - found[-1][1] <= gap:
            found[-1] = (found[-1][0], ts)
        else:
            found.append((ts, ts))
    return found


def excited(past: Sequence[tuple[float, float]], t: float, half_life: float) -> float:
    """Sum of 2^(-age / half_life) over the visits that ended before t."""
    return math.fsum(2.0 ** (-(t - end) / half_life) for _, end in past if end < t)


def returns(past: Past, gap: float, since: float, until: float) -> list[tuple[str, float]]:
    """(key, instant) of each return within [since, until)."""
    return [
        (key, start)
        for key, events in sorted(past.items())
        for start, _ in visits(events, gap)[1:]
        if since <= start < until
    ]


def log_likelihood(
    past: Past, half_life: float, rho: float, share: float, span: float, gap: float,
    since: float, until: float, slices: int = 20_000,
) -> float:  # fmt: skip
    """Log-likelihood of the returns within [since, until) under the intensity as written down."""
    scale = math.log(2.0) / (half_life * (1.0 - 2.0 ** (-span / half_life)))

    def rate(seen: list[tuple[float, float]], t: float) -> float:
        return rho * (share * scale * excited(seen, t, half_life) + (1.0 - share) / span)

    total = 0.0
    for events in past.values():
        seen = visits(events, gap)
        total += sum(math.log(rate(seen, t)) for t, _ in seen[1:] if since <= t < until)
        for (_, end), following in zip(seen, [*seen[1:], None], strict=True):
            begin = max(end + gap, since)
            stop = min(following[0] if following else until, until)
            width = (stop - begin) / slices
            if width > 0:
                middles = (begin + (i + 0.5) * width for i in range(slices))
                total -= width * math.fsum(rate(seen, t) for t in middles)
    return total
