"""Which arm of an experiment a user is in: by a hash, so that nothing has to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from pyspark.sql import Column
from pyspark.sql import functions as F

# Shares are met to a millionth.
_PARTS = 1_000_000


def arm_of(name: str, shares: Mapping[str, float]) -> Column:
    """The arm of the row's user_id, the same every night.

    xxhash64 of the experiment's name and the user's id, so that who is where in one experiment
    says nothing of another.

    Parameters
    ----------
    shares : of each arm, adding up to 1.
    """
    part = F.pmod(F.xxhash64(F.lit(name), F.col("user_id")), F.lit(_PARTS))
    *first, last = shares
    ends = dict(zip(shares, accumulate(shares.values()), strict=True))
    arm = F.lit(last)
    for one in reversed(first):
        arm = F.when(part < F.lit(round(ends[one] * _PARTS)), F.lit(one)).otherwise(arm)
    return arm
