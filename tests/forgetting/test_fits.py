"""Which fit holds at an instant, without Spark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ebb.forgetting.fits import Fit, fits_of, held_at
from ebb.stamps import Commit, Stamp

DAY = timedelta(days=1)
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


def commit(version: int, as_of: datetime | None, step: str = "forgetting") -> Commit:
    stamp = Stamp(step, as_of, "c", facts={"tuned": {"item": float(version)}})
    return Commit(version, "WRITE", AS_OF, stamp, {})


# The third was learned for an earlier night, and the first was learned again; upkeep came last.
NEWEST_FIRST = [
    commit(4, None, "maintain"), commit(3, AS_OF), commit(2, AS_OF - 9 * DAY),
    commit(1, AS_OF + 7 * DAY), commit(0, AS_OF),
]  # fmt: skip


def test_the_latest_fit_up_to_an_instant_holds_in_whatever_order_they_were_learned() -> None:
    fits = fits_of(NEWEST_FIRST)
    just_before = AS_OF - timedelta(microseconds=1)
    held = {
        at: fit and fit.version
        for at in (AS_OF - 10 * DAY, just_before, AS_OF, AS_OF + 9 * DAY)
        for fit in (held_at(fits, at),)
    }
    assert list(held.values()) == [None, 2, 3, 1]


def test_a_fit_that_was_learned_again_is_another() -> None:
    again, first = (Fit.of(one) for one in (NEWEST_FIRST[1], NEWEST_FIRST[-1]))
    assert again is not None and first is not None
    assert again.as_of == first.as_of and again != first
    assert Fit.from_facts(again.to_facts()) == again
