"""The configuration's `forgetting` section.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from ebb.durations import Duration


class Forgetting(BaseModel):
    """How half-lives and curves are learned.

    Attributes
    ----------
    every : a night learns them where the last ones are so old or older.
    horizon : length of the stretch before as_of that models are held against; None takes the scale
        of `recommend.half_lives`, a tenth of the events' span.
    session_gap : an event that comes more than this after the one before of the same key is a
        return; what comes sooner belongs to the same visit.
    users : half-lives' priors are estimated from at most so many users, chosen by a hash of their
        id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    every: Duration = timedelta(days=7)
    horizon: Duration | None = None
    session_gap: Duration = timedelta(minutes=30)
    users: int = Field(default=10_000, ge=10)
