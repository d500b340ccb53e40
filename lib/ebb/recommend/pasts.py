"""What users did, as slates see it: a row a (user, item), then arrays, a block of users at a time.

The Spark part (`past_rows`) makes the rows; the numpy part (`read_blocks`) runs on executors,
inside Arrow batches, and never sees more than its own users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.models.pairs import pair_weights
from ebb.recommend.half_lives import HalfLives, name_of
from ebb.rounding import significant
from ebb.spread import spread_by_user

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

CONFIDENCE = "confidence"
# What a row says of an item: what the user did with it or how often they passed it over, before
# as_of; that they took it or were shown it, in the label window.
DONE, PASSED, TAKEN_THEN, SHOWN_THEN = range(4)
# Users and pairs of a block: bounds what a run of people with long pasts takes.
_MOST_USERS, _MOST_PAIRS = 256, 200_000
_COLUMNS = ("n", "days", "last_ts", "disliked", "passed")
# What a network foresees, in the row that marks a user.
_FORESEEN = ("state", "again_items", "again")


def sums_of(half_lives: HalfLives) -> dict[str, timedelta | None]:
    """The decayed sums of a past: `history` under each half-life, and the confidence of ALS."""
    history = {f"history_{name_of(h)}": h for h in half_lives.history}
    return {**history, CONFIDENCE: half_lives.confidence}


@dataclass(frozen=True)
class Past:
    """What one user did before as_of: one entry a distinct item, by the item's place.

    Attributes
    ----------
    items : (k,) places in the catalogue, ascending.
    sums : (k, s) decayed sums of weights, in the order of `sums_of`, to 6 significant digits.
    n, days, last_ts : (k,) how often the user took the item, on how many days, and when last
        (microseconds since 1970); 0 where they never did.
    disliked : (k,) the weights add up to less than nothing.
    labels : places of what the user took in the label window, ascending; empty without one.
    passed : (p,) places of what the user was shown and hasn't taken since, ascending.
    passed_sums : (p,) the decayed count of times that was.
    shown_then : places of what the user was shown in the label window, ascending.
    context : the latest value of each key of `Columns.context`; empty where there are none.
    state : (d,) what a network makes of the user (`sequences.foresee`); empty without one.
    again : (k,) the probability it gives to their taking each item again; empty too.
    """

    user_id: str
    items: Integers
    sums: Doubles
    n: Integers
    days: Integers
    last_ts: Integers
    disliked: Booleans
    labels: Integers
    passed: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    passed_sums: Doubles = field(default_factory=lambda: np.zeros(0))
    shown_then: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    context: tuple[str | None, ...] = ()
    state: Doubles = field(default_factory=lambda: np.zeros(0))
    again: Doubles = field(default_factory=lambda: np.zeros(0))

    def passed_over(self, items: Integers) -> Doubles:
        """(c,) how often the user was shown each of these places since they last took it."""
        sums = np.zeros(len(items))
        if len(self.passed):
            place = np.minimum(np.searchsorted(self.passed, items), len(self.passed) - 1)
            sums = np.where(self.passed[place] == items, self.passed_sums[place], 0.0)
        return sums

    def latest_taken(self, limit: int, is_known: Booleans | None = None) -> Integers:
        """Entries that a model may learn from: taken, not disliked and, if given, known to it.

        Of more than `limit` the latest (ties by item), so that one user can't cost what thousands
        do. Ascending.
        """
        wanted = (self.n > 0) & ~self.disliked
        entries = np.flatnonzero(wanted if is_known is None else wanted & is_known)
        if len(entries) > limit:
            newest_first = np.lexsort((entries, -self.last_ts[entries]))
            entries = np.sort(entries[newest_first[:limit]])
        return entries


def past_rows(
    events: DataFrame,
    users: DataFrame,
    places: DataFrame,
    as_of: datetime,
    half_lives: HalfLives,
    *,
    passed: DataFrame | None = None,
    labels: DataFrame | None = None,
    shown_then: DataFrame | None = None,
    contexts: DataFrame | None = None,
    foreseen: DataFrame | None = None,
) -> DataFrame:
    """One row a (user, item) and kind of it, and one without item a user to score.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.
    users : user_id, distinct.
    places : item_id, place, of all items of the catalogue.
    passed : user_id, item_id, passed (`impressions.passed_over`).
    labels, shown_then : user_id, item_id, distinct: what users took, and were shown, in the label
        window.
    contexts : user_id, context (`contexts.latest_contexts`).
    foreseen : user_id, state, again_items, again (`prepare.Prepared.foreseen`).

    Returns
    -------
    DataFrame of user_id, place, kind (`DONE`, ...), the sums, n, days, last_ts, disliked, passed,
    and the context and what is foreseen, if given; a user's rows lie together in one partition, the
    row that marks it as to be scored first.
    """
    sums = sums_of(half_lives)
    pairs = pair_weights(events, as_of, sums)
    # Rounded: from here on the same bits on any cluster.
    rounded = pairs.withColumns({name: significant(F.col(name)) for name in sums})
    rows = rounded.withColumns({"kind": F.lit(DONE), "passed": F.lit(None).cast("double")})
    for kind, more in ((PASSED, passed), (TAKEN_THEN, labels), (SHOWN_THEN, shown_then)):
        if more is not None:
            rows = rows.unionByName(more.withColumn("kind", F.lit(kind)), allowMissingColumns=True)
    known = F.broadcast(places.select("item_id", "place"))
    rows = rows.join(known, on="item_id", how="inner").drop("item_id")
    marked = users.select("user_id")
    for more in (contexts, foreseen):
        if more is not None:
            marked = marked.join(more, on="user_id", how="left")
    rows = rows.unionByName(marked, allowMissingColumns=True)
    wanted = rows.select(
        *("user_id", "place", "kind", *sums, *_COLUMNS),
        *(() if contexts is None else ("context",)),
        *(() if foreseen is None else _FORESEEN),
    )
    return spread_by_user(wanted).sortWithinPartitions("user_id", "place", "kind")


def read_blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Past]]:
    """Turn the rows of `past_rows` into blocks of users to score.

    A user may spread over several batches. Users without the row that marks them are passed over.
    """
    block: list[Past] = []
    pairs = 0
    for past in _pasts(batches):
        block.append(past)
        pairs += len(past.items)
        if len(block) >= _MOST_USERS or pairs >= _MOST_PAIRS:
            yield block
            block, pairs = [], 0
    if block:
        yield block


def _pasts(batches: Iterable[pa.RecordBatch]) -> Iterator[Past]:
    rest: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        if rest is not None:
            table = pa.concat_tables([rest, table])
        starts = _user_starts(table)
        yield from _split(table, starts)
        rest = table.slice(starts[-1]) if len(starts) else rest
    if rest is not None:
        yield from _split(rest, np.append(_user_starts(rest), len(rest)))


def _user_starts(table: pa.Table) -> Integers:
    """Rows at which a user begins."""
    users = table.column("user_id").combine_chunks()
    if len(users) == 0:
        return np.zeros(0, dtype=np.int64)
    changes = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.flatnonzero(changes) + 1)).astype(np.int64)


def _split(table: pa.Table, starts: Integers) -> Iterator[Past]:
    """The users between consecutive starts."""
    if len(starts) < 2:
        return
    table = table.slice(0, starts[-1]).combine_chunks()
    users = table.column("user_id").take(pa.array(starts[:-1])).to_pylist()
    places = table.column("place")
    is_marked = places.is_null().to_numpy(zero_copy_only=False)
    items = places.cast(pa.int64()).fill_null(-1).to_numpy()
    kind = table.column("kind").fill_null(DONE).to_numpy()
    names = table.column_names
    sums = np.column_stack([_numbers(table, name) for name in names[3 : names.index("n")]])
    disliked = table.column("disliked").fill_null(False).to_numpy(zero_copy_only=False)
    n, days = (_numbers(table, name).astype(np.int64) for name in ("n", "days"))
    last_ts = table.column("last_ts").cast(pa.int64()).fill_null(0).to_numpy()
    passed_sums = _numbers(table, "passed")
    for user, start, end in zip(users, starts[:-1], starts[1:], strict=True):
        if not is_marked[start]:
            continue
        theirs = np.arange(start + 1, end)
        own, passed, labels, shown_then = (
            theirs[kind[theirs] == one] for one in (DONE, PASSED, TAKEN_THEN, SHOWN_THEN)
        )
        yield Past(
            user_id=user,
            items=items[own],
            sums=sums[own],
            n=n[own],
            days=days[own],
            last_ts=last_ts[own],
            disliked=disliked[own],
            labels=items[labels],
            passed=items[passed],
            passed_sums=passed_sums[passed],
            shown_then=items[shown_then],
            context=_context(table, int(start)),
            **_foreseen(table, int(start), items[own]),
        )


def _context(table: pa.Table, row: int) -> tuple[str | None, ...]:
    """The context of the user whom a row marks, if it is looked at."""
    if "context" not in table.column_names:
        return ()
    return tuple(table.column("context")[row].as_py() or ())


def _foreseen(table: pa.Table, row: int, items: Integers) -> dict[str, Doubles]:
    """What a network foresees of the user whom a row marks, if anything."""
    if "state" not in table.column_names or not table.column("state")[row].is_valid:
        return {}
    state, places, shares = (table.column(name)[row].values.to_numpy() for name in _FORESEEN)
    again = np.zeros(len(items))
    again[np.searchsorted(items, places)] = shares
    return {"state": state, "again": again}


def _numbers(table: pa.Table, name: str) -> Doubles:
    column = table.column(name).cast(pa.float64())
    numbers: Doubles = column.fill_null(0.0).to_numpy()
    return numbers
