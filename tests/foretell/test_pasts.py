"""What a past with a key comes to in numbers, against sums by hand."""

from __future__ import annotations

from math import log, log1p

import numpy as np
import pytest

from ebb.foretell.pasts import HALF_LIVES, Events, Pasts, pasts_of

SIZE = len(HALF_LIVES)
FLAT, ONE = SIZE - 1, HALF_LIVES.index(1.0)

# User 0 met key 0 one and three periods ago and key 1 half a period ago, and meets key 0 and the
# unmet key 2 in the period after; user 1 has no past; user 2 met key 4 long ago.
EVENTS = [
    (0, 0, 1.0, 2.0), (0, 0, 3.0, 1.0), (0, 0, -0.5, 4.0), (0, 1, 0.5, 1.0), (0, 2, 0.0, 1.0),
    (1, 3, -0.1, 1.0),
    (2, 4, 40.0, 1.0),
]  # fmt: skip


def events(rows: list[tuple[int, int, float, float]]) -> Events:
    group, key, age, weight = (np.array(column) for column in zip(*rows, strict=True))
    return Events(int(group[-1]) + 1, group, key, age, weight)


def pasts(steps: int = 3) -> Pasts:
    return pasts_of(events(EVENTS), steps)


def test_a_row_is_a_key_that_was_met_before_and_its_label_what_comes_after() -> None:
    found = pasts()
    assert found.group.tolist() == [0, 0, 2] and found.key.tolist() == [0, 1, 4]
    assert found.label.tolist() == [4.0, 0.0, 0.0]
    assert found.starts.tolist() == [0, 2, 3] and found.numbered.tolist() == [0, 0, 1]


def test_decayed_sums_stand_for_the_key_its_share_and_the_user() -> None:
    own, whole = 2 * 0.5 + 0.125, 2 * 0.5 + 0.125 + 2**-0.5
    row = pasts().features[0]
    assert row[ONE] == pytest.approx(log1p(own))
    assert row[SIZE + ONE] == pytest.approx(log((own + 1e-3) / (whole + 1e-3)))
    assert row[2 * SIZE + ONE] == pytest.approx(log1p(whole))
    assert row[FLAT] == pytest.approx(log1p(3.0))


def test_ages_periods_and_keys_come_last() -> None:
    # Of the key 1 and 3, of the user 0.5 and 3; in two periods; two keys.
    wanted = [log1p(1), log1p(3), log1p(0.5), log1p(3), log1p(2), log(2)]
    assert pasts().features[0, 3 * SIZE :] == pytest.approx(wanted)


def test_steps_hold_what_was_done_period_by_period_the_oldest_first() -> None:
    first, second, third = pasts().steps
    assert first[:, 0] == pytest.approx([log1p(1), 0, log1p(2)])
    assert first[:, 1] == pytest.approx([log1p(1), 0, log1p(3)])
    assert first[:, 2].tolist() == [1, 1, 1]
    assert second[:, 0] == pytest.approx([0, 0, log1p(1)])
    assert third[:, :2].tolist() == [[0, 0]] * 3 and third[:, 2].tolist() == [1, 1, 1]
    assert pasts_of(events([(0, 0, 1.5, 1.0)]), 3).steps[0, :, 2].tolist() == [0, 1, 1]


def test_a_linear_or_deep_network_reads_no_steps() -> None:
    assert pasts(0).steps.shape == (3, 0, 3)


def test_of_many_events_the_latest_alone_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebb.foretell.pasts.MOST_EVENTS", 2)
    found = pasts()
    assert found.features[0, FLAT] == pytest.approx(log1p(2.0))
    assert found.label.tolist() == [4.0, 0.0, 0.0]


def test_without_events_there_are_no_rows() -> None:
    nothing = pasts_of(events(EVENTS[5:6]), 3)
    assert len(nothing) == 0 and nothing.groups == 0
    joined = Pasts.joined([nothing, pasts(), pasts()])
    assert joined.groups == 4 and joined.label.tolist() == [4, 0, 0] * 2
