"""Everybody's slates, in one pass over users in Arrow batches.

Each user's rows lie together (`pasts.past_rows`); a block of users is scored at once, re-ranked and
explained, so that no pair of user and item is ever shuffled, and memory hangs on the configuration
alone. Two runs give the same rows, whatever the number of threads, executors or partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.ranker.features import matrix_of
from ebb.ranker.trees import shipped_trees
from ebb.recommend.catalogue import Catalogue, Doubles, Integers
from ebb.recommend.explore import Drawn, with_trials
from ebb.recommend.gather import shipped_catalogue
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.pasts import Past, past_rows, read_blocks
from ebb.recommend.prepare import Prepared
from ebb.recommend.reasons import Reason, explain
from ebb.recommend.rerank import Pool, reranked
from ebb.recommend.scoring import Candidates, Plan, score_block, softmax
from ebb.recommend.settings import Explore, Rerank
from ebb.rounding import significant_array
from ebb.schema import REASON

_SCHEMA = T.StructType(
    [
        T.StructField("user_id", T.StringType(), nullable=False),
        T.StructField("rank", T.IntegerType(), nullable=False),
        T.StructField("item_id", T.StringType(), nullable=False),
        T.StructField("score", T.DoubleType(), nullable=False),
        T.StructField("source", T.StringType(), nullable=False),
        T.StructField("reasons", T.ArrayType(REASON), nullable=False),
        T.StructField("propensity", T.DoubleType(), nullable=False),
        T.StructField("pool", T.IntegerType()),
        T.StructField("pool_rank", T.IntegerType()),
    ]
)
_ARROW_REASON = pa.struct(
    [
        ("source", pa.string()),
        ("item_id", pa.string()),
        ("facet", pa.string()),
        ("key", pa.string()),
        ("share", pa.float64()),
        ("last_ts", pa.timestamp("us", tz="UTC")),
        ("contribution", pa.float64()),
        ("sentence", pa.string()),
    ]
)
_ARROW = pa.schema(
    [
        ("user_id", pa.string()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("source", pa.string()),
        ("reasons", pa.list_(_ARROW_REASON)),
        ("propensity", pa.float64()),
        ("pool", pa.int32()),
        ("pool_rank", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Ranking:
    """By what slates are ranked.

    Attributes
    ----------
    weights : of features, by name; others weigh 0.
    trees : name of shipped trees (`ranker.trees`) that are added on top; None adds none.
    """

    weights: Mapping[str, float]
    rerank: Rerank = field(default_factory=Rerank)
    trees: str | None = None
    explore: Explore | None = None

    def over(self, names: tuple[str, ...]) -> Doubles:
        return np.array([self.weights.get(name, 0.0) for name in names])


def make_slates(
    prepared: Prepared,
    events: DataFrame,
    users: DataFrame,
    ranking: Ranking,
    version: str,
    arm: str | None = None,
    foreseen: DataFrame | None = None,
) -> DataFrame:
    """Each user's n best items, fewer only where fewer may be recommended to them.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before the as_of.
    users : user_id, distinct (`eligible.users_to_score`).
    version : of the models; goes into every row, as does the `arm` of an experiment.
    foreseen : of `Prepared.foreseen`, of these users and maybe others.

    Returns
    -------
    DataFrame with the columns of the table `recommendations`. Lazy.
    """
    half_lives = prepared.plan.columns.half_lives
    rows = past_rows(
        *(events, users, prepared.places, prepared.as_of, half_lives),
        passed=prepared.passed,
        contexts=prepared.contexts(events),
        foreseen=foreseen,
    )
    slates = rows.mapInArrow(partial(slate_batches, prepared.name, prepared.plan, ranking), _SCHEMA)
    as_of, own = F.lit(prepared.as_of).alias("as_of"), F.lit(version).alias("model_version")
    return slates.select(as_of, *_SCHEMA.names, own, F.lit(arm).cast("string").alias("arm"))


def slate_batches(
    name: str, plan: Plan, ranking: Ranking, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Score one partition of `past_rows`, a block of users at a time; runs on executors."""
    catalogue = shipped_catalogue(name)
    for block in read_blocks(batches):
        rows = _Rows()
        for one in score_block(catalogue, plan, block):
            rows.add(one.past, slate_of(catalogue, plan, ranking, one))
        yield rows.batch(catalogue)


def stranger(half_lives: HalfLives) -> Past:
    """Somebody of whom nothing is known: whose slate is everybody's default."""
    empty = np.zeros(0, dtype=np.int64)
    sums = np.zeros((0, len(half_lives.history) + 1))
    return Past("", empty, sums, empty, empty, empty, np.zeros(0, dtype=bool), empty)


@dataclass(frozen=True)
class Entry:
    """One item of a slate: its place in the catalogue, its score, why it is there, and how it was
    drawn, where it was."""

    item: int
    score: float
    reasons: list[Reason]
    drawn: Drawn | None


def slate_of(catalogue: Catalogue, plan: Plan, ranking: Ranking, one: Candidates) -> list[Entry]:
    """The slate of a user from their candidates."""
    if not len(one.items):
        return []
    weights = ranking.over(plan.columns.names)
    margins = one.features @ weights
    looked_at, trees = None, None
    if ranking.trees is not None:
        trees, looked_at = shipped_trees(ranking.trees), matrix_of(catalogue, plan, one)
        margins = margins + trees.sums(looked_at)
    chances = significant_array(softmax(margins))
    best = np.lexsort((one.items, -chances))
    chosen, settings = best[: plan.n], ranking.rerank
    if settings.is_needed:
        pool = best[: max(plan.n, settings.pool)]
        over = _pool(catalogue, one, pool, margins[pool], settings)
        chosen = pool[reranked(over, plan.n, settings)]
    chosen, trials = with_trials(catalogue, plan, ranking.explore, one, chances, chosen)
    added = trees.contributions(looked_at[chosen]) if trees and looked_at is not None else None
    reasons = explain(catalogue, plan, one, weights, chosen, added)
    entries = []
    for row, because in zip(chosen.tolist(), reasons, strict=True):
        trial = trials.get(row)
        drawn, said = (None, because) if trial is None else (trial.drawn, [trial.reason])
        entries.append(Entry(int(one.items[row]), float(chances[row]), said, drawn))
    return entries


def _pool(
    catalogue: Catalogue, one: Candidates, pool: Integers, scores: Doubles, settings: Rerank
) -> Pool:
    items = one.items[pool]
    keys, taste = catalogue.keys.get(settings.facet), one.tastes.get(settings.facet)
    if keys is None or taste is None:
        return Pool(scores, np.zeros((len(items), 0)), np.zeros(0))
    which, at = keys.of(items)
    numbers = np.union1d(keys.entries[at], taste.keys)
    mass, shares = np.zeros((len(items), len(numbers))), np.zeros(len(numbers))
    mass[which, np.searchsorted(numbers, keys.entries[at])] = keys.weights[at]
    shares[np.searchsorted(numbers, taste.keys)] = taste.shares[
        :, max(0, taste.shares.shape[1] - 2)
    ]
    return Pool(scores, mass, shares)


class _Rows:
    """Columns of an output batch while they grow."""

    def __init__(self) -> None:
        self._users: list[str] = []
        self._ranks: list[int] = []
        self._entries: list[Entry] = []
        self._cited: list[int | None] = []

    def add(self, past: Past, slate: list[Entry]) -> None:
        self._users += [past.user_id] * len(slate)
        self._ranks += range(1, len(slate) + 1)
        self._entries += slate
        for entry in slate:
            self._cited += [
                None if reason.entry is None else int(past.items[reason.entry])
                for reason in entry.reasons
            ]

    def batch(self, catalogue: Catalogue) -> pa.RecordBatch:
        said = [reason for entry in self._entries for reason in entry.reasons]
        drawn = [entry.drawn for entry in self._entries]
        offsets = np.concatenate(([0], np.cumsum([len(e.reasons) for e in self._entries])))
        reasons = pa.StructArray.from_arrays(
            [
                pa.array([reason.source for reason in said], pa.string()),
                _ids(catalogue, self._cited),
                pa.array([reason.facet for reason in said], pa.string()),
                pa.array([reason.key for reason in said], pa.string()),
                pa.array([reason.share for reason in said], pa.float64()),
                pa.array([reason.last_ts for reason in said], pa.timestamp("us", tz="UTC")),
                pa.array([reason.contribution for reason in said], pa.float64()),
                pa.array([reason.sentence for reason in said], pa.string()),
            ],
            fields=list(_ARROW_REASON),
        )
        return pa.RecordBatch.from_arrays(
            [
                pa.array(self._users, pa.string()),
                pa.array(self._ranks, pa.int32()),
                _ids(catalogue, [entry.item for entry in self._entries]),
                pa.array([entry.score for entry in self._entries], pa.float64()),
                pa.array([entry.reasons[0].source for entry in self._entries], pa.string()),
                pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), reasons),
                pa.array([one.propensity if one else 1.0 for one in drawn], pa.float64()),
                pa.array([one.pool if one else None for one in drawn], pa.int32()),
                pa.array([one.pool_rank if one else None for one in drawn], pa.int32()),
            ],
            schema=_ARROW,
        )


def _ids(catalogue: Catalogue, places: list[int] | list[int | None]) -> pa.Array:
    return catalogue.ids.take(pa.array(places, pa.int64())).cast(pa.string())
