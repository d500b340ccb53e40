from __future__ import annotations

from datetime import timedelta

import pytest

from ebb.recommend.half_lives import HalfLives, half_lives_for, name_of, nearest_scale
from ebb.recommend.settings import HalfLifeSettings

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("span", "scale"),
    [(3650 * DAY, 30), (274 * DAY, 30), (14 * DAY, 1), (55 * DAY, 7), (25 * DAY, 3), (HOUR, 1)],
)
def test_the_scale_is_a_tenth_of_the_span_brought_to_a_round_number_of_days(span, scale) -> None:
    assert nearest_scale(span) == scale * DAY


def test_two_weeks_of_news_get_half_lives_of_hours_and_none_beyond_the_span() -> None:
    lives = half_lives_for(14 * DAY, HalfLifeSettings())
    assert lives.popularity == (HOUR, 3 * HOUR, 12 * HOUR, 2 * DAY, 7 * DAY, None)
    assert lives.history == (3 * HOUR, 12 * HOUR, 2 * DAY, 8 * DAY, None)
    assert lives.profile == (12 * HOUR, 3 * DAY, None)
    assert (lives.similarity, lives.confidence) == (DAY, DAY)


def test_configured_half_lives_win_and_flat_is_always_among_them() -> None:
    settings = HalfLifeSettings(popularity=("5d",), profile=("9d", "1d"), similarity="2d")
    lives = half_lives_for(300 * DAY, settings)
    assert lives.popularity == (5 * DAY, None)
    assert lives.profile == (9 * DAY, DAY, None)
    assert (lives.similarity, lives.confidence) == (2 * DAY, 30 * DAY)


def test_half_lives_survive_being_written_down() -> None:
    lives = half_lives_for(55 * DAY, HalfLifeSettings())
    assert HalfLives.from_facts(lives.to_facts()) == lives
    assert [name_of(h) for h in lives.history] == ["21h", "84h", "14d", "56d", "flat"]
