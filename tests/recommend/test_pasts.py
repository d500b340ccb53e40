from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ebb.recommend.pasts import DONE, PASSED, SHOWN_THEN, TAKEN_THEN, Past, read_blocks

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("place", pa.int32()),
        ("kind", pa.int32()),
        ("history_flat", pa.float64()),
        ("confidence", pa.float64()),
        ("n", pa.int64()),
        ("days", pa.int32()),
        ("last_ts", pa.timestamp("us", tz="UTC")),
        ("disliked", pa.bool_()),
        ("passed", pa.float64()),
    ]
)
ITEMS = st.sets(st.integers(0, 2))
USERS = st.dictionaries(
    st.sampled_from(["ann", "bob", "cid", "dot"]),
    st.tuples(st.booleans(), ITEMS, ITEMS, ITEMS, ITEMS),
)


def table_of(users) -> pa.Table:
    """As `past_rows` lays them out: users together, the marking row first."""
    rows = []
    for user in sorted(users):
        marked, items, passed, labels, shown = users[user]
        rows += [(user, *[None] * 9)] * marked
        own = [(user, item, DONE, 1.0, 3.0, 4, 2, 5, False, None) for item in items]
        own += [(user, item, PASSED, *[None] * 6, 0.5 + item) for item in passed]
        own += [(user, item, TAKEN_THEN, *[None] * 7) for item in labels]
        own += [(user, item, SHOWN_THEN, *[None] * 7) for item in shown]
        rows += sorted(own, key=lambda row: row[1:3])
    named = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(named, schema=SCHEMA)


@given(USERS, st.integers(1, 4))
def test_users_are_whole_however_they_are_cut_into_batches(users, size):
    batches = table_of(users).to_batches(max_chunksize=size)
    found = {past.user_id: past for block in read_blocks(batches) for past in block}
    assert {
        user: [p.tolist() for p in (own.items, own.passed, own.labels, own.shown_then)]
        for user, own in found.items()
    } == {
        user: [sorted(of) for of in places] for user, (marked, *places) in users.items() if marked
    }
    for past in found.values():
        assert past.sums.tolist() == [[1.0, 3.0]] * len(past.items)
        assert set(past.last_ts.tolist()) <= {5} and set(past.days.tolist()) <= {2}
        expected = [0.5 + item if item in past.passed else 0.0 for item in range(4)]
        assert past.passed_over(np.arange(4)).tolist() == expected


def test_an_empty_batch_between_others_loses_nobody():
    nothing: set[int] = set()
    ann, bob = (True, {0, 1}, nothing, nothing, nothing), (True, nothing, nothing, {2}, nothing)
    table = table_of({"ann": ann, "bob": bob})
    one, two = table.slice(0, 2).to_batches()[0], table.slice(2).to_batches()[0]
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    blocks = list(read_blocks([empty, one, empty, two, empty]))
    assert [past.user_id for block in blocks for past in block] == ["ann", "bob"]
    assert list(read_blocks([])) == list(read_blocks([empty])) == []


def test_models_learn_from_the_latest_items_taken_and_never_from_disliked_ones():
    past = Past(
        user_id="ann",
        items=np.arange(5),
        sums=np.ones((5, 2)),
        n=np.array([1, 1, 0, 1, 1]),
        days=np.ones(5, dtype=np.int64),
        last_ts=np.array([7, 9, 9, 7, 8]),
        disliked=np.array([False, True, False, False, False]),
        labels=np.zeros(0, dtype=np.int64),
    )
    assert past.latest_taken(1000).tolist() == [0, 3, 4]
    assert past.latest_taken(2).tolist() == [0, 4]
    known = np.array([False, True, True, True, True])
    assert past.latest_taken(1000, known).tolist() == [3, 4]
