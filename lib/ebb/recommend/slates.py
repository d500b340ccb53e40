"""Every user's slate: the top N of the blended scores, with reasons, in one pass over users.

Users go through Arrow batches, a block at a time, against the mapped catalogue: no table of
(user, item) pairs is ever made and nothing is shuffled after scoring. One user costs the same
arithmetic on any number of threads, executors or partitions, so slates don't hang on them.
Spark gives each Python worker `spark.task.cpus` BLAS threads (1 unless set otherwise).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.config import Recommend, Train
from ebb.recommend.catalogue import Catalogue, gather, load, ship
from ebb.recommend.histories import History, history_rows, read_histories
from ebb.recommend.reasons import explain, sentence
from ebb.recommend.scoring import SOURCES, Blending, score_block
from ebb.recommend.selection import top_n
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
    ]
)
_ARROW_REASON = pa.struct(
    [
        ("source", pa.string()),
        ("item_id", pa.string()),
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
    ]
)
# Pairs of a block of users: bounds what a run of people with long histories takes.
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Pass:
    """What a worker needs to know: the shipped catalogue's name and the settings."""

    catalogue: str
    blending: Blending
    n: int
    memory_mb: int


def make_slates(
    events: DataFrame,
    users: DataFrame,
    items: DataFrame,
    popular: DataFrame,
    as_of: datetime,
    recommend: Recommend,
    train: Train,
    *,
    repeat: bool,
    neighbours: DataFrame | None = None,
    item_factors: DataFrame | None = None,
    model_version: str | None = None,
) -> DataFrame:
    """Each user's `recommend.n` best items, fewer only where fewer may be recommended to them.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.
    users : user_id, distinct (`users_to_score`).
    items : item_id, title, eligible (`items_at`); holds every item of `events`.
    popular : item_id, score (`ebb.models.popularity`); with a half-life, or flat for a baseline.
    repeat : items that the user touched before may be recommended (`repeat_allowed`).
    neighbours : item_id, neighbour_id, similarity. item_factors : item_id, factors; both None
        where there is no such model.

    Returns
    -------
    DataFrame with the columns of the table `recommendations`. Lazy, but for the items' side,
    which is gathered on the driver and shipped here.

    Raises
    ------
    RunError
        When the items' side doesn't fit into `recommend.memory_mb`.
    """
    spark = events.sparkSession
    blend = recommend.blend
    table = gather(items, popular, neighbours, item_factors, recommend.memory_mb)
    plan = Pass(
        catalogue=ship(spark.sparkContext, table),
        blending=Blending(
            weights=(blend.history, blend.neighbours, blend.als, blend.popularity),
            repeat=repeat,
            floor=train.floor,
            alpha=train.alpha,
            regularization=train.regularization,
        ),
        n=recommend.n,
        memory_mb=recommend.memory_mb,
    )
    rows = history_rows(events, users, as_of, recommend, train)
    slates = rows.mapInArrow(partial(slate_batches, plan), _SCHEMA)
    version = F.lit(model_version).cast("string").alias("model_version")
    return slates.select(F.lit(as_of).alias("as_of"), *_SCHEMA.names, version)


def slate_batches(plan: Pass, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Score one partition of `history_rows`, a block of users at a time; runs on executors."""
    catalogue = load(plan.catalogue)
    for block in _blocks(read_histories(batches, catalogue.places), catalogue, plan.memory_mb):
        yield slate_block(catalogue, block, plan.blending, plan.n)


def slate_block(
    catalogue: Catalogue, users: list[History], blending: Blending, n: int
) -> pa.RecordBatch:
    """The slates of a block of users as rows of user_id, rank, item_id, score, source, reasons."""
    scores = score_block(catalogue, users, blending)
    rows = _Rows()
    for user, total, scales, vector in zip(
        users, scores.total, scores.scales, scores.vectors, strict=True
    ):
        slate = top_n(total, n)
        rounded = significant_array(total[slate])
        sources, reasons = explain(catalogue, user, blending, scales, vector, slate)
        rows.users += [user.user_id] * len(slate)
        rows.ranks += range(1, len(slate) + 1)
        rows.items += slate.tolist()
        rows.scores += rounded.tolist()
        rows.sources += [SOURCES[source] for source in sources]
        for score, because in zip(rounded, reasons, strict=True):
            rows.offsets.append(rows.offsets[-1] + len(because))
            for reason in because:
                entry = reason.entry
                cites = entry is not None
                rows.reason_sources.append(SOURCES[reason.source])
                rows.reason_items.append(int(user.items[entry]) if cites else None)
                rows.reason_times.append(int(user.last_ts[entry]) if cites else None)
                rows.contributions.append(reason.contribution)
                rows.sentences.append(sentence(catalogue, user, reason, is_filler=score == 0.0))
    return rows.batch(catalogue)


class _Rows:
    """Columns of an output batch while they grow."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.ranks: list[int] = []
        self.items: list[int] = []
        self.scores: list[float] = []
        self.sources: list[str] = []
        self.offsets: list[int] = [0]
        self.reason_sources: list[str] = []
        self.reason_items: list[int | None] = []
        self.reason_times: list[int | None] = []
        self.contributions: list[float] = []
        self.sentences: list[str] = []

    def batch(self, catalogue: Catalogue) -> pa.RecordBatch:
        reasons = pa.StructArray.from_arrays(
            [
                pa.array(self.reason_sources, pa.string()),
                _ids(catalogue, self.reason_items),
                pa.array(self.reason_times, pa.timestamp("us", tz="UTC")),
                pa.array(self.contributions, pa.float64()),
                pa.array(self.sentences, pa.string()),
            ],
            fields=list(_ARROW_REASON),
        )
        return pa.RecordBatch.from_arrays(
            [
                pa.array(self.users, pa.string()),
                pa.array(self.ranks, pa.int32()),
                _ids(catalogue, self.items),
                pa.array(self.scores, pa.float64()),
                pa.array(self.sources, pa.string()),
                pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), reasons),
            ],
            schema=_ARROW,
        )


def _ids(catalogue: Catalogue, places: list[int] | list[int | None]) -> pa.Array:
    return catalogue.ids.take(pa.array(places, pa.int64())).cast(pa.string())


def _blocks(
    users: Iterable[History], catalogue: Catalogue, memory_mb: int
) -> Iterator[list[History]]:
    """Group users so that a block's scores fit into memory."""
    size = catalogue.users_a_block(memory_mb)
    block: list[History] = []
    pairs = 0
    for user in users:
        block.append(user)
        pairs += len(user.items)
        if len(block) >= size or pairs >= _MOST_PAIRS:
            yield block
            block, pairs = [], 0
    if block:
        yield block
