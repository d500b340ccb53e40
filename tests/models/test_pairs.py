from datetime import timedelta

from ebb.models.pairs import item_codes, pair_weights, taken, user_codes
from models.lines import AS_OF, frame

IDS = ["zebra", "Zebra", "ä", "10", "9", "a", "-1", "日本", "🎷", ""]


def test_a_pair_holds_decayed_sums_takes_and_the_latest_of_them(spark) -> None:
    lines = [
        ("u", "a", 10.0, 3.0),
        ("u", "a", 20.0, 2.0),
        ("u", "a", 5.0, -1.0),
        ("v", "a", 0.5, 1.0),
        ("u", None, 1.0, 1.0),
    ]
    half_lives = {"ten": timedelta(days=10), "flat": None}
    pairs = pair_weights(frame(spark, lines), AS_OF, half_lives).sort("user_id").collect()
    u = pairs[0]
    assert (u.user_id, u.item_id, u.flat, u.n) == ("u", "a", 4.0, 2)
    assert u.ten == 3.0 / 2 + 2.0 / 4 - 2**-0.5
    assert u.last_ts.timestamp() == (AS_OF - timedelta(days=10)).timestamp()
    assert not u.disliked
    assert [row.user_id for row in pairs] == ["u", "v"]


def test_disliked_is_what_adds_up_to_less_than_nothing_as_it_stands_or_decayed(spark) -> None:
    lines = [
        ("u", "long ago", 300.0, 5.0),
        ("u", "long ago", 1.0, -1.0),
        ("u", "net", 1.0, 1.0),
        ("u", "net", 300.0, -2.0),
        ("u", "zero", 1.0, 0.1),
        ("u", "zero", 1.0, 0.2),
        ("u", "zero", 1.0, -0.3),
        ("u", "never", 1.0, -1.0),
    ]
    pairs = pair_weights(frame(spark, lines), AS_OF, {"ten": timedelta(days=10)})
    disliked = {row.item_id: row.disliked for row in pairs.collect()}
    assert disliked == {"long ago": True, "net": True, "zero": False, "never": True}
    assert [row.item_id for row in taken(pairs).collect()] == ["zero"]


def test_item_codes_follow_the_ids_order_whatever_the_partitions(spark) -> None:
    items = spark.createDataFrame([(i,) for i in IDS * 2], "item_id string").repartition(7)
    codes = {row.item: row.item_id for row in item_codes(items).collect()}
    assert codes == dict(enumerate(sorted(IDS)))


def test_user_codes_are_dense_and_sorted_over_several_partitions(spark) -> None:
    ids = [*IDS, *(f"user {k}" for k in range(500))]
    users = spark.createDataFrame([(i,) for i in reversed(ids)], "user_id string").repartition(5)
    before = spark.conf.get("spark.sql.adaptive.coalescePartitions.enabled")
    # Adaptive execution would fold so few users into one partition, and show nothing.
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    try:
        codes = user_codes(users)
        assert codes.rdd.getNumPartitions() > 1
        assert {row.user: row.user_id for row in codes.collect()} == dict(enumerate(sorted(ids)))
    finally:
        spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", before)
    codes.unpersist()


def test_nobody_gets_no_codes(spark) -> None:
    nobody = spark.createDataFrame([], "user_id string")
    assert user_codes(nobody).collect() == []
