"""Sentences about exceptions that nobody foresaw."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ebb.failures import cause, one_sentence


def test_a_python_error_is_told_with_its_kind() -> None:
    assert cause(KeyError("rank")) == "KeyError: 'rank'"
    assert cause(ValueError()) == "ValueError"


def test_a_sentence_names_the_step_and_how_to_see_more() -> None:
    assert one_sentence(ValueError("no"), "train", verbose=False) == (
        "train failed: ValueError: no; run again with --verbose for the stack trace"
    )
    assert one_sentence(ValueError("no"), "train", verbose=True) == "train failed: ValueError: no"


def test_a_long_message_is_cut() -> None:
    assert len(cause(ValueError("x" * 10_000))) == 400


def test_an_error_in_a_python_worker_is_told_by_its_last_line(spark: SparkSession) -> None:
    def fail(batches):  # type: ignore[no-untyped-def]
        for _ in batches:
            raise KeyError("no such facet")
        yield from ()

    with pytest.raises(Exception) as raised:
        spark.range(1).mapInPandas(fail, "id long").collect()
    assert cause(raised.value) == "KeyError: 'no such facet'"


def test_an_error_of_spark_is_told_without_codes_and_stack(spark: SparkSession) -> None:
    with pytest.raises(Exception) as raised:
        spark.range(1).select(F.raise_error(F.lit("too old"))).collect()
    assert "too old" in cause(raised.value)
    assert "SQLSTATE" not in cause(raised.value)
    assert "\n" not in cause(raised.value)
