"""The box of the ranker: its training set, the registry, and what a night ranks by.

Part of the choice: where `train.ranker` is configured, the choice has it fitted and judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.boxes.windows import Outlook
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.hashes import short_hash
from ebb.ranker.contest import RANKER
from ebb.ranker.rolling import Examples, FittedRanker, Fitting, fit_ranker
from ebb.ranker.sampling import kept_candidates
from ebb.ranker.settings import Ranker
from ebb.ranker.trees import require_xgboost, ship_trees
from ebb.recommend.catalogue import crc32s
from ebb.recommend.choose import Choice
from ebb.recommend.views import View
from ebb.schema import RANKERS, TRAINING_SETS
from ebb.tables import Stamp

_FIT, _EXAMPLES = "ranker", "training set"


def settings_of(night: Night) -> Ranker | None:
    """How a ranker is fitted, or None where slates can't be ranked by one."""
    recommend = night.config.recommend
    wanted = recommend.weights is None and recommend.strategy in ("auto", "ranker")
    return night.config.train.ranker if wanted else None


def write_examples(outlook: Outlook, settings: Ranker, stamp: Stamp, *, is_first: bool) -> None:
    """Put one window's rows into `training_sets`, in a commit of its own.

    Parameters
    ----------
    is_first : of the night's windows to be written: nothing of an earlier run stays.
    """
    night, label_from = outlook.seen.night, outlook.seen.window.as_of
    columns = outlook.prepared.plan.columns
    facts = {
        **stamp.facts,
        "label_from": format_instant(label_from),
        "names": [*columns.names, *columns.beside_names],
    }
    made = replace(stamp, step=_EXAMPLES, facts=facts)
    condition = f"as_of = timestamp'{format_instant(night.as_of)}'"
    if not is_first:
        condition += f" AND label_from = timestamp'{format_instant(label_from)}'"
    with outlook.examples(settings) as rows:
        own = rows.withColumn("as_of", F.lit(night.as_of))
        night.tables.replace(TRAINING_SETS, own, condition, made)


def written_examples(night: Night) -> Examples:
    """Those of the night's training set."""

    def of(views: Sequence[View]) -> DataFrame:
        rows = night.tables.read_slice(TRAINING_SETS, night.as_of)
        return rows.where(F.col("label_from").isin([view.as_of for view in views]))

    return of


def examples_of_views(spark: SparkSession, settings: Ranker) -> Examples:
    """The same made from views, where no table is to be written: for studies."""

    def of(views: Sequence[View]) -> DataFrame:
        tables = [_as_table(view, settings.negatives) for view in views]
        return spark.createDataFrame(pa.concat_tables(tables))

    return of


def _as_table(view: View, negatives: int) -> pa.Table:
    hashes, rows = crc32s(view.ids), []
    for user, low, high in zip(view.users, view.starts[:-1], view.starts[1:], strict=True):
        kept, _ = kept_candidates(
            hashes,
            user,
            view.places[low:high].astype(np.int64),
            view.is_label[low:high],
            view.is_shown[low:high],
            negatives,
        )
        rows.append(kept + low)
    own = pa.array([row for part in rows for row in part.tolist()], pa.int64())
    matrix = view.matrix[own.to_numpy()]
    starts = pa.array(range(0, matrix.size + 1, matrix.shape[1]), pa.int32())
    users = pa.array(view.users, pa.string()).take(pa.array(view.user_of[own.to_numpy()]))
    return pa.table(
        {
            "label_from": pa.array([view.as_of] * len(own), pa.timestamp("us", tz="UTC")),
            "user_id": users,
            "item_id": view.ids.take(pa.array(view.places).take(own)).cast(pa.string()),
            "is_label": pa.array(view.is_label).take(own),
            "is_shown": pa.array(view.is_shown).take(own),
            "features": pa.ListArray.from_arrays(starts, pa.array(matrix.ravel())),
        }
    )


def ranker_beside(
    night: Night, views: Sequence[View], choice: Choice, examples: Examples
) -> tuple[Choice, FittedRanker | None, str]:
    """The choice with a ranker among what was tried; the ranker, if any; and what came of it."""
    recommend, settings = night.config.recommend, settings_of(night)
    if settings is None:
        raise ValueError("no ranker is configured")
    require_xgboost()
    fitting = Fitting(settings, recommend.n, recommend.choose.penalty)
    found = fit_ranker(views, choice, examples, fitting)
    if isinstance(found, str):
        return choice, None, found
    is_chosen = found.verdict.promoted or recommend.strategy == RANKER
    beside = choice.beside(found.tried, is_chosen=is_chosen)
    return beside, found, f"ranker {found.verdict.reason}"


def register(night: Night, found: FittedRanker, stamp: Stamp, facts: dict[str, Any]) -> str:
    """Enter a ranker into the registry; returns its version.

    Parameters
    ----------
    facts : of the choice: what the ranker's features are, so that it can be gone back to.
    """
    (latest,) = night.tables.history(TRAINING_SETS, limit=1)
    version, judged = short_hash(found.raw), found.verdict
    row = (
        night.as_of, version, judged.promoted, judged.reason, judged.ndcg, judged.ndcg_other,
        judged.other, judged.ahead.value, judged.ahead.low, judged.ahead.high, judged.users,
        found.windows, found.trees, dict(found.tried.weights), found.importance, found.raw,
        {**stamp.inputs, TRAINING_SETS.name: latest.version},
    )  # fmt: skip
    rows = night.spark.createDataFrame([row], RANKERS.schema).coalesce(1)
    ranked_by = {"strategy": RANKER, "weights": dict(found.tried.weights), "ranker": version}
    made = replace(stamp, step=_FIT, facts={**stamp.facts, **facts, **ranked_by})
    night.tables.write_slice(RANKERS, rows, made)
    return version


def shipped_ranker(night: Night, version: str | None) -> str | None:
    """Bring the trees of a version to the executors; returns their name."""
    if version is None:
        return None
    row = night.tables.read(RANKERS).where(F.col("version") == version).select("booster").first()
    if row is None:
        raise RunError(
            f"ranker {version} is gone from {night.tables.root}/{RANKERS.name}; choose another by "
            "./spark-submit.sh champion --rollback"
        )
    return ship_trees(night.spark.sparkContext, bytes(row["booster"]))
