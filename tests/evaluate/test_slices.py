import pytest

from ebb.evaluate.slices import activity_slices, category_slices, warmth_slices

ACTIVITY = "user_id string, events int"
SHARES = "user_id string, category string, share double"


def slices(frame) -> dict[str, str]:
    rows = frame.collect()
    assert frame.columns == ["user_id", "slice"] and len({r.user_id for r in rows}) == len(rows)
    return {row.user_id: row.slice.removeprefix("activity: ") for row in rows}


def test_terciles_are_of_the_users_with_events(spark) -> None:
    events = {"cold": 0, "a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 100}
    activity = spark.createDataFrame(list(events.items()), ACTIVITY)
    wanted = {"a": "few", "b": "few", "c": "some", "d": "some", "e": "many", "f": "many"}
    assert slices(activity_slices(activity)) == wanted


def test_given_bounds_belong_to_the_lower_slice(spark) -> None:
    activity = spark.createDataFrame([("a", 5), ("b", 6), ("c", 50), ("d", 51)], ACTIVITY)
    wanted = {"a": "few", "b": "some", "c": "some", "d": "many"}
    assert slices(activity_slices(activity, bounds=(5, 50))) == wanted
    for bounds in ((5, 5), (0, 3)):
        with pytest.raises(ValueError, match="two rising numbers"):
            activity_slices(activity, bounds)


def test_users_without_events_are_cold(spark) -> None:
    activity = spark.createDataFrame([("a", 0), ("b", None), ("c", 1), ("d", 9)], ACTIVITY)
    wanted = {"a": "cold", "b": "cold", "c": "warm", "d": "warm"}
    assert slices(warmth_slices(activity)) == wanted
    assert slices(warmth_slices(activity, warm_from=2)) == wanted | {"c": "cold"}


def test_users_are_where_their_largest_share_is_and_rare_categories_together(spark) -> None:
    rows = [
        ("a", "jazz", 0.7),
        ("a", "rock", 0.3),
        ("b", "rock", 0.5),
        ("b", "jazz", 0.5),
        ("c", "folk", 1.0),
        ("d", "blues", 0.9),
        ("nothing", "jazz", 0.0),
    ]
    shares = spark.createDataFrame(rows, SHARES)
    found = slices(category_slices(shares, most=2))
    wanted = {"a": "jazz", "b": "jazz", "c": "(others)", "d": "blues"}
    assert found == {user: f"category: {name}" for user, name in wanted.items()}
