"""What boxes that ask a model say of its answers."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.language.chatting import GIVEN


def trouble_of(rows: DataFrame) -> dict[str, int]:
    """How many answers could not be used, and parts that were dropped of others; runs a job.

    Parameters
    ----------
    rows : outcome and dropped, a row an answer.
    """
    counted = rows.groupBy("outcome").agg(F.count("*").alias("n"), F.sum("dropped").alias("parts"))
    found = counted.collect()
    trouble = {row["outcome"]: row["n"] for row in found if row["outcome"] != GIVEN}
    return {**trouble, "dropped": sum(row["parts"] for row in found)}


def remark_of(done: str, waiting: int, trouble: Mapping[str, int]) -> str:
    """In words: what was done, what waits, and what went wrong."""
    said = [done]
    if waiting:
        said.append(f"{waiting:,} wait for the next night")
    return "; ".join([*said, *(f"{n:,} {name}" for name, n in trouble.items() if n)])
