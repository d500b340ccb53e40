from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ebb.recommend.histories import History, read_histories

PLACES = {"a": 0, "b": 1, "c": 2}
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("history", pa.float64()),
        ("profile", pa.float64()),
        ("confidence", pa.float64()),
        ("disliked", pa.bool_()),
        ("n", pa.int64()),
        ("last_ts", pa.timestamp("us", tz="UTC")),
    ]
)
USERS = st.dictionaries(
    st.sampled_from(["ann", "bob", "cid", "dot"]),
    st.tuples(st.booleans(), st.sets(st.sampled_from("abc"))),
)


def rows_of(users):
    """As `history_rows` lays them out: users together, the marking row first."""
    rows = []
    for user in sorted(users):
        marked, items = users[user]
        rows += [(user, None, None, None, None, None, None, None)] * marked
        rows += [(user, item, 1.0, 2.0, 3.0, False, 4, 5) for item in sorted(items)]
    return rows


@given(USERS, st.integers(1, 4))
def test_users_are_whole_however_they_are_cut_into_batches(users, size):
    rows = rows_of(users)
    table = pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
    )
    found = {h.user_id: h for h in read_histories(table.to_batches(max_chunksize=size), PLACES)}
    assert {user: h.items.tolist() for user, h in found.items()} == {
        user: sorted(PLACES[item] for item in items)
        for user, (marked, items) in users.items()
        if marked
    }
    for history in found.values():
        assert set(history.confidence.tolist()) <= {3.0}
        assert set(history.last_ts.tolist()) <= {5}


def test_an_empty_batch_between_others_loses_nobody():
    table = pa.Table.from_pylist(
        [
            dict(zip(SCHEMA.names, row, strict=True))
            for row in rows_of({"ann": (True, {"a", "b"}), "bob": (True, set())})
        ],
        schema=SCHEMA,
    )
    one, two = table.slice(0, 2).to_batches()[0], table.slice(2).to_batches()[0]
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    found = [h.user_id for h in read_histories([empty, one, empty, two, empty], PLACES)]
    assert found == ["ann", "bob"]
    assert list(read_histories([], PLACES)) == list(read_histories([empty], PLACES)) == []


def test_models_learn_from_the_latest_items_taken_and_never_from_disliked_ones():
    history = History(
        user_id="ann",
        items=np.arange(6),
        history=np.ones(6),
        profile=np.array([1.0, 1.0, 0.0, 1.0, 1.0, 0.2]),
        confidence=np.ones(6),
        disliked=np.array([False, True, False, False, False, False]),
        n=np.array([1, 1, 1, 0, 1, 1]),
        last_ts=np.array([7, 9, 9, 9, 7, 8]),
    )
    assert history.profile_entries(history.profile, 0.0, 1000).tolist() == [0, 4, 5]
    assert history.profile_entries(history.profile, 0.5, 1000).tolist() == [0, 4]
    assert history.profile_entries(history.profile, 0.0, 2).tolist() == [0, 5]
