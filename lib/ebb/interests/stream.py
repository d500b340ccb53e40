"""Turns a sorted stream of events and instants, in Arrow batches, into rows of features.

The stream holds whole users one after the other, each user's events and instants in the order of
time (`point_in_time.py` sorts it). Several users are worked on at once; one user's events are
held together, as numpy arrays, so memory grows with the largest user only. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ebb.arrow import changes, whole_groups
from ebb.forgetting.fits import Fit
from ebb.interests.coding import micros_of
from ebb.interests.links import (
    NEVER,
    Before,
    Booleans,
    Doubles,
    Integers,
    LaterEvents,
    Links,
    Log,
    Rows,
    ragged,
)
from ebb.interests.measures import Measure
from ebb.interests.recurrences import Measured

_ROWS_AT_ONCE = 1 << 17
_OUT_AT_ONCE = 1 << 17
_MICROS = pa.timestamp("us", tz="UTC")
_LINKS = pa.schema(
    {
        "links": pa.list_(
            pa.struct(
                {"facet": pa.int64(), "key": pa.string(), "since": pa.int64(), "until": pa.int64()}
            )
        )
    }
)
_EVER = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Plan:
    """What to compute.

    Attributes
    ----------
    facets : names of the facets; the stream has their places in here.
    types : weight a of each event type, by name; the stream has their places in here.
    fits : half-lives that were learned, the earliest as_of first; none where no measure goes by
        them.
    """

    facets: tuple[str, ...]
    types: Mapping[str, float]
    measures: tuple[Measure, ...]
    fits: tuple[Fit, ...] = ()


def feature_batches(plan: Plan, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Features of each entity of the stream.

    Parameters
    ----------
    batches : user_id; is_entity; at, the event_ts or the entity's instant; item_id, of an event,
        or the key of an entity in the facet item; links, as JSON {"links": [{"facet": its place,
        "key", "since", "until" in microseconds}]}: the other keys that an event's item stands for
        and when (without since, until: always), or the one that the entity asks for; event_type
        (its place), weight, born and dies of events; where the plan has fits own, a struct with
        the half-life in days of an entity's user in each facet, empty where none was learned.

    Returns
    -------
    user_id, instant, facet, key, n, last_ts and the measures. An entity that asks for no key has
    one row a key with an event that counts at its instant.
    """
    for table in whole_groups(batches, ("user_id",), _ROWS_AT_ONCE):
        if pc.any(table.column("is_entity")).as_py():
            yield from _Users(plan, table).features()


class _Users:
    """Some users, whole: their events, what these are linked with, and their entities."""

    def __init__(self, plan: Plan, table: pa.Table) -> None:
        self._plan = plan
        is_entity = table.column("is_entity").to_numpy()
        begins = np.flatnonzero(changes(table.column("user_id")))
        user = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(table)))
        is_asked_for = np.zeros(len(begins), dtype=np.bool_)
        is_asked_for[user[is_entity]] = True
        is_event = is_asked_for[user] & ~is_entity
        self._entities = table.filter(pa.array(is_entity)).combine_chunks()
        self._user, self._t = user[is_entity], _integers(self._entities.column("at"))
        self._own = _own_half_lives(self._entities, plan) if plan.fits else None
        events = table.filter(pa.array(is_event)).combine_chunks()
        ts = _integers(events.column("at"))
        born = np.maximum(ts, _integers(events.column("born"), _EVER))
        self._log = Log(user[is_event], ts, born, _integers(events.column("dies"), NEVER))

        met, asked = (_Keys.of(part, plan.facets) for part in (events, self._entities))
        text = pa.concat_arrays([met.text, asked.text]).dictionary_encode()
        self._texts = text.dictionary
        code = _integers(text.indices) * len(plan.facets)
        met_code, asked_code = np.split(code, [len(met.row)])
        # (user, facet, key) as one number: user * base + code.
        self._base = max(1, len(self._texts) * len(plan.facets))
        self._asked: Integers | None = None
        if len(asked.row):
            self._asked = asked_code + asked.facet
            self._asked[asked.row] = self._asked.copy()
        self._groups, self._links = self._linked(met, met_code + met.facet, events)

    def _linked(self, met: _Keys, code: Integers, events: pa.Table) -> tuple[Integers, Links]:
        """The number of each group, ascending, and the links, ordered by it."""
        log = self._log
        born = np.maximum(log.born[met.row], met.since)
        dies = np.minimum(log.dies[met.row], met.until)
        group = log.user[met.row] * self._base + code
        order = np.argsort(group, kind="stable")
        order = order[born[order] < dies[order]]
        event, group = met.row[order], group[order]
        begins = np.flatnonzero(np.diff(group, prepend=-1))
        kind = _integers(events.column("event_type"))[event]
        links = Links(
            group=np.repeat(np.arange(len(begins)), np.diff(begins, append=len(group))),
            event=event,
            ts=log.ts[event],
            born=born[order],
            dies=dies[order],
            kind=kind,
            weight=_doubles(events.column("weight"))[event],
            type_weight=np.array(list(self._plan.types.values()), dtype=np.float64)[kind],
        )
        return group[begins], links

    def features(self) -> Iterator[pa.RecordBatch]:
        links: dict[tuple[str, ...] | None, Links] = {None: self._links}
        names = list(self._plan.types)
        for types in {measure.event_types for measure in self._plan.measures} - {None}:
            kinds = [names.index(name) for name in types or ()]
            links[types] = self._links.where(np.isin(self._links.kind, kinds))
        measured = [Measured(m, links[m.event_types]) for m in self._plan.measures]
        later = LaterEvents(self._log, self._user, self._t)
        for rows in self._rows():
            before = {types: Before(theirs, rows) for types, theirs in links.items()}
            values = [m.at(before[m.measure.event_types], later) for m in measured]
            batch = self._batch(rows, before[None], values)
            n = batch.column("n")
            yield batch if self._asked is not None else batch.filter(pc.greater(n, 0))

    def _rows(self) -> Iterator[Rows]:
        """The key that each entity asks for; else all that its user has met, in pieces."""
        if self._asked is not None:
            number = self._user * self._base + self._asked
            group = np.searchsorted(self._groups, number)
            is_met = np.append(self._groups, -1)[group] == number
            yield self._placed(np.where(is_met, group, -1), np.arange(len(self._t)), self._asked)
            return
        first_ts = self._links.ts[self._links.start(np.arange(len(self._groups)))]
        users = (self._user, self._user + 1)
        start, stop = (np.searchsorted(self._groups, user * self._base) for user in users)
        for entity, group in ragged(start, stop, _OUT_AT_ONCE):
            is_met = first_ts[group] < self._t[entity]
            entity, group = entity[is_met], group[is_met]
            yield self._placed(group, entity, self._groups[group] % self._base)

    def _placed(self, group: Integers, entity: Integers, code: Integers) -> Rows:
        own = self._own
        if own is not None:
            own = own[entity, code % len(self._plan.facets)]
        return Rows(group, self._t[entity], entity, own)

    def _batch(
        self, rows: Rows, before: Before, values: list[tuple[Doubles, Booleans]]
    ) -> pa.RecordBatch:
        n, last = before.counted
        plan, entities = self._plan, self._entities
        code = self._groups[rows.group] % self._base if self._asked is None else self._asked
        facet, entity = code % len(plan.facets), pa.array(rows.entity)
        last_ts = np.zeros(len(n), dtype=np.int64)
        last_ts[n > 0] = before.links.ts[last[n > 0]]
        columns = {
            "user_id": entities.column("user_id").take(entity).combine_chunks(),
            "instant": entities.column("at").take(entity).combine_chunks(),
            "facet": pa.array(plan.facets).take(pa.array(facet)),
            "key": self._texts.take(pa.array(code // len(plan.facets))),
            "n": pa.array(n),
            "last_ts": pa.array(last_ts, mask=n == 0).cast(_MICROS),
        }
        for measure, (value, known) in zip(plan.measures, values, strict=True):
            if measure.facets is not None:
                having = [place for place, name in enumerate(plan.facets) if name in measure.facets]
                known = known & np.isin(facet, having)
            if measure.aggregate == "last":
                columns[measure.name] = pa.array(value.astype(np.int64), mask=~known).cast(_MICROS)
            else:
                columns[measure.name] = pa.array(value, mask=~known)
        return pa.RecordBatch.from_pydict(columns)


@dataclass(frozen=True)
class _Keys:
    """The keys of some rows of the stream, one entry a row and key, and when the row has the key.

    Attributes
    ----------
    row, facet : (entries,) place of the row in its table, and of the facet in `Plan.facets`.
    text : (entries,) the key.
    since, until : (entries,) the row has it at t where since < t <= until.
    """

    row: Integers
    facet: Integers
    text: pa.Array
    since: Integers
    until: Integers

    @classmethod
    def of(cls, table: pa.Table, facets: tuple[str, ...]) -> _Keys:
        """Items first, then the others; by row in either part."""
        items = table.column("item_id").combine_chunks()
        own = np.flatnonzero(items.is_valid())
        texts = table.column("links").combine_chunks()
        linked = np.flatnonzero(texts.is_valid())
        links = _read(texts.drop_null())
        facet, key, since, until = pc.list_flatten(links).flatten()
        as_item = np.full(len(own), facets.index("item") if "item" in facets else 0)
        return cls(
            row=np.concatenate([own, linked[_integers(pc.list_parent_indices(links))]]),
            facet=np.concatenate([as_item, _integers(facet)]),
            text=pa.concat_arrays([items.drop_null(), key]),
            since=np.concatenate([np.full(len(own), _EVER), _integers(since, _EVER)]),
            until=np.concatenate([np.full(len(own), NEVER), _integers(until, NEVER)]),
        )


def _read(texts: pa.Array) -> pa.ListArray:
    """The lists of links that are written in `texts`; equal texts, such as an item's, once."""
    encoded = texts.dictionary_encode()
    lines = "\n".join(encoded.dictionary.to_pylist()).encode()
    if not lines:
        return pa.array([], _LINKS.field("links").type)
    read = pj.read_json(
        pa.py_buffer(lines),
        pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pj.ParseOptions(explicit_schema=_LINKS),
    )
    return read.column("links").combine_chunks().take(encoded.indices)


def _own_half_lives(entities: pa.Table, plan: Plan) -> Doubles:
    """(entities, facets) days; NaN where nothing was learned at the instant."""
    by_facet = entities.column("own").combine_chunks()
    own = np.column_stack([days.to_numpy(zero_copy_only=False) for days in by_facet.flatten()])
    tuned = np.array([[fit.tuned.get(f, np.nan) for f in plan.facets] for fit in plan.fits])
    since = np.array([micros_of(fit.as_of) for fit in plan.fits])
    fit = np.searchsorted(since, _integers(entities.column("at")), side="right") - 1
    held: Doubles = np.where((fit >= 0)[:, None], tuned[fit], np.nan)
    return np.where(np.isnan(own), held, own)


def _integers(column: pa.Array | pa.ChunkedArray, empty: int = 0) -> Integers:
    """Whole numbers; instants as microseconds since 1970."""
    numbers: Integers = column.cast(pa.int64()).fill_null(empty).to_numpy()
    return numbers


def _doubles(column: pa.ChunkedArray) -> Doubles:
    numbers: Doubles = column.fill_null(0.0).to_numpy()
    return numbers
