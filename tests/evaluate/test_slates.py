import random
from datetime import UTC, datetime, timedelta

import pytest

from ebb.evaluate.metrics import hit_rate, mrr, ndcg, recall
from ebb.evaluate.slates import evaluate_slates, labels_after

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = AS_OF + timedelta(days=7)
EVENT = "user_id string, item_id string, event_type string, event_ts timestamp, weight double"
SLATE, LABEL = "user_id string, rank int, item_id string", "user_id string, item_id string"


def served(spark, slates: dict[str, list[str]]):
    rows = [(user, at, item) for user, slate in slates.items() for at, item in enumerate(slate, 1)]
    return spark.createDataFrame(rows, SLATE)


def truth(spark, labels: dict[str, set[str]]):
    return spark.createDataFrame([(u, i) for u, items in labels.items() for i in items], LABEL)


def figures(frame) -> dict[str, float]:
    return {row.metric: row.value for row in frame.collect()}


def test_two_users_by_hand_one_of_them_without_a_slate(spark) -> None:
    slates = served(spark, {"u1": ["a", "b"], "idle": ["c", "a"]})
    labels = truth(spark, {"u1": {"b", "z"}, "u2": {"a"}})
    rows = evaluate_slates(slates, labels, n=2, eligible_items=6)
    assert {row.users for row in rows.collect()} == {2}
    assert figures(rows) == pytest.approx(
        {
            "recall@2": 0.5 / 2,
            "ndcg@2": 0.6309297535714575 / 1.6309297535714575 / 2,
            "hit_rate@2": 1 / 2,
            "mrr@2": 0.5 / 2,
            # a, b and c, the slate of a user without labels among them, of 6.
            "coverage@2": 3 / 6,
        }
    )


def test_random_slates_agree_with_the_pure_functions(spark) -> None:
    draw = random.Random(3)
    items = [f"i{k}" for k in range(30)]
    slates = {f"u{k}": draw.sample(items, draw.randint(0, 12)) for k in range(40)}
    labels = {f"u{k}": set(draw.sample(items, draw.randint(1, 15))) for k in range(20, 60)}
    n = 10
    shown = {item for slate in slates.values() for item in slate[:n]}
    expected = {
        f"{name}@{n}": sum(f(slates.get(u, []), truth, n) for u, truth in labels.items()) / 40
        for name, f in (("recall", recall), ("ndcg", ndcg), ("hit_rate", hit_rate), ("mrr", mrr))
    } | {f"coverage@{n}": len(shown) / 30}
    rows = evaluate_slates(served(spark, slates), truth(spark, labels), n, eligible_items=30)
    assert figures(rows) == pytest.approx(expected, rel=1e-12)


def test_nobody_to_judge_leaves_no_means_and_nothing_eligible_no_coverage(spark) -> None:
    slates, nobody = served(spark, {"u1": ["a"]}), truth(spark, {})
    assert figures(evaluate_slates(slates, nobody, 1, eligible_items=4)) == {"coverage@1": 0.25}
    assert evaluate_slates(slates, nobody, 1, eligible_items=0).collect() == []


def test_the_label_window_holds_its_first_instant_and_not_its_last(spark) -> None:
    instants = [
        ("before", AS_OF - timedelta(microseconds=1)),
        ("first", AS_OF),
        ("last", UNTIL - timedelta(microseconds=1)),
        ("after", UNTIL),
    ]
    rows = [("u", item, "view", ts, 1.0) for item, ts in instants]
    labels = labels_after(spark.createDataFrame(rows, EVENT), AS_OF, UNTIL)
    assert {tuple(row) for row in labels.collect()} == {("u", "first"), ("u", "last")}


def test_labels_are_distinct_and_leave_out_searches_dislikes_and_excluded_pairs(spark) -> None:
    rows = [
        ("u", "a", "view", AS_OF, 1.0),
        ("u", "a", "view", AS_OF + timedelta(days=1), 1.0),
        ("u", None, "search", AS_OF, 1.0),
        ("u", "b", "dislike", AS_OF, -1.0),
        ("u", "had", "view", AS_OF, 1.0),
        ("v", "had", "view", AS_OF, 1.0),
    ]
    had = spark.createDataFrame([("u", "had"), ("v", "other")], LABEL)
    labels = labels_after(spark.createDataFrame(rows, EVENT), AS_OF, UNTIL, exclude_pairs=had)
    assert sorted(map(tuple, labels.collect())) == [("u", "a"), ("v", "had")]
