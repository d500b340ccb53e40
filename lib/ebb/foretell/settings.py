"""The configuration's section `foretell`. Pure Python; never imports Spark or torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ebb.durations import Duration
from ebb.interests.curves import Positive

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Foretell(BaseModel):
    """A small network that foretells the interests of the next period. Needs the extra `deep`.

    Attributes
    ----------
    facet : of the keys; None is category where items have categories, else item.
    period : how far ahead, and the step in which pasts are read; None is `evaluate.horizon`.
    loss : ``bce``: the probability that a user meets a key in the next period; ``softmax``: how the
        user's interest is spread over the keys met before; ``mse``: log(1 + the weight of what they
        do on it).
    kind : ``dense`` looks at sums alone; ``gru`` and ``lstm`` read period after period as well.
    layers, dimension : hidden layers, 0 is a linear model; width of them and of what is recurrent.
    steps : the latest periods that ``gru`` and ``lstm`` read.
    dropout, l2 : what keeps it from learning by heart.
    optimiser, rate, schedule : of learning; the rate stays, or falls to 0 in a line or a cosine.
    epochs, batch, seed : passes over the rows, rows a step, and what draws begin from.
    periods : before those held out; at each one's beginning pasts are looked at.
    judged : the latest periods, held out to judge by and learned from at last.
    users, keys : at most so many users, and of each at most so many keys at each instant, chosen by
        a hash.
    top : keys a user that are written; None means all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    facet: str | None = None
    period: Duration | None = None
    loss: Literal["bce", "softmax", "mse"] = "bce"
    kind: Literal["dense", "gru", "lstm"] = "dense"
    layers: int = Field(default=1, ge=0)
    dimension: int = Field(default=32, ge=1)
    steps: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    l2: NonNegative = 0.01
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: Positive = 0.003
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    epochs: int = Field(default=3, ge=1)
    batch: int = Field(default=1_024, ge=1)
    seed: int = 7
    periods: int = Field(default=8, ge=1)
    judged: int = Field(default=3, ge=2)
    users: int = Field(default=5_000, ge=10)
    keys: int = Field(default=50, ge=2)
    top: int | None = Field(default=50, ge=1)

    @property
    def read(self) -> int:
        """Periods that the network reads one by one."""
        return 0 if self.kind == "dense" else self.steps
