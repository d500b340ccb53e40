"""Fits every model on what is known at one as_of: neighbours, EASE and ALS, flat and decayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.models.co_taken import co_taken
from ebb.models.ease import fit_ease
from ebb.models.factorisation import FittedAls, fit_als
from ebb.models.neighbours import nearest_items
from ebb.models.pairs import pair_weights, taken
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.settings import Train
from ebb.storage import stored

ITEM_MODELS = ("neighbours", "neighbours_flat", "ease", "ease_flat")
FACTOR_MODELS = ("als", "als_flat")
_WEIGHTS = "model string, item_id string, neighbour_id string, rank int, weight double"
_FACTORS = "model string, item_id string, factors array<float>"


@dataclass(frozen=True)
class FittedModels:
    """What was fitted; frames are stored until `release`.

    Attributes
    ----------
    item_weights : model (of `ITEM_MODELS`), item_id, neighbour_id, rank, weight.
    item_factors : model (of `FACTOR_MODELS`), item_id, factors.
    metrics : of each model that learned anything, its sizes.
    remarks : what people should know, e.g. that items had no room.
    """

    item_weights: DataFrame
    item_factors: DataFrame
    metrics: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...] = ()
    _kept: list[DataFrame | FittedAls] = field(default_factory=list)

    def release(self) -> None:
        """Free what is kept in Spark's storage, once the frames are written or gathered."""
        for kept in self._kept:
            kept.unpersist() if isinstance(kept, DataFrame) else kept.release()


def fit_models(
    events: DataFrame, as_of: datetime, half_lives: HalfLives, settings: Train
) -> FittedModels:
    """Fit all models on events strictly before `as_of`; runs jobs.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`.
    """
    sums = {"als": half_lives.confidence, "als_flat": None}
    with stored(taken(pair_weights(events, as_of, sums))) as pairs:
        with co_taken(pairs, as_of, half_lives.similarity, settings.history) as together:
            ease = fit_ease(together, settings.ease)
            nearest = nearest_items(together, settings.neighbours)
            weights = nearest.unionByName(ease.rows).persist(StorageLevel.MEMORY_AND_DISK)
            sizes = _sizes(weights)
        fits = {
            name: fit_als(pairs.select("user_id", "item_id", F.col(name).alias("weight")),
                          settings.als)
            for name in FACTOR_MODELS
        }  # fmt: skip
    found = {name: fit for name, fit in fits.items() if fit is not None}
    factors = [f.item_factors.select(F.lit(name).alias("model"), "*") for name, f in found.items()]
    remarks: tuple[str, ...] = ()
    if ease.left_out:
        remarks = (
            f"ease: {ease.items:,} items fit into train.ease.memory_mb {settings.ease.memory_mb}; "
            f"{ease.left_out:,} others have no ease weights",
        )
    spark: SparkSession = events.sparkSession
    return FittedModels(
        item_weights=weights,
        item_factors=reduce(DataFrame.unionByName, factors)
        if factors
        else spark.createDataFrame([], _FACTORS),
        metrics={**sizes, **{name: dict(fit.metrics) for name, fit in found.items()}},
        remarks=remarks,
        _kept=[weights, *found.values()],
    )


def _sizes(weights: DataFrame) -> dict[str, dict[str, float]]:
    by_model = weights.groupBy("model").agg(
        F.count("*").alias("rows"), F.countDistinct("item_id").alias("items")
    )
    return {
        row["model"]: {"rows": float(row["rows"]), "items": float(row["items"])}
        for row in by_model.collect()
    }
