"""Where the night trains its network over sequences, and the table that keeps it."""

from __future__ import annotations

import hashlib

from ebb.boxes.inputs import versions
from ebb.context import Night
from ebb.schema import EVENTS, SEQUENCE_MODELS
from ebb.sequences.fit import Desk, FittedNetwork, require_torch
from ebb.sequences.folder import Folder
from ebb.tables import Stamp


def desk_of(night: Night) -> Desk | None:
    """Where networks are trained, below the root; None where none is wanted.

    Raises
    ------
    RunError
        When the extra `deep` isn't installed.
    """
    if night.config.train.sequences is None:
        return None
    require_torch()
    made_of = f"{night.config.fingerprint('events', 'train')} {versions(night, EVENTS)}"
    version = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return Desk(_folder(night), version, night.progress)


def write_network(night: Night, network: FittedNetwork | None, stamp: Stamp) -> None:
    """Put the night's network into `sequence_models`; nothing where none is wanted."""
    settings = night.config.train.sequences
    if settings is None:
        return
    rows = []
    if network is not None:
        parameters = {name: str(v) for name, v in settings.model_dump(mode="json").items()}
        rows = [
            (night.as_of, network.version, settings.kind, parameters, dict(network.metrics),
             network.raw, dict(stamp.inputs))
        ]  # fmt: skip
    frame = night.spark.createDataFrame(rows, SEQUENCE_MODELS.schema)
    night.tables.write_slice(SEQUENCE_MODELS, frame.coalesce(1), stamp)


def network_of(night: Night) -> bytes | None:
    """The network that was trained for the night, if any."""
    if night.config.train.sequences is None:
        return None
    require_torch()
    row = night.tables.read_slice(SEQUENCE_MODELS, night.as_of).select("network").first()
    return None if row is None else bytes(row["network"])


def remove_trainings(night: Night) -> None:
    """Remove what is left of trainings that were killed and never taken up again."""
    Folder(night.spark, _folder(night)).remove()


def _folder(night: Night) -> str:
    return f"{night.tables.root}/training"
