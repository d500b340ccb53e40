"""The half-lives that were learned of each user, beside the rows that decay by them.

Which of them hold at an instant is said in `forgetting/fits.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.forgetting.fits import Fit, fits_of, held_at
from ebb.interests.stored import Sum
from ebb.schema import HALF_LIVES
from ebb.tables import Tables


@dataclass(frozen=True)
class OwnHalfLives:
    """Half-lives of users, as they were learned once or several times.

    Attributes
    ----------
    fits : the earliest as_of first.
    rows : at least as_of (of a fit), user_id, facet, half_life_days.
    """

    fits: tuple[Fit, ...]
    rows: DataFrame


def learned(tables: Tables) -> OwnHalfLives:
    """All that the job `forgetting` has learned."""
    fits = fits_of(tables.newest_first(HALF_LIVES))
    return OwnHalfLives(fits, tables.read(HALF_LIVES))


def learned_in(tables: Tables, fit: Fit | None) -> OwnHalfLives | None:
    """What it learned in one fit."""
    return OwnHalfLives((fit,), tables.read_slice(HALF_LIVES, fit.as_of)) if fit else None


def with_own(
    rows: DataFrame, own: OwnHalfLives | None, as_of: datetime, sums: Iterable[Sum]
) -> DataFrame:
    """Rows with `own`, where a sum goes by it: the user's half-lives that hold at `as_of`, a field
    a facet; else as they are.

    Parameters
    ----------
    rows : with user_id.
    """
    facets = sorted({s.own for s in sums if s.own is not None})
    fit = held_at(own.fits, as_of) if own else None
    if own is None or fit is None or not facets:
        return rows
    held = own.rows.where(F.col("as_of") == F.lit(fit.as_of))
    by_user = held.groupBy("user_id").agg(_by_facet(facets))
    return rows.join(by_user, on="user_id", how="left")


def with_own_at_instants(rows: DataFrame, own: OwnHalfLives, facets: Sequence[str]) -> DataFrame:
    """Rows with `own`: the user's half-lives that hold at the row's instant, a field a facet.

    Parameters
    ----------
    rows : with user_id and at, an instant.
    own : with at least one fit.
    """
    # No lambda: what Spark infers of the other side of the join from one names columns it lacks.
    as_ofs = [F.lit(fit.as_of) for fit in reversed(own.fits)]
    latest = F.coalesce(*(F.when(as_of <= F.col("at"), as_of) for as_of in as_ofs))
    by_user = own.rows.groupBy("user_id", F.col("as_of").alias("learned_at")).agg(_by_facet(facets))
    placed = rows.withColumn("learned_at", latest)
    return placed.join(by_user, on=["user_id", "learned_at"], how="left").drop("learned_at")


def _by_facet(facets: Sequence[str]) -> Column:
    """The half-life, days, of each facet; empty where there is none."""
    days = [F.max(F.when(F.col("facet") == f, F.col("half_life_days"))).alias(f) for f in facets]
    return F.struct(*days).alias("own")
