"""A trained network as bytes, as it is kept and brought to executors. Needs torch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import torch
from pyspark import SparkContext

from ebb.sequences.network import Network
from ebb.sequences.rows import Vocabulary
from ebb.sequences.settings import Sequences
from ebb.shipped import ship_bytes, shipped


@dataclass(frozen=True)
class Model:
    """A network with what its numbers stand for."""

    settings: Sequences
    vocabulary: Vocabulary
    network: Network

    @staticmethod
    def of(raw: bytes) -> Model:
        """From its bytes, ready to be asked."""
        known = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        settings = Sequences.model_validate_json(known["settings"])
        items = pa.array(known["items"], pa.string())
        takes = known["takes"].numpy()
        vocabulary = Vocabulary(items, takes, tuple(known["types"]))
        network = Network(len(vocabulary), len(vocabulary.types), settings)
        network.load_state_dict(known["network"])
        return Model(settings, vocabulary, network.eval())

    def item_vectors(self) -> pa.Table:
        """item_id and factors (d + 2), in order: the item's embedding, its bias, and 1.

        Times a user's state (`foresee.foresee`) they are the log of what taste gives the item.
        """
        weights = self.network.items.weight.detach()[1:]
        own = torch.cat([weights, self.network.bias.detach()[1:, None]], dim=1)
        whole = torch.cat([own, torch.ones(len(own), 1)], dim=1).numpy()
        factors = pa.FixedSizeListArray.from_arrays(pa.array(whole.ravel()), whole.shape[1])
        return pa.table(
            {"item_id": self.vocabulary.items, "factors": factors.cast(pa.list_(pa.float32()))}
        )


def as_bytes(
    settings: Sequences, vocabulary: Vocabulary, network: dict[str, torch.Tensor]
) -> bytes:
    """What `Model.of` reads."""
    buffer = io.BytesIO()
    known = {
        "settings": settings.model_dump_json(),
        "items": vocabulary.items.to_pylist(),
        "takes": torch.from_numpy(vocabulary.takes),
        "types": list(vocabulary.types),
        "network": {name: value.cpu() for name, value in network.items()},
    }
    torch.save(known, buffer)
    return buffer.getvalue()


def ship_model(context: SparkContext, raw: bytes) -> str:
    """Have Spark bring a model to each executor; returns its name."""
    return ship_bytes(context, ".pt", raw)


@lru_cache(maxsize=2)
def shipped_model(name: str) -> Model:
    """Load a shipped model, in a Python worker; once a process."""
    # Spark has a worker a core.
    torch.set_num_threads(1)
    return Model.of(shipped(name).read_bytes())
