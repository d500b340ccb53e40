"""Rounding to significant digits, the same to the last bit in Spark and in numpy.

Sums come out differently in the last bits when threads finish in another order. Scores are
rounded before they are ordered, so that ranks and ties don't hang on that.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from ebb.digits import DIGITS, EXACT, LARGEST, LEAPS, check_digits
from ebb.digits import significant_array as significant_array


def significant(column: Column, digits: int = DIGITS) -> Column:
    """Round to `digits` significant decimal digits: 0.123456789 becomes 0.123457.

    Parameters
    ----------
    column : a double. Null, NaN and infinities stay what they are; values below about
        1e-303 become 0; minus zero becomes zero.
    digits : 1 to 15.

    Notes
    -----
    With e = floor(log10 |x|) and k = digits - 1 - e: rint(x * 10^k) / 10^k, halves to even.
    If log10 errs next to a power of ten, either e rounds to that power of ten.
    """
    check_digits(digits)
    x = column.cast("double")
    k = F.lit(digits - 1) - F.floor(F.log10(F.abs(x)))
    k = F.least(F.greatest(k, F.lit(-LARGEST)), F.lit(LARGEST)).cast("int")
    size = F.abs(k)
    leap = F.get(F.array(*map(F.lit, LEAPS)), (size / F.lit(EXACT)).cast("int"))
    power = F.pow(F.lit(10.0), size % F.lit(EXACT)) * leap
    rounded = F.when(k >= 0, F.rint(x * power) / power).otherwise(F.rint(x / power) * power)
    # The logarithm of zero is null. One coalesce, so that Spark computes k and power once a row.
    # Adding 0.0 turns minus zero, which would order and print apart, into zero.
    return F.coalesce(rounded, x) + F.lit(0.0)
