"""The learned curve: a mixture of exponentials that says whether somebody comes back to a key.

A row is a (user, key) met before a cut; its features are the user's decayed numbers of events on
the key by event type and half-life; its label is whether the key was met again between the cut and
as_of. Logistic regression with coefficients >= 0: those of one type, over their sum, are the parts
of its curve, which so never rises. Rows stay where they are; a step of Newton's method takes the
sums of their gradients and second derivatives to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.durations import days
from ebb.forgetting.learn import Stretch
from ebb.forgetting.visits import Doubles
from ebb.interests.columns import age_days, halved
from ebb.interests.keys import with_keys
from ebb.storage import stored

# Half-lives of the parts, days: an hour to a year.
PARTS = (1.0 / 24.0, 0.25, 1.0, 3.0, 10.0, 30.0, 90.0, 365.0)
# A part of less isn't worth its column.
_LEAST_PART = 0.005
# Neighbouring half-lives say nearly the same: so little ridge, on features of mean square 1, makes
# the answer one.
_RIDGE = 1e-4
_STEPS, _TOLERANCE = 40, 1e-7
_DIGITS = 4
_SUMS = "loss double, gradient array<double>, hessian array<double>"
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Part:
    """One exponential of an event type's curve.

    Attributes
    ----------
    weight : its part of the curve at age 0; those of a type add up to 1.
    strength : what a fresh event of the type says for coming back, over the strongest type's.
    """

    event_type: str
    half_life_days: float
    weight: float
    strength: float


def learn_curve(
    events: DataFrame,
    items: DataFrame,
    facet: str,
    event_types: tuple[str, ...],
    stretch: Stretch,
    tuned: float,
) -> list[Part]:
    """Learn one facet's curves, one an event type; runs some ten small jobs.

    Parameters
    ----------
    events : counted events, strictly before as_of.
    items : item versions that hold at as_of.
    stretch : the cut lies a horizon before its as_of.
    tuned : half-life in days of a type that says nothing for coming back, or of which nothing is
        known.
    """
    half_lives = _within(stretch.as_of - stretch.first)
    columns = [(kind, h) for kind in event_types for h in half_lives]
    rows = pair_rows(events, items, facet, columns, stretch.as_of - stretch.horizon)
    with stored(rows) as kept:
        coefficients = fit_logistic(kept, len(columns))
    return _parts(columns, coefficients, event_types, tuned)


def pair_rows(
    events: DataFrame,
    items: DataFrame,
    facet: str,
    columns: list[tuple[str, float]],
    cut: datetime,
) -> DataFrame:
    """One row a (user, key) met before `cut`: label, and a column x0, x1, … a (type, half-life)."""
    liked = events.where(F.col("weight") > 0).select("user_id", "item_id", "event_type", "event_ts")
    age = age_days(cut, F.col("event_ts"))
    is_before = F.col("event_ts") < F.lit(cut)

    def feature(kind: str, half_life: float) -> Column:
        counts = is_before & (F.col("event_type") == kind)
        return F.coalesce(F.sum(F.when(counts, halved(half_life, age))), F.lit(0.0))

    features = [feature(*column).alias(f"x{place}") for place, column in enumerate(columns)]
    label = F.max((~is_before).cast("double")).alias("label")
    met = F.max(is_before).alias("met")
    pairs = with_keys(liked, items, (facet,)).groupBy("user_id", "key").agg(label, met, *features)
    return pairs.where("met").select("label", *(f"x{place}" for place in range(len(columns))))


def fit_logistic(rows: DataFrame, features: int) -> Doubles:
    """(features,) coefficients >= 0 of logistic regression with a free intercept.

    The mean negative log-likelihood plus `_RIDGE` / 2 times the squares of the scaled coefficients
    is convex: Newton's method, each step a quadratic problem with bounds, halved where it
    overshoots. All zero where labels are all alike.

    Parameters
    ----------
    rows : label (0 or 1), x0, x1, …
    """
    squares = [F.avg(F.col(f"x{place}") ** 2) for place in range(features)]
    known = rows.agg(F.count(F.lit(1)), F.avg("label"), *squares).collect()[0]
    n, share = known[0], known[1]
    if not n or share in (0.0, 1.0):
        return np.zeros(features)
    mean_squares = np.array(known[2:], dtype=np.float64)
    scale = np.where(mean_squares > 0, np.sqrt(mean_squares), 1.0)
    at, step = np.zeros(features + 1), np.zeros(features + 1)
    at[0] = np.log(share / (1.0 - share))
    before = np.inf
    for _ in range(_STEPS):
        loss, gradient, hessian = _sums(rows, at, scale, n)
        if loss > before + 1e-12:
            step = step / 2.0
            at = at - step
            continue
        before = loss
        step = bounded_step(at, gradient, hessian) - at
        if np.max(np.abs(step)) < _TOLERANCE:
            break
        at = at + step
    return np.asarray(at[1:] / scale)


def bounded_step(at: Doubles, gradient: Doubles, hessian: Doubles) -> Doubles:
    """Where the quadratic model is lowest with all but the first >= 0, by coordinate descent."""
    found = at.copy()
    slope = gradient.copy()
    for _ in range(2_000):
        largest = 0.0
        for place in range(len(found)):
            wanted = found[place] - slope[place] / hessian[place, place]
            change = (wanted if place == 0 else max(wanted, 0.0)) - found[place]
            if change:
                found[place] += change
                slope += change * hessian[place]
                largest = max(largest, abs(change))
        if largest < _TOLERANCE / 10.0:
            break
    return found


def _sums(rows: DataFrame, at: Doubles, scale: Doubles, n: int) -> tuple[float, Doubles, Doubles]:
    """Loss, gradient and second derivatives at a point, over all rows."""
    found = rows.mapInArrow(_partial(at, scale), _SUMS).toArrow()
    size = len(at)
    ridge = np.append(0.0, np.full(size - 1, _RIDGE))
    loss = sum(found.column("loss").to_pylist()) / n + float(ridge @ at**2) / 2.0
    gradient, hessian = (
        np.sum(np.array(found.column(name).to_pylist()).reshape(-1, width), axis=0) / n
        for name, width in (("gradient", size), ("hessian", size * size))
    )
    return loss, gradient + ridge * at, hessian.reshape(size, size) + np.diag(ridge)


def _partial(at: Doubles, scale: Doubles) -> Callable[[Batches], Batches]:
    def run(batches: Batches) -> Batches:
        for batch in batches:
            if not batch.num_rows:
                continue
            label = batch.column(0).to_numpy()
            columns = [batch.column(place).to_numpy() for place in range(1, batch.num_columns)]
            x = np.column_stack([np.ones(len(label)), *columns])
            x[:, 1:] /= scale
            scores = x @ at
            chance = 1.0 / (1.0 + np.exp(-np.clip(scores, -500.0, 500.0)))
            loss = float(np.sum(np.logaddexp(0.0, scores) - label * scores))
            gradient = x.T @ (chance - label)
            hessian = (x * (chance * (1.0 - chance))[:, None]).T @ x
            yield pa.RecordBatch.from_pydict(
                {
                    "loss": pa.array([loss]),
                    "gradient": pa.array([gradient.tolist()]),
                    "hessian": pa.array([hessian.ravel().tolist()]),
                }
            )

    return run


def _parts(
    columns: list[tuple[str, float]],
    coefficients: Doubles,
    event_types: tuple[str, ...],
    tuned: float,
) -> list[Part]:
    betas = {column: float(beta) for column, beta in zip(columns, coefficients, strict=True)}
    totals = {kind: sum(b for (k, _), b in betas.items() if k == kind) for kind in event_types}
    strongest = max(totals.values(), default=0.0)
    found = []
    for kind in event_types:
        if totals[kind] <= 0.0:
            found.append(Part(kind, tuned, 1.0, 0.0))
            continue
        shares = {h: beta / totals[kind] for (k, h), beta in betas.items() if k == kind}
        kept = {h: share for h, share in shares.items() if share >= _LEAST_PART}
        strength = round(totals[kind] / strongest, _DIGITS)
        found += [
            Part(kind, h, round(share / sum(kept.values()), _DIGITS), strength)
            for h, share in kept.items()
        ]
    return found


def _within(span: timedelta) -> tuple[float, ...]:
    """The parts' half-lives that a span can tell apart."""
    return tuple(h for h in PARTS if h <= days(span)) or PARTS[:1]
