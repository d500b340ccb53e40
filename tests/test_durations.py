"""Durations and instants as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.durations import (
    days,
    format_duration,
    format_instant,
    format_seconds,
    parse_duration,
    parse_instant,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", timedelta(seconds=45)),
        ("30min", timedelta(minutes=30)),
        ("3h", timedelta(hours=3)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("1y", timedelta(days=365)),
        ("1.5 h", timedelta(minutes=90)),
        (" 7d ", timedelta(days=7)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["0d", "-7d", "7", "d", "7 days", "", "1e3d", "9" * 20 + "y", 7])
def test_what_is_no_duration_above_zero_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration above zero"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=36_500)))
def test_a_written_duration_reads_back_as_the_same(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


def test_days_are_fractional() -> None:
    assert days(timedelta(hours=36)) == 1.5


def test_an_instant_of_any_zone_becomes_utc() -> None:
    assert parse_instant("2011-11-20T01:30:00+01:30") == datetime(2011, 11, 20, tzinfo=UTC)
    assert parse_instant("2011-11-20T01:30:00+01:30").tzinfo is UTC


@pytest.mark.parametrize("text", ["2011-11-20T00:00:00", "2011-11-20", "20111120"])
def test_an_instant_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        parse_instant(text)


@pytest.mark.parametrize("text", ["yesterday", "", None, "2011-13-01T00:00:00Z"])
def test_what_is_no_instant_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected an instant with a zone"):
        parse_instant(text)


def test_an_instant_that_utc_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="between the years 1 and 9999"):
        parse_instant("0001-01-01T00:00:00+05:00")


@given(
    st.datetimes(
        min_value=datetime(1, 1, 3),
        max_value=datetime(9999, 12, 29),
        timezones=st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
    )
)
def test_a_written_instant_reads_back_as_the_same(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (245, "4 min 05 s"),
     (3599.9, "1 h 00 min"), (7260, "2 h 01 min")],
)  # fmt: skip
def test_seconds_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
