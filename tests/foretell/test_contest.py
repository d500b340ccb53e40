"""Who foretells: the network where it is clearly ahead, else the decayed past."""

from __future__ import annotations

import numpy as np
import pytest

from ebb.foretell.contest import Judged, verdict


def period(ahead: float, users: int = 40, spread: float = 0.1) -> Judged:
    """Users of one and of three units, whom the decayed past costs 0.5 a unit."""
    units = np.tile([1.0, 3.0], users // 2)
    decayed = 0.5 * units
    luck = spread * np.tile([1.0, -1.0, -1.0, 1.0], users // 4)
    return Judged(decayed - ahead * units + luck, decayed, units)


def test_a_network_that_is_ahead_on_every_period_serves() -> None:
    found = verdict([period(0.1), period(0.12), period(0.11)])
    assert found is not None and found.serves
    assert (found.network, found.decayed) == pytest.approx((0.39, 0.5))
    assert found.ahead.value == pytest.approx(0.11, abs=0.01)
    assert found.sentence.startswith("foretold by the network: loss 0.3900 against 0.5000")


def test_one_that_is_ahead_on_periods_that_disagree_does_not() -> None:
    found = verdict([period(0.2), period(-0.15), period(0.01)])
    assert found is not None and not found.serves and found.network < found.decayed
    assert found.sentence.startswith("foretold by the decayed past: ")
    assert found.sentence.endswith("no more than noise")


def test_users_of_whom_nothing_is_asked_change_no_figure_but_the_number() -> None:
    def among_silent(one: Judged) -> Judged:
        silent = np.zeros(len(one.units))
        return Judged(*(np.append(v, silent) for v in (one.network, one.decayed, one.units)))

    periods = [period(0.1), period(0.12)]
    found, same = verdict(periods), verdict([among_silent(one) for one in periods])
    assert found is not None and same is not None
    assert (same.network, same.decayed) == pytest.approx((found.network, found.decayed))
    assert same.ahead.value == pytest.approx(found.ahead.value, abs=1e-3)


def test_where_nothing_was_met_nobody_is_judged() -> None:
    nothing = np.zeros(4)
    assert verdict([]) is None and verdict([Judged(nothing, nothing, nothing)]) is None
