"""The configuration's section `train.sequences`. Pure Python; never imports Spark or torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ebb.durations import Duration
from ebb.interests.curves import Positive

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Sequences(BaseModel):
    """A network over each user's events in order. Needs the extra `deep`.

    Attributes
    ----------
    kind : ``transformer``, causal, with a bias by the time between events; ``gru``; ``lstm``;
        ``bilstm``, which reads the past in both directions and learns from one instant a sequence.
    objective : ``window``: whatever is taken within `window` of an instant; ``next``: the next.
    window : length of a label window; None is that of `recommend.choose`.
    length : events of a sequence. history : a user's latest events that are learned from, cut into
        sequences.
    items : the most taken items that it knows.
    dimension, layers, heads : of the network; a transformer alone has heads.
    dropout, l2 : what keeps it from learning people by heart.
    labels : drawn for each instant from the distinct items of its window.
    full_softmax : up to so many items each is held against all; with more, against `negatives`
        drawn by how often they are taken.
    epochs : at most. patience : epochs without a gain on users held out before it stops.
    batch : sequences a step, of all workers together. rate : of learning, at the beginning.
    held_out : share of users whose last window it is judged by, and doesn't learn from.
    workers : processes on the driver's machine; results hang on their number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    kind: Literal["transformer", "gru", "lstm", "bilstm"] = "transformer"
    objective: Literal["window", "next"] = "window"
    window: Duration | None = None
    length: int = Field(default=128, ge=2)
    history: int = Field(default=512, ge=2)
    items: int = Field(default=100_000, ge=1)
    dimension: int = Field(default=64, ge=1)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    l2: NonNegative = 0.01
    labels: int = Field(default=4, ge=1)
    full_softmax: int = Field(default=20_000, ge=0)
    negatives: int = Field(default=1_000, ge=1)
    epochs: int = Field(default=6, ge=1)
    patience: int = Field(default=3, ge=1)
    batch: int = Field(default=16, ge=1)
    rate: Positive = 0.002
    held_out: float = Field(default=0.1, ge=0, lt=1)
    seed: int = 7
    workers: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.kind == "transformer" and self.dimension % self.heads:
            raise ValueError(
                f"dimension {self.dimension} can't be split over {self.heads} heads; expected a "
                "multiple of heads"
            )
        if self.history < self.length:
            raise ValueError(
                f"history {self.history} is less than length {self.length}; expected at least that"
            )
        return self
