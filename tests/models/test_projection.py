"""The projection of texts: against least squares written out, in any order, and what it learns."""

from __future__ import annotations

import random
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ebb.language.cosines import whole
from ebb.language.settings import Projection
from ebb.models import projection as projection_module
from ebb.models.projection import Texts, next_item_means, project, projection, with_likeness
from models.lines import AS_OF

PAIRS = "user_id string, item_id string, last_ts timestamp"
VECTORS = "item_id string, vector array<float>"


def test_each_item_is_learned_from_after_the_mean_of_those_before_it() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    means = next_item_means(whole(vectors), np.array([10, 20, 30]))
    # The second item after the first, the third after the mean of both.
    gists, taken = np.array([[1.0, 0.0], [0.5, 0.5]]), vectors[1:]
    expected = np.vstack(
        [
            np.hstack([gists.T @ gists, gists.T @ taken]) / 2,
            np.hstack([gists.mean(axis=0), taken.mean(axis=0)]),
        ]
    )
    assert means == pytest.approx(expected, abs=1e-6)


def test_what_was_taken_at_one_instant_does_not_lead_to_itself() -> None:
    vectors = whole(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    assert next_item_means(vectors, np.array([10, 10, 10])) is None
    means = next_item_means(vectors, np.array([10, 10, 20]))
    assert means is not None and means[-1] == pytest.approx([0.5, 0.5, 0.6, 0.8], abs=1e-6)


def test_users_are_told_apart_whatever_batches_their_rows_come_in(monkeypatch) -> None:
    monkeypatch.setattr(projection_module, "_ROWS_AT_ONCE", 2)
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0], [0.0, 1.0]])
    table = pa.table(
        {
            "user_id": ["u", "u", "v", "w", "w"],
            "at": [10, 20, 10, 10, 20],
            "vector": pa.array(vectors.tolist(), pa.list_(pa.float32())),
        }
    )
    # v took one thing, and nothing after it.
    one = next_item_means(whole(vectors[:2]), np.array([10, 20]))
    assert one is not None
    for size in (1, 2, 5):
        found = list(projection_module._of_users(table.to_batches(max_chunksize=size)))
        assert [of for _, of in found] == [1, 1]
        for sums, _ in found:
            assert sums / 2**36 == pytest.approx(one, abs=1e-9)


def test_the_projection_is_that_of_least_squares_over_every_gist_and_item() -> None:
    draw = np.random.default_rng(3)
    items, gists = draw.standard_normal((7, 3)), draw.standard_normal((20, 3))
    taken = draw.integers(0, 7, 20)
    ones = np.ones((20, 1))
    left, both = np.hstack([gists, ones]), np.hstack([gists, items[taken]])
    of_items = np.hstack([items, np.ones((7, 1))]).T @ items / 7
    found = projection(left.T @ both / 20, of_items, 1e-10)

    # A regression on all products of [g, 1] and [v, 1], of a row for each gist and item.
    every = np.hstack([items, np.ones((7, 1))])
    design = np.einsum("sa,ib->siab", left, every).reshape(140, 16)
    wanted = (np.arange(7) == taken[:, None]).astype(float).reshape(140)
    fitted = np.linalg.lstsq(design, wanted, rcond=None)[0].reshape(4, 4)
    assert found / 7 == pytest.approx(fitted[:, :3], abs=1e-6)


def test_likeness_and_what_was_learned_are_equally_long_before_they_are_weighed() -> None:
    learned = np.array([[0.0, 6.0], [8.0, 0.0], [5.0, 10.0]])
    # The root of the mean square of the singular values, 6 and 8, is √50.
    expected = np.array([[0.75, 1.5], [2.0, 0.75], [1.25, 2.5]])
    expected[[0, 1, 2, 2], [1, 0, 0, 1]] /= np.sqrt(50)
    assert with_likeness(learned, 0.75) == pytest.approx(expected)
    assert with_likeness(np.zeros((3, 2)), 0.75)[:2] == pytest.approx(0.75 * np.eye(2))


def test_items_lead_to_what_follows_them_whatever_the_order_of_rows(spark: SparkSession) -> None:
    # Who has something of the first dimension goes on to the second, and never stays.
    draw = random.Random(5)
    vectors = [(f"a{n}", [1.0, 0.0, 0.1 * n]) for n in range(3)]
    vectors += [(f"b{n}", [0.0, 1.0, 0.1 * n]) for n in range(3)]
    vectors = [(item, (np.array(v) / np.linalg.norm(v)).tolist()) for item, v in vectors]
    vectors.append(("unknown", [0.0, 0.0, 0.0]))
    pairs = []
    for user in range(9):
        pairs.append((f"u{user}", f"a{draw.randrange(3)}", AS_OF - timedelta(days=9)))
        pairs.append((f"u{user}", f"b{draw.randrange(3)}", AS_OF - timedelta(days=draw.random())))

    def factors(rows: list, partitions: int) -> dict[str, list[float]]:
        frame = spark.createDataFrame(rows, PAIRS).repartition(partitions)
        known = spark.createDataFrame(vectors, VECTORS).repartition(partitions)
        found = project(frame, Texts(known, Projection(likeness=0.1)))
        assert found is not None and (found.users, found.items) == (
            9,
            len({item for _, item, _ in rows}),
        )
        return {row["item_id"]: row["factors"] for row in found.rows.collect()}

    found = factors(pairs, 1)
    assert factors(draw.sample(pairs, len(pairs)), 3) == found
    assert found.keys() == {item for item, _ in vectors} - {"unknown"}
    likeness = {item: np.dot(found["a0"], v) for item, v in vectors}
    assert min(likeness[f"b{n}"] for n in range(3)) > max(likeness[f"a{n}"] for n in range(3))


def test_without_anything_taken_after_something_else_there_is_none(spark: SparkSession) -> None:
    pairs = spark.createDataFrame([("u", "a", AS_OF), ("v", "b", AS_OF)], PAIRS)
    vectors = spark.createDataFrame([("a", [1.0, 0.0]), ("b", [0.0, 1.0])], VECTORS)
    assert project(pairs, Texts(vectors, Projection())) is None
    assert project(pairs, Texts(vectors.limit(0), Projection())) is None
