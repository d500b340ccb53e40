"""The box that fits the models of a night and enters them into the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.choose import SECTIONS, Decision
from ebb.boxes.inputs import counted_events, versions
from ebb.boxes.sequences import desk_of, write_network
from ebb.boxes.vectors import texts_to_project, version_made
from ebb.config import Config
from ebb.context import Night
from ebb.durations import format_instant
from ebb.hashes import short_hash
from ebb.models.fit import FittedModels, fit_models
from ebb.recommend.features import PROJECTED, SEQUENCE
from ebb.recommend.half_lives import HalfLives, name_of
from ebb.schema import EVENTS, ITEM_FACTORS, ITEM_WEIGHTS, ITEMS, MODELS, SEQUENCE_MODELS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Stamp

_KINDS = {
    "neighbours": "item-to-item cosine",
    "ease": "EASE, closed form",
    "als": "implicit ALS",
    PROJECTED: "projection of texts, closed form",
    SEQUENCE: "network over sequences",
}
_ARTEFACTS = {"als": ITEM_FACTORS, PROJECTED: ITEM_FACTORS, SEQUENCE: SEQUENCE_MODELS}
# Models that know nothing of age but its order.
_WITHOUT_DECAY = (PROJECTED, SEQUENCE)


def train(night: Night, log: RunLog, decision: Decision) -> Outcome:
    """Fit neighbours, EASE and ALS, decayed and flat, the projection of texts and the network over
    sequences, on what is known at the night's as_of."""
    tables, config = night.tables, night.config

    def work(stamp: Stamp) -> StepRun:
        with stored(counted_events(night)) as events:
            half_lives = decision.columns.half_lives
            desk, texts = desk_of(night), texts_to_project(night, night.as_of)
            fitted = fit_models(events, night.as_of, half_lives, config.train, desk, texts)
            try:
                for table, rows in (
                    (ITEM_WEIGHTS, fitted.item_weights),
                    (ITEM_FACTORS, fitted.item_factors),
                ):
                    as_of = F.lit(night.as_of).alias("as_of")
                    tables.write_slice(table, rows.select(as_of, "*"), stamp)
                write_network(night, fitted.network, stamp)
                # The registry comes last: its commit says that the models are all there.
                commit = tables.write_slice(
                    MODELS, _registry(night, decision, fitted, stamp), stamp
                )
            finally:
                fitted.release()
        remark = "; ".join([f"{commit.rows_written} models", *fitted.remarks])
        return StepRun({"models": commit.rows_written}, remark)

    inputs = {**versions(night, EVENTS, ITEMS), "choices": decision.version}
    if PROJECTED in config.models:
        inputs |= version_made(night)
    stamp = stamp_for(night, "train", SECTIONS, inputs)
    # Published slates came from these models: late events count from the next night on.
    return run_step(night, log, MODELS, stamp, work, published=True)


def _registry(night: Night, decision: Decision, fitted: FittedModels, stamp: Stamp) -> DataFrame:
    """One row a model that learned something, with what made it."""
    version = model_version(stamp, night.config)
    rows = []
    for name, metrics in sorted(fitted.metrics.items()):
        base = name.removesuffix("_flat")
        settings = _settings(base, night.config)
        parameters = {
            **{key: str(value) for key, value in settings.model_dump(mode="json").items()},
            "half_life": _half_life(name, decision.columns.half_lives),
            "history": str(night.config.train.history),
        }
        artefact = _ARTEFACTS.get(base, ITEM_WEIGHTS).name
        rows.append(
            (night.as_of, name, version, _KINDS[base], parameters, dict(metrics), artefact,
             dict(stamp.inputs))
        )  # fmt: skip
    return night.spark.createDataFrame(rows, MODELS.schema)


def _settings(model: str, config: Config) -> BaseModel:
    if model == PROJECTED and config.language and config.language.projection:
        return config.language.projection
    settings: BaseModel = getattr(config.train, "sequences" if model == SEQUENCE else model)
    return settings


def _half_life(model: str, half_lives: HalfLives) -> str:
    if model.endswith("_flat") or model in _WITHOUT_DECAY:
        return name_of(None)
    return name_of(half_lives.confidence if model == "als" else half_lives.similarity)


def model_version(stamp: Stamp, config: Config) -> str:
    """16 hex digits of SHA-256 over as_of, the configuration that counts, and the inputs."""
    made_by: Mapping[str, Any] = {
        "as_of": format_instant(stamp.as_of) if stamp.as_of else None,
        "config": config.fingerprint(*SECTIONS),
        "inputs": dict(stamp.inputs),
    }
    return short_hash(json.dumps(made_by, sort_keys=True).encode())
