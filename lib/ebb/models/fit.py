"""Fits every model on what is known at one as_of: neighbours, EASE and ALS, flat and decayed, a
projection of texts, and a network over sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.models.co_taken import co_taken
from ebb.models.ease import fit_ease
from ebb.models.factorisation import FittedAls, fit_als
from ebb.models.neighbours import nearest_items
from ebb.models.pairs import pair_weights, taken
from ebb.models.projection import Texts, project
from ebb.recommend.features import PROJECTED, SEQUENCE
from ebb.recommend.half_lives import HalfLives
from ebb.recommend.settings import Train
from ebb.sequences.fit import Desk, FittedNetwork, fit_network
from ebb.storage import stored

_WEIGHTS = "model string, item_id string, neighbour_id string, rank int, weight double"
_FACTORS = "model string, item_id string, factors array<float>"


@dataclass(frozen=True)
class FittedModels:
    """What was fitted; frames are stored until `release`.

    Attributes
    ----------
    item_weights : model (neighbours, ease, each with _flat), item_id, neighbour_id, rank, weight.
    item_factors : model (als, als_flat, projected, sequence), item_id, factors.
    metrics : of each model that learned anything, its sizes.
    network : over sequences; None where none is wanted, or there is nothing to learn.
    remarks : what people should know, e.g. that items had no room.
    """

    item_weights: DataFrame
    item_factors: DataFrame
    metrics: Mapping[str, Mapping[str, float]]
    network: FittedNetwork | None = None
    remarks: tuple[str, ...] = ()
    _kept: list[DataFrame | FittedAls] = field(default_factory=list)

    def release(self) -> None:
        """Free what is kept in Spark's storage, once the frames are written or gathered."""
        for kept in self._kept:
            kept.unpersist() if isinstance(kept, DataFrame) else kept.release()


def fit_models(
    events: DataFrame,
    as_of: datetime,
    half_lives: HalfLives,
    settings: Train,
    desk: Desk | None = None,
    texts: Texts | None = None,
) -> FittedModels:
    """Fit all models on events strictly before `as_of`; runs jobs.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight; all strictly before `as_of`. A network wants their
        event_id and event_type, too.
    desk : where a network is trained; None trains none.
    texts : whose vectors are projected; None projects none.
    """
    sums = {"als": half_lives.confidence, "als_flat": None}
    fits: dict[str, FittedAls] = {}
    with stored(taken(pair_weights(events, as_of, sums))) as pairs:
        weights, remarks = _item_weights(pairs, as_of, half_lives, settings)
        for name in sums if "als" in settings.models else ():
            rated = pairs.select("user_id", "item_id", F.col(name).alias("weight"))
            fit = fit_als(rated, settings.als)
            if fit is not None:
                fits[name] = fit
        projected = project(pairs, texts) if texts else None
    factors = [f.item_factors.select(F.lit(name).alias("model"), "*") for name, f in fits.items()]
    none: DataFrame = events.sparkSession.createDataFrame([], _FACTORS)
    metrics = {**_sizes(weights), **{name: dict(fit.metrics) for name, fit in fits.items()}}
    if projected is not None:
        factors.append(projected.rows.select(F.lit(PROJECTED).alias("model"), "*"))
        metrics[PROJECTED] = {"users": float(projected.users), "items": float(projected.items)}
    network = None
    if settings.sequences is not None and desk is not None:
        network = fit_network(events, as_of, half_lives.scale, settings.sequences, desk)
    if network is not None:
        vectors = events.sparkSession.createDataFrame(network.item_vectors)
        factors.append(vectors.select(F.lit(SEQUENCE).alias("model"), "*"))
        metrics[SEQUENCE] = dict(network.metrics)
    return FittedModels(
        item_weights=weights,
        item_factors=reduce(DataFrame.unionByName, factors, none),
        metrics=metrics,
        network=network,
        remarks=remarks,
        _kept=[weights, *fits.values()],
    )


def _item_weights(
    pairs: DataFrame, as_of: datetime, half_lives: HalfLives, settings: Train
) -> tuple[DataFrame, tuple[str, ...]]:
    """Neighbours and EASE, stored, with what people should know."""
    none: DataFrame = pairs.sparkSession.createDataFrame([], _WEIGHTS)
    if not {"neighbours", "ease"} & set(settings.models):
        return none, ()
    parts, remarks = [none], []
    with co_taken(pairs, as_of, half_lives.similarity, settings.history) as together:
        if "neighbours" in settings.models:
            parts.append(nearest_items(together, settings.neighbours))
        if "ease" in settings.models:
            ease = fit_ease(together, settings.ease)
            parts.append(ease.rows)
            if ease.left_out:
                room = f"train.ease.memory_mb {settings.ease.memory_mb}"
                remarks.append(
                    f"ease: {ease.items:,} items fit into {room}; {ease.left_out:,} others have "
                    "no ease weights"
                )
        weights = reduce(DataFrame.unionByName, parts).persist(StorageLevel.MEMORY_AND_DISK)
        weights.count()  # while what it is made of is stored
    return weights, tuple(remarks)


def _sizes(weights: DataFrame) -> dict[str, dict[str, float]]:
    by_model = weights.groupBy("model").agg(
        F.count("*").alias("rows"), F.countDistinct("item_id").alias("items")
    )
    return {
        row["model"]: {"rows": float(row["rows"]), "items": float(row["items"])}
        for row in by_model.collect()
    }
