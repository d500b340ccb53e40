"""Where the night trains its network over sequences, and the table that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.inputs import versions
from ebb.context import Night
from ebb.hashes import short_hash
from ebb.recommend.features import SEQUENCE
from ebb.recommend.prepare import Prepared
from ebb.schema import EVENTS, SEQUENCE_MODELS, USER_VECTORS
from ebb.sequences.fit import Desk, FittedNetwork, require_torch
from ebb.sequences.folder import Folder
from ebb.storage import stored
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
    version = short_hash(made_of.encode())
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


@contextmanager
def foreseen_of(
    night: Night, side: Prepared, events: DataFrame, users: DataFrame, stamp: Stamp
) -> Iterator[DataFrame | None]:
    """Ask the night's network about some users, once, and put their vectors into `user_vectors`.

    Parameters
    ----------
    events : event_id, user_id, item_id, event_type, event_ts, weight. users : user_id, distinct.

    Yields
    ------
    What `Prepared.foreseen` gives, stored for as long as the `with` lasts; None without a network.
    """
    foreseen = side.foreseen(events.join(users, on="user_id", how="left_semi"))
    if foreseen is None:
        yield None
        return
    with stored(foreseen) as kept:
        vectors = kept.select(
            F.lit(night.as_of).alias("as_of"),
            "user_id",
            F.lit(SEQUENCE).alias("model"),
            F.col("state").cast("array<float>").alias("factors"),
        )
        night.tables.write_slice(USER_VECTORS, vectors, stamp)
        yield kept


def remove_trainings(night: Night) -> None:
    """Remove what is left of trainings that were killed and never taken up again."""
    Folder(night.spark, _folder(night)).remove()


def _folder(night: Night) -> str:
    return f"{night.tables.root}/training"
