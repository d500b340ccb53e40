"""The models of one as_of, with the registry rows that say what made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.durations import format_instant
from ebb.models.factorisation import FittedAls, fit_als
from ebb.models.neighbours import fit_neighbours
from ebb.schema import ITEM_FACTORS, MODELS, NEIGHBOURS


@dataclass(frozen=True)
class TrainedModels:
    """What training leaves to be written.

    Attributes
    ----------
    neighbours : rows of `schema.NEIGHBOURS`; None when no user took two items.
    item_factors : rows of `schema.ITEM_FACTORS`; None when no pair reaches `train.floor`.
    registry : rows of `schema.MODELS`, one for each model that there is.
    version : of all of them: equal versions come from equal input and configuration.
    """

    neighbours: DataFrame | None
    item_factors: DataFrame | None
    registry: DataFrame
    version: str
    _stored: tuple[DataFrame | FittedAls, ...] = ()

    def release(self) -> None:
        """Free what training keeps in Spark's storage, once the tables are written."""
        for kept in self._stored:
            kept.unpersist() if isinstance(kept, DataFrame) else kept.release()


def train_models(
    events: DataFrame, as_of: datetime, config: Config, inputs: Mapping[str, int]
) -> TrainedModels:
    """Fit every model on what is known at `as_of`.

    Parameters
    ----------
    events : user_id, item_id, event_ts, weight: the events that count, strictly before `as_of`.
    inputs : Delta version of each input table; becomes the models' lineage.

    Notes
    -----
    Runs the fits; `release` frees what they store. A model without anything to learn from is
    None and has no registry row.
    """
    version = model_version(as_of, config, inputs)
    neighbours = fit_neighbours(events, as_of, config.recommend.neighbours)
    sizes = neighbours.agg(F.count("*").alias("rows"), F.countDistinct("item_id").alias("items"))
    near = {name: float(size) for name, size in sizes.first().asDict().items()}  # type: ignore[union-attr]
    als = fit_als(events, as_of, config.train)
    rows = []
    if near["rows"]:
        parameters = _parameters(config.recommend.neighbours)
        rows.append(("neighbours", "item-to-item cosine", parameters, near, NEIGHBOURS.name))
    if als:
        parameters = _parameters(config.train)
        rows.append(("als", "implicit ALS", parameters, dict(als.metrics), ITEM_FACTORS.name))
    registry = [
        (as_of, name, version, kind, parameters, metrics, artefact, dict(inputs))
        for name, kind, parameters, metrics, artefact in rows
    ]
    spark: SparkSession = events.sparkSession
    return TrainedModels(
        neighbours=_stamped(neighbours, as_of) if near["rows"] else None,
        item_factors=_stamped(als.item_factors, as_of) if als else None,
        registry=spark.createDataFrame(registry, MODELS.schema),
        version=version,
        _stored=(neighbours, als) if als else (neighbours,),
    )


def model_version(as_of: datetime, config: Config, inputs: Mapping[str, int]) -> str:
    """16 hex digits of SHA-256 over as_of, the configuration that counts, and the inputs."""
    made_by: dict[str, Any] = {
        "as_of": format_instant(as_of),
        "config": config.fingerprint("events", "items", "train", "recommend"),
        "inputs": dict(inputs),
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


def _parameters(settings: BaseModel) -> dict[str, str]:
    return {name: str(value) for name, value in settings.model_dump(mode="json").items()}


def _stamped(rows: DataFrame, as_of: datetime) -> DataFrame:
    instant: Column = F.lit(as_of)
    return rows.select(instant.alias("as_of"), "*")
