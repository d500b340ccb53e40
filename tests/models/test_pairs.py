from datetime import timedelta

from ebb.models.pairs import item_codes, pair_weights, user_codes
from models.lines import AS_OF, frame

IDS = ["zebra", "Zebra", "ä", "10", "9", "a", "-1", "日本", "🎷", ""]


def test_a_pair_is_the_decayed_sum_of_its_events(spark) -> None:
    lines = [
        ("u", "a", 10.0, 1.0),
        ("u", "a", 20.0, -2.0),
        ("v", "a", 0.5, 1.0),
        ("u", None, 1.0, 1.0),
    ]
    pairs = pair_weights(frame(spark, lines), AS_OF, timedelta(days=10)).sort("user_id").collect()
    u = pairs[0]
    assert (u.user_id, u.item_id, u.weight) == ("u", "a", 0.5 - 2.0 / 4)
    assert [row.user_id for row in pairs] == ["u", "v"]


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
