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
# That holds for many rows; of fewer than these nothing is said.
_LEAST_ROWS = 30
_MISSING = "missing"


def values_of(rows: DataFrame, of: str, numbers: Mapping[str, Column]) -> DataFrame:
    """of, name, is_now, value: each number of each row, to 3 digits; null where it is none.

    Parameters
    ----------
    rows : is_now (else of the reference), and the columns that `numbers` looks at.
    numbers : name to a numeric column of `rows`.
    """
    parts = [
        F.struct(F.lit(name).alias("name"), number.cast("double").alias("value"))
        for name, number in numbers.items()
    ]
    value = significant(F.col("value"), _DIGITS)
    number = F.when(~F.isnan(value), value)
    return rows.select("is_now", F.inline(F.array(*parts))).select(
        F.lit(of).alias("of"), "name", "is_now", number.alias("value")
    )


def binned(values: DataFrame) -> DataFrame:
    """of, name, is_now, bin: how many of the reference's tenths lie below each value.

    The tenths are exact, and those that coincide count once. An empty value has a bin of its own.

    Parameters
    ----------
    values : of `values_of`.
    """
    shares = [step / BINS for step in range(1, BINS)]
    past = F.when(~F.col("is_now"), F.col("value"))
    tenths = values.groupBy("of", "name").agg(F.percentile(past, shares).alias("tenths"))
    below = F.size(F.filter(F.array_distinct("tenths"), lambda tenth: tenth < F.col("value")))
    bin_ = F.when(F.col("value").isNull(), F.lit(_MISSING)).otherwise(
        F.when(F.col("tenths").isNull(), F.lit(0)).otherwise(below).cast("string")
    )
    # A row a name: the numbers that are watched.
    return values.join(F.broadcast(tenths), on=["of", "name"], how="inner").select(
        "of", "name", "is_now", bin_.alias("bin")
    )


def stability(bins: DataFrame, settings: Watch) -> DataFrame:
    """The index of each name, and what to make of it.

    Parameters
    ----------
    bins : of, name, is_now (else of the reference), bin: one row a value.

    Returns
    -------
    DataFrame of of, name, psi (6 significant digits), rows (those of now), level: ``moved`` or
    ``drifted`` where the index reaches `watch.moved` or `watch.drifted` and is beyond the luck of
    as many rows, else ``steady``. Names that one side lacks are left out.
    """
    counts = bins.groupBy("of", "name", "bin").agg(
        F.count_if("is_now").alias("n"), F.count_if(~F.col("is_now")).alias("m")
    )
    totals = counts.groupBy("of", "name").agg(
        F.sum("n").alias("rows"),
        F.sum("m").alias("past"),
        # Summed in one order whatever the partitions.
        F.sort_array(F.collect_list(F.struct("bin", "n", "m"))).alias("bins"),
    )
    return (
        totals.where((F.col("rows") > 0) & (F.col("past") > 0))
        .withColumn("psi", significant(_index()))
        .select("of", "name", "psi", "rows", _level(settings).alias("level"))
    )


def _index() -> Column:
    def part(one: Column) -> Column:
        p = F.greatest(one["n"] / F.col("rows"), F.lit(FLOOR))
        q = F.greatest(one["m"] / F.col("past"), F.lit(FLOOR))
        return (p - q) * F.ln(p / q)

    return F.aggregate("bins", F.lit(0.0), lambda total, one: total + part(one))


def _level(settings: Watch) -> Column:
    freedom = F.size("bins") - 1
    luck = (1.0 / F.col("rows") + 1.0 / F.col("past")) * (freedom + _LUCK * F.sqrt(2.0 * freedom))
    psi = F.col("psi")
    is_real = (F.least("rows", "past") >= _LEAST_ROWS) & (psi > luck)
    return (
        F.when(is_real & (psi >= settings.drifted), F.lit(DRIFTED))
        .when(is_real & (psi >= settings.moved), F.lit(MOVED))
        .otherwise(F.lit(STEADY))
    )
