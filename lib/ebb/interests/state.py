"""The stored sums: made from all events once, then one slot of users brought up a night.

`interest_state` holds, for each (user, item), the sums that can be carried on in time. Facets
aren't in it: a category's sum is the sum over its items, taken when interests are read, under the
catalogue of that as_of. So neither a changed catalogue nor another facet makes it stale.

A cancellation may reach back into what is stored. The (user, item) pairs that one touches are
summed anew from all their events; nothing is ever subtracted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.config import Config, Events
from ebb.events.ingest import events_epoch, user_bucket
from ebb.interests.counted import counted
from ebb.interests.named_columns import with_texts_named
from ebb.interests.own import learned_in, with_own
from ebb.interests.setup import Setup, Stored, latest
from ebb.interests.slots import USER_BUCKETS, Slots
from ebb.interests.snapshot import counted_totals, total_of
from ebb.language.labels import Labels
from ebb.schema import EVENTS, HALF_LIVES, INTEREST_STATE
from ebb.tables import Commit, Stamp, Tables

_PAIR = ("user_id", "item_id")
# A task that brings sums up, and the file that it writes, has about so many.
_SUMS_A_TASK = 250_000


def bring_up(tables: Tables, config: Config, stamp: Stamp) -> tuple[Commit, str]:
    """Bring the stored sums up to the night's as_of; says in words what was done.

    All slots are made from the events where there is nothing to go on from; otherwise the slot
    that is due is. Sums that are ahead of the night already are left as they are.
    """
    as_of = stamp.as_of
    if as_of is None:
        raise ValueError("interests are kept by as_of: the stamp needs one")
    setup, batch = _setup(tables, config, as_of), next_batch(tables)
    before = latest(tables.newest_first(INTEREST_STATE))
    if before is not None and _is_ahead(before, setup, as_of):
        none = tables.spark.createDataFrame([], INTEREST_STATE.schema)
        under = replace(setup, fit=before.setup.fit)
        tables.append(INTEREST_STATE, none, _stamped(stamp, before.slots, under, batch, 0))
        commit = tables.history(INTEREST_STATE, limit=1)[0]
        return commit, "the stored sums are ahead; this as_of is read from events"
    if before is None or not before.setup.stores_as(setup):
        slots = Slots.all_at(setup.interests.slots, as_of, batch)
        numbers = tuple(range(slots.count))
        tasks = _tasks_for_all(tables, slots.count)
        rows = _summed(_everything(tables, setup, as_of), setup, as_of, numbers, tasks)
        commit = _write(tables, rows, None, stamp, slots, setup)
        return commit, f"{commit.rows_written:,} sums, from all events"
    numbers = before.slots.due(as_of)
    slots = before.slots.brought(numbers, as_of, batch)
    tasks = _power_of_two(before.rows_a_slot / _SUMS_A_TASK, slots.count)
    rows = _summed(_brought(tables, before, as_of, numbers), setup, as_of, numbers, tasks)
    commit = _write(tables, rows, numbers, stamp, slots, setup)
    listed = ", ".join(str(number + 1) for number in numbers)
    return commit, f"{commit.rows_written:,} sums: slot {listed} of {slots.count} brought up"


def _is_ahead(before: Stored, setup: Setup, as_of: datetime) -> bool:
    """Whether the stored sums are of later nights, which would have to make them again.

    Such nights may know half-lives that were learned since.
    """
    later = replace(setup, fit=before.setup.fit)
    return before.slots.latest > as_of and before.setup.stores_as(later)


def stored_rows(tables: Tables, stored: Stored) -> DataFrame:
    """slot, user_id, item_id, stored_n, stored_last and the sums, true at stored_at."""
    version = None if stored.is_latest else stored.version
    return tables.read(INTEREST_STATE, version).select(
        "slot",
        *_PAIR,
        F.col("n").alias("stored_n"),
        F.col("last_ts").alias("stored_last"),
        F.col("as_of").alias("stored_at"),
        *(s.name for s in stored.setup.sums),
    )


def next_batch(tables: Tables) -> int:
    """All events taken in so far are of ingests numbered below this."""
    last = tables.history(EVENTS, limit=1)
    return last[0].version if last else 0


def lacking(events: DataFrame, slots: Slots, as_of: datetime, reach: timedelta) -> DataFrame:
    """Events that a reading at `as_of` needs beside the stored sums.

    Returns
    -------
    The columns of `events` with `fresh`: true where the stored sums lack the event, false where it
    is read again because a window or line still reaches it; and `late`: it happened before the
    instant at which its user's sums were true.
    """
    slot = slot_of(slots.count)
    since = _of_slot([F.lit(s.as_of) for s in slots.slots], slot)
    batch = _of_slot([F.lit(s.batch) for s in slots.slots], slot)
    first = min(slots.earliest, as_of - reach)
    recent = F.col("event_ts") >= F.lit(as_of - reach)
    late = F.col("event_ts") < since
    fresh = ~late | (F.col("batch") >= batch)
    # Literals, so that files that hold nothing of the sort are skipped.
    maybe = (F.col("event_ts") >= F.lit(first)) | (F.col("batch") >= F.lit(slots.first_batch))
    known = events.where((F.col("event_ts") < F.lit(as_of)) & maybe)
    return known.withColumn("late", late).withColumn("fresh", fresh).where(fresh | recent)


def apart(
    needed: DataFrame, stored: DataFrame, events: DataFrame, settings: Events, as_of: datetime
) -> tuple[DataFrame, DataFrame]:
    """Counted events and stored sums, after what cancellations reach has been set apart.

    A cancellation, or a late event that one may take back, changes what earlier events of its
    (user, item) count for. Those pairs lose their stored sums and get all of their events.
    """
    cancelled_by = settings.cancelled_by()
    if not cancelled_by:
        return counted(needed, settings, as_of, "fresh"), stored
    takes = F.col("event_type").isin(sorted(set(cancelled_by.values())))
    late_taken = F.col("late") & F.col("event_type").isin(sorted(cancelled_by))
    pairs = F.broadcast(
        needed.where(F.col("fresh") & (takes | late_taken)).select(*_PAIR).distinct()
    )
    others = needed.join(pairs, on=list(_PAIR), how="left_anti").drop("late")
    theirs = (
        events.where(F.col("event_ts") < F.lit(as_of))
        .join(pairs, on=list(_PAIR), how="left_semi")
        .withColumn("fresh", F.lit(True))
    )
    kept = stored.join(pairs, on=list(_PAIR), how="left_anti")
    return counted(others.unionByName(theirs), settings, as_of, "fresh"), kept


def slot_of(count: int) -> Column:
    """The slot of an event's user."""
    return F.floor(F.col("user_bucket") * F.lit(count) / F.lit(USER_BUCKETS)).cast("int")


def _of_slot(values: list[Column], slot: Column) -> Column:
    return F.get(F.array(*values), slot)


def _setup(tables: Tables, config: Config, as_of: datetime) -> Setup:
    labels = Labels.of(config, config.facets)
    setup = Setup(config.interests, config.facets, config.events, events_epoch(tables), labels)
    return setup.with_fit(lambda: tables.newest_first(HALF_LIVES), as_of)


def _everything(tables: Tables, setup: Setup, as_of: datetime) -> DataFrame:
    events = with_texts_named(tables.read(EVENTS), setup.told)
    known = counted(events, setup.events, as_of, "user_bucket")
    return _with_own(tables, known, setup, as_of)


def _brought(
    tables: Tables, before: Stored, as_of: datetime, numbers: tuple[int, ...]
) -> DataFrame:
    """Stored sums of the slots, and the events that they lack."""
    own = tables.read(EVENTS).where(_in_slots(numbers, before.slots.count))
    events = with_texts_named(own, before.setup.told)
    needed = lacking(events, before.slots, as_of, timedelta(0))
    rows = stored_rows(tables, before).where(F.col("slot").isin(*numbers)).drop("slot")
    fresh, kept = apart(needed, rows, events, before.setup.events, as_of)
    both = fresh.unionByName(kept, allowMissingColumns=True)
    rows = both.withColumn("user_bucket", user_bucket(F.col("user_id")))
    return _with_own(tables, rows, before.setup, as_of)


def _with_own(tables: Tables, rows: DataFrame, setup: Setup, as_of: datetime) -> DataFrame:
    return with_own(rows, learned_in(tables, setup.fit), as_of, setup.sums)


def _in_slots(numbers: tuple[int, ...], count: int) -> Column:
    width = USER_BUCKETS // count
    within = [F.col("user_bucket").between(n * width, (n + 1) * width - 1) for n in numbers]
    return reduce(Column.__or__, within)


def _summed(
    rows: DataFrame, setup: Setup, as_of: datetime, numbers: tuple[int, ...], tasks: int
) -> DataFrame:
    """One row a (user, item) of the slots `numbers`, behind one shuffle; `tasks` for each slot."""
    count = setup.interests.slots
    dealt = (
        rows.where(F.col("item_id").isNotNull())
        .withColumn("part", _dealt(count, numbers, tasks))
        .withColumn("slot", slot_of(count))
        .drop("event_id", "user_bucket")
        .repartitionById(tasks * len(numbers), "part")
    )
    sums = [total_of(s, rows.columns, setup.events.types, as_of).alias(s.name) for s in setup.sums]
    summed = dealt.groupBy("part", "slot", *_PAIR).agg(*counted_totals(rows.columns), *sums)
    return (
        summed.where(F.col("n") > 0)
        .drop("part")
        .withColumn("as_of", F.lit(as_of))
        .sortWithinPartitions("slot", *_PAIR)
    )


def _dealt(count: int, numbers: tuple[int, ...], tasks: int) -> Column:
    """The task that a user's bucket goes to: no task has two slots, so each writes one file."""
    place = F.array_position(F.array(*map(F.lit, numbers)), slot_of(count)) - 1
    task = F.floor(F.col("user_bucket") * F.lit(count * tasks) / F.lit(USER_BUCKETS)) % tasks
    return (place * tasks + task).cast("int")


def _tasks_for_all(tables: Tables, count: int) -> int:
    """Tasks for each slot when all are made: together as many as a shuffle has, or more."""
    wanted = int(tables.spark.conf.get("spark.sql.shuffle.partitions") or 1)
    return _power_of_two(wanted / count, count)


def _power_of_two(wanted: float, count: int) -> int:
    """The first power of two that isn't below `wanted`, at most as many as a slot has buckets."""
    tasks = 1
    while tasks < wanted and tasks * count < USER_BUCKETS:
        tasks *= 2
    return tasks


def _write(
    tables: Tables,
    rows: DataFrame,
    numbers: tuple[int, ...] | None,
    stamp: Stamp,
    slots: Slots,
    setup: Setup,
) -> Commit:
    condition = f"slot IN ({', '.join(map(str, numbers))})" if numbers is not None else None
    brought = slots.count if numbers is None else len(numbers)
    stamped = _stamped(stamp, slots, setup, slots.last_batch, brought)
    return tables.replace(INTEREST_STATE, rows, condition, stamped)


def _stamped(stamp: Stamp, slots: Slots, setup: Setup, batch: int, brought: int) -> Stamp:
    facts = {
        **stamp.facts,
        "slots": slots.to_facts(),
        "setup": setup.to_facts(),
        "batch": batch,
        "brought": brought,
    }
    return Stamp(stamp.step, stamp.as_of, stamp.config, stamp.inputs, facts)
