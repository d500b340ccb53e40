"""How far a distribution moved: the population stability index of each input, in native Spark.

    PSI = Σ (p_b - q_b) ln(p_b / q_b)

over bins b, p the share of rows now and q that of the reference. For a number the bins are the
reference's tenths, for a key each key. Nothing here reads or writes tables.

References
----------
Siddiqi (2006), Credit Risk Scorecards, Wiley.
Yurdakul & Naranjo (2020), Statistical properties of the population stability index, Journal of
Risk Model Validation 14(4).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ebb.rounding import significant
from ebb.watch.settings import Watch

BINS = 10
# The least share of a bin: an empty one would make the logarithm infinite.
FLOOR = 1e-4
STEADY, MOVED, DRIFTED = "steady", "moved", "drifted"
# Numbers so rounded have few distinct values, so that exact quantiles of them stay small.
_DIGITS = 3
# Without drift PSI is about (1/n + 1/m) χ² of bins - 1 degrees of freedom (Yurdakul & Naranjo):
# what lies within so many of its standard deviations above its mean is the luck of the draw.
_LUCK = 3.0
_MISSING = "missing"


def edges_of(reference: DataFrame, numbers: Mapping[str, Column]) -> dict[str, list[float]]:
    """The inner bounds of each number's bins: distinct tenths of the reference. One job, one row.

    Parameters
    ----------
    numbers : name to a numeric column of `reference`. One that is always empty has no bounds.
    """
    shares = [step / BINS for step in range(1, BINS)]
    tenths = [
        F.percentile(significant(value, _DIGITS), shares).alias(name)
        for name, value in numbers.items()
    ]
    row = reference.agg(*tenths).collect()[0]
    return {name: sorted(set(row[name] or ())) for name in numbers}


def binned(
    rows: DataFrame, numbers: Mapping[str, Column], edges: Mapping[str, list[float]]
) -> DataFrame:
    """name, bin: of each row the bin of each number, the number of bounds below it.

    An empty value, or none that is a number, has a bin of its own.
    """
    parts = [
        F.struct(F.lit(name).alias("name"), _bin(value, edges[name]).alias("bin"))
        for name, value in numbers.items()
    ]
    return rows.select(F.inline(F.array(*parts)))


def _bin(value: Column, edges: list[float]) -> Column:
    rounded = significant(value, _DIGITS)
    above = reduce(Column.__add__, [(rounded > e).cast("int") for e in edges], F.lit(0))
    is_number = value.isNotNull() & ~F.isnan(value.cast("double"))
    return F.when(is_number, above.cast("string")).otherwise(F.lit(_MISSING))


def stability(now: DataFrame, reference: DataFrame, settings: Watch) -> DataFrame:
    """The index of each name, and what to make of it.

    Parameters
    ----------
    now, reference : of, name, bin: one row a value.

    Returns
    -------
    DataFrame of of, name, psi (6 significant digits), rows (those of now), level: ``moved`` or
    ``drifted`` where the index reaches `watch.moved` or `watch.drifted` and is beyond the luck of
    as many rows, else ``steady``. Names that one side lacks are left out.
    """
    sides = now.withColumn("side", F.lit(1)).unionByName(reference.withColumn("side", F.lit(0)))
    bins = sides.groupBy("of", "name", "bin").agg(
        F.count_if(F.col("side") == 1).alias("n"), F.count_if(F.col("side") == 0).alias("m")
    )
    totals = bins.groupBy("of", "name").agg(
        F.sum("n").alias("rows"), F.sum("m").alias("past"), F.count("*").alias("bins")
    )
    p, q = (
        F.greatest(F.col(a) / F.col(b), F.lit(FLOOR)) for a, b in (("n", "rows"), ("m", "past"))
    )
    return (
        bins.join(totals, on=["of", "name"], how="inner")
        .where((F.col("rows") > 0) & (F.col("past") > 0))
        .groupBy("of", "name", "rows", "past", "bins")
        .agg(significant(F.sum((p - q) * F.ln(p / q))).alias("psi"))
        .select("of", "name", "psi", "rows", _level(settings).alias("level"))
    )


def _level(settings: Watch) -> Column:
    freedom = F.col("bins") - 1
    luck = (1.0 / F.col("rows") + 1.0 / F.col("past")) * (freedom + _LUCK * F.sqrt(2.0 * freedom))
    psi = F.col("psi")
    is_real = psi > luck
    return (
        F.when(is_real & (psi >= settings.drifted), F.lit(DRIFTED))
        .when(is_real & (psi >= settings.moved), F.lit(MOVED))
        .otherwise(F.lit(STEADY))
    )
