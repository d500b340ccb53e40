from datetime import UTC, datetime, timedelta

import pytest

from ebb.evaluate.splits import (
    Split,
    leave_one_out,
    rolling_nights,
    sixty_twenty_twenty,
    time_split,
)

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EVENT = "user_id string, item_id string, event_id string, event_ts timestamp"


def events_at(spark, *instants: datetime):
    rows = [(f"u{k}", "a", f"e{k}", at) for k, at in enumerate(instants)]
    return spark.createDataFrame(rows, EVENT)


def ids(frame) -> list[str]:
    return sorted(row.event_id for row in frame.select("event_id").collect())


def test_what_is_known_ends_where_what_is_to_be_foreseen_begins(spark) -> None:
    split = time_split(AS_OF, DAY)
    tick = timedelta(microseconds=1)
    events = events_at(spark, AS_OF - tick, AS_OF, AS_OF + DAY - tick, AS_OF + DAY)
    assert ids(split.known(events)) == ["e0"]
    assert ids(split.to_foresee(events)) == ["e1", "e2"]


def test_nights_roll_back_from_the_last_by_the_step() -> None:
    nights = rolling_nights(AS_OF, 7 * DAY, nights=3, step=2 * DAY)
    assert [(AS_OF - night.as_of).days for night in nights] == [0, 2, 4]
    assert {night.until - night.as_of for night in nights} == {7 * DAY}
    apart = rolling_nights(AS_OF, 7 * DAY, nights=2)
    assert apart[1].until == apart[0].as_of


def test_splits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        time_split(datetime(2026, 3, 1), DAY)
    with pytest.raises(ValueError, match="expected an instant after"):
        Split(AS_OF, AS_OF)
    for nights, step in ((0, DAY), (2, -DAY)):
        with pytest.raises(ValueError, match="expected at least 1, and above zero"):
            rolling_nights(AS_OF, DAY, nights, step)


def test_each_users_last_event_is_held_out_and_ties_go_by_event_id(spark) -> None:
    rows = [
        ("u", "a", "e1", AS_OF),
        ("u", "b", "e3", AS_OF + DAY),
        ("u", "c", "e2", AS_OF + DAY),
        ("v", "a", "e5", AS_OF + DAY),
        ("v", "a", "e6", AS_OF),
        ("once", "a", "e7", AS_OF),
    ]
    events = spark.createDataFrame(rows, EVENT)
    known, held_out = leave_one_out(events)
    assert ids(held_out) == ["e3", "e5"]
    assert ids(known) == ["e1", "e2", "e6", "e7"]
    assert known.columns == held_out.columns == events.columns


def test_the_first_and_second_instant_have_60_and_80_percent_of_the_events_before(spark) -> None:
    # Ten events: six within the first hour, one in the second, one in the fourth, two in the ninth.
    minutes = [0, 1, 2, 3, 5, 59, 61, 200, 500, 510]
    events = events_at(spark, *(AS_OF + timedelta(minutes=at) for at in reversed(minutes)))
    validation, test = sixty_twenty_twenty(events)
    assert validation == Split(AS_OF + HOUR, AS_OF + 4 * HOUR)
    last = AS_OF + timedelta(minutes=510, microseconds=1)
    assert test == Split(validation.until, last)
    parts = (validation.known(events), validation.to_foresee(events), test.to_foresee(events))
    assert [part.count() for part in parts] == [6, 2, 2]


def test_too_few_events_cannot_be_split_in_three(spark) -> None:
    with pytest.raises(ValueError, match="no events"):
        sixty_twenty_twenty(events_at(spark).limit(0))
    with pytest.raises(ValueError, match="finer resolution"):
        sixty_twenty_twenty(events_at(spark, AS_OF, AS_OF + timedelta(minutes=1)))
