from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebb.digits import significant_array
from ebb.errors import RunError
from ebb.recommend import topn
from ebb.recommend.factor_slates import (
    plan_blocks,
    scoring_bytes,
    ship_array,
    top_by_factors,
)
from ebb.recommend.score_keys import rounded
from ebb.recommend.topn import top_of_product


@dataclass
class Case:
    """Users and items, of few enough bits that single precision adds their products exactly."""

    vectors: np.ndarray
    factors: np.ndarray
    n: int
    allowed: np.ndarray | None
    seen: list[list[int]]

    def seen_as_arrays(self):
        starts = np.cumsum([0, *map(len, self.seen)])
        return starts, np.array([place for own in self.seen for place in own], dtype=np.int32)

    def top(self, tile=topn.TILE, users=slice(None)):
        vectors, seen = self.vectors[users], self.seen[users]
        starts, places = Case(vectors, self.factors, self.n, None, seen).seen_as_arrays()
        return top_of_product(
            *(vectors, self.factors, self.n),
            **{"allowed": self.allowed, "seen_starts": starts, "seen_places": places},
            tile=tile,
        )

    def oracle(self):
        """One user and one item at a time."""
        places, scores = [], []
        for vector, seen in zip(self.vectors, self.seen, strict=True):
            found = []
            for place, item in enumerate(self.factors):
                if place in seen or (self.allowed is not None and not self.allowed[place]):
                    continue
                product = sum(float(u) * float(v) for u, v in zip(vector, item, strict=True))
                found.append((-float(significant_array(product, 5)), place))
            best = sorted(found)[: self.n]
            none = self.n - len(best)
            places.append([place for _, place in best] + [-1] * none)
            scores.append([-score for score, _ in best] + [-np.inf] * none)
        shape = (len(self.vectors), self.n)
        return (
            np.array(places, dtype=np.int64).reshape(shape),
            np.array(scores, dtype=np.float32).reshape(shape),
        )


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@st.composite
def cases(draw):
    """Small worlds, most with many ties; some with numbers that only rounding makes equal."""
    b, m, r = draw(st.integers(0, 6)), draw(st.integers(0, 90)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.sampled_from([0, 1, 3, 40_000]))
    vectors = rng.integers(-2, 3, (b, r)).astype(np.float32)
    factors = (rng.integers(-most, most + 1, (m, r)) / 8).astype(np.float32)
    if draw(st.booleans()):
        factors = np.float32(123) + factors / 128
    share = draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    allowed = None if share is None else rng.random(m) < share
    seen = [rng.integers(0, m, rng.integers(0, 60) if m else 0).tolist() for _ in range(b)]
    return Case(vectors, factors, draw(st.integers(1, 30)), allowed, seen)


@given(cases(), st.integers(1, 120))
@settings(max_examples=300)
def test_the_top_equals_a_full_sort_by_rounded_score_and_place(case, tile):
    assert_same(case.top(tile), case.oracle())


@given(cases(), st.integers(1, 120), st.integers(0, 6))
def test_tiles_and_blocks_of_users_make_no_difference(case, tile, cut):
    whole = case.top()
    parts = [case.top(tile, slice(None, cut)), case.top(tile, slice(cut, None))]
    assert_same([np.concatenate(both) for both in zip(*parts, strict=True)], whole)


@pytest.mark.parametrize("strip", [1, 3, 64])
def test_strips_of_users_make_no_difference(strip, monkeypatch):
    rng = np.random.default_rng(strip)
    vectors = rng.integers(-8, 9, (64, 5)).astype(np.float32)
    factors = rng.integers(-8, 9, (3000, 5)).astype(np.float32)
    case = Case(vectors, factors, 20, None, [[place] for place in range(64)])
    whole = case.top()
    monkeypatch.setattr(topn, "STRIP", strip)
    assert_same(case.top(tile=700), whole)


@pytest.mark.parametrize("order", ["ascending", "descending", "equal", "two values", "zero"])
@pytest.mark.parametrize("tile", [100, 1000, 5000])
def test_a_catalogue_in_the_order_of_its_scores_is_no_harder_than_any_other(order, tile):
    score = {
        "ascending": np.arange(4000),
        "descending": np.arange(4000)[::-1],
        "equal": np.full(4000, 7),
        "two values": np.arange(4000) % 2,
        "zero": np.zeros(4000),
    }[order]
    vectors = np.array([[1.0], [0.0], [-1.0]], dtype=np.float32)
    case = Case(vectors, score[:, None].astype(np.float32), 9, None, [[3, 3999], [], [0]])
    assert_same(case.top(tile), case.oracle())


def test_scores_that_round_alike_tie_by_place():
    factors = np.array([[1.23456], [1.23464], [1.2346], [1.23449]], dtype=np.float32)
    places, scores = top_of_product(np.ones((1, 1), dtype=np.float32), factors, 4)
    assert places.tolist() == [[0, 1, 2, 3]]
    assert scores[0].tolist() == [np.float32(x) for x in (1.2346, 1.2346, 1.2346, 1.2345)]


def test_fewer_items_than_n_leave_minus_one_and_minus_infinity():
    factors = np.array([[2.0], [3.0], [1.0]], dtype=np.float32)
    places, scores = top_of_product(
        np.ones((2, 1), dtype=np.float32),
        factors,
        3,
        allowed=np.array([True, True, False]),
        seen_starts=np.array([0, 0, 2]),
        seen_places=np.array([1, 0]),
    )
    assert places.tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert scores.tolist() == [[3.0, 2.0, -np.inf], [-np.inf] * 3]


@given(
    st.lists(
        st.one_of(
            st.floats(width=32, allow_nan=False),
            st.integers(-45, 38).map(lambda k: np.float32(10.0**k)),
            st.floats(0.9, 1.1).map(np.float32),
        )
    )
)
def test_the_fast_rounding_is_that_of_digits(values):
    x = np.array(values, dtype=np.float32)
    with np.errstate(over="ignore"):
        expected = significant_array(x, 5).astype(np.float32)
        np.testing.assert_array_equal(rounded(x), expected)


def test_factors_may_be_a_read_only_map_of_a_file(tmp_path):
    case = _random_case(users=5, items=400)
    np.save(tmp_path / "factors.npy", case.factors)
    expected = case.top()
    case.factors = np.load(tmp_path / "factors.npy", mmap_mode="r")
    assert_same(case.top(), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, "n 0"),
        ({"tile": 0}, "tile 0"),
        ({"factors": np.zeros((4, 3), np.float32)}, r"shapes \(2, 2\), \(4, 3\)"),
        ({"allowed": np.ones(3, bool)}, "allowed"),
        ({"seen_starts": np.zeros(2, int)}, "seen_starts"),
        ({"seen_places": None}, "both or neither"),
        ({"seen_places": np.array([4])}, "outside 0 to 3"),
        ({"seen_places": np.array([-1])}, "outside 0 to 3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, words):
    given = {
        "vectors": np.zeros((2, 2), np.float32),
        "factors": np.zeros((4, 2), np.float32),
        "n": 1,
        "allowed": None,
        "seen_starts": np.array([0, 1, 1]),
        "seen_places": np.array([0]),
    }
    with pytest.raises(ValueError, match=words):
        top_of_product(**{**given, **change})


def _random_case(users, items, rank=4, n=10):
    rng = np.random.default_rng(users)
    vectors = (rng.integers(-99, 100, (users, rank)) / 64).astype(np.float32)
    factors = (rng.integers(-99, 100, (items, rank)) / 64).astype(np.float32)
    seen = [rng.integers(0, items, 20).tolist() for _ in range(users)]
    return Case(vectors, factors, n, rng.random(items) < 0.9, seen)


# --------------------------------------------------------------------------- on Spark
def test_spark_gives_what_the_oracle_gives(spark):
    case = _random_case(users=30, items=200)
    found = _on_spark(spark, case, partitions=3)
    assert found == _rows(case.oracle())


def test_a_user_who_has_seen_nothing_or_has_no_factors_needs_no_care(spark):
    factors = ship_array(spark.sparkContext, np.array([[1.0], [2.0]], dtype=np.float32))
    rows = [("a", [1.0], None), ("b", None, [0]), ("c", [-1.0], [1]), ("d", [1.0], [0, 1])]
    users = spark.createDataFrame(rows, "user_id string, factors array<float>, seen array<int>")
    found = top_by_factors(users, factors, 2).collect()
    assert sorted(map(tuple, found)) == [("a", 1, 1, 2.0), ("a", 2, 0, 1.0), ("c", 1, 0, -1.0)]


def test_nothing_is_shuffled_and_nothing_is_joined(spark):
    case = _random_case(users=4, items=20)
    name = ship_array(spark.sparkContext, case.factors)
    plan = top_by_factors(_users(spark, case), name, 3)._jdf.queryExecution().toString()
    assert "MapInArrow" in plan
    assert "Exchange" not in plan and "Join" not in plan


def test_spark_gives_each_worker_one_blas_thread(spark):
    def threads(batches):
        import os

        import pyarrow as pa

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"threads": [os.environ.get("OMP_NUM_THREADS")]})

    assert spark.range(1).mapInArrow(threads, "threads string").first()["threads"] == "1"


def _users(spark, case):
    rows = [
        (f"u{user:03}", vector.tolist(), seen)
        for user, (vector, seen) in enumerate(zip(case.vectors, case.seen, strict=True))
    ]
    return spark.createDataFrame(rows, "user_id string, factors array<float>, seen array<int>")


def _on_spark(spark, case, partitions):
    context = spark.sparkContext
    top = top_by_factors(
        _users(spark, case).repartition(partitions),
        ship_array(context, case.factors),
        case.n,
        allowed_name=ship_array(context, case.allowed),
    )
    return sorted(map(tuple, top.collect()))


def _rows(top):
    return [
        (f"u{user:03}", rank + 1, int(place), float(score))
        for user, (places, scores) in enumerate(zip(*top, strict=True))
        for rank, (place, score) in enumerate(zip(places, scores, strict=True))
        if place >= 0
    ]


# --------------------------------------------------------------------------- memory
def test_a_worker_of_a_million_items_of_rank_128_is_planned_below_2_gib():
    blocks = plan_blocks(2047, items=1_000_000, rank=128, n=50)
    assert blocks.bytes < 2047 << 20
    assert blocks == plan_blocks(8192, items=1_000_000, rank=128, n=50)  # the fastest fits


def test_less_memory_makes_smaller_blocks_down_to_a_limit_that_is_told():
    roomy = plan_blocks(4096, items=1_000_000, rank=128, n=1000)
    tight = plan_blocks(900, items=1_000_000, rank=128, n=1000)
    assert tight.bytes <= 900 << 20
    assert tight.users * tight.tile < roomy.users * roomy.tile
    with pytest.raises(RunError, match=r"memory_mb is 500, but .* set memory_mb to at least \d+"):
        plan_blocks(500, items=1_000_000, rank=128, n=1000)


@pytest.mark.parametrize("kind", ["random", "zeros"])
def test_scoring_a_block_takes_less_than_was_planned(kind):
    items, rank, n = 20_000, 16, 50
    blocks = plan_blocks(1024, items, rank, n)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((blocks.users, rank), dtype=np.float32)
    factors = rng.standard_normal((items, rank), dtype=np.float32)
    factors *= kind == "random"
    tracemalloc.start()
    top_of_product(vectors, factors, n, allowed=rng.random(items) < 0.9, tile=blocks.tile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= scoring_bytes(blocks.users, blocks.tile, items, rank, n)
