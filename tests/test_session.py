"""The session that everything runs in."""

from __future__ import annotations

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ebb import session
from ebb.config import Spark
from ebb.session import absolute, start_session
from ebb.tables import Tables


def test_times_are_utc_whatever_the_machine(spark: SparkSession) -> None:
    shown = spark.sql("select cast(timestamp'2026-02-25T00:00:00Z' as string) as t").first()
    assert shown is not None and shown.t == "2026-02-25 00:00:00"


def test_delta_tables_can_be_written(tables: Tables, spark: SparkSession) -> None:
    path = f"{tables.root}/numbers"
    spark.range(3).write.format("delta").save(path)
    assert spark.read.format("delta").load(path).count() == 3


def test_python_workers_can_import_ebb(spark: SparkSession) -> None:
    def version(batches):  # type: ignore[no-untyped-def]
        from ebb import __version__

        for batch in batches:
            yield pd.DataFrame({"version": [__version__] * len(batch)})

    found = spark.range(1).mapInPandas(version, "version string").first()
    assert found is not None and found.version


def test_a_small_table_is_not_cut_into_200_tasks(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
    assert spark.conf.get("spark.databricks.delta.snapshotPartitions") == "2"
    assert spark.range(10).groupBy(F.col("id")).count().count() == 10


def test_a_session_that_runs_is_used_again(spark: SparkSession) -> None:
    assert start_session("another", Spark()).sparkContext is spark.sparkContext


@pytest.mark.parametrize("uri", ["/a b/c", "s3a://bucket/x", "file:///x", "hdfs://h/x"])
def test_a_whole_name_stays_as_it_is(spark: SparkSession, uri: str) -> None:
    assert absolute(spark, uri) == uri


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "local[*]"),
        ("'--jars' 'a.jar' 'pyspark-shell'", "local[*]"),
        ("'--master' 'yarn' 'pyspark-shell'", "yarn"),
        ("--master=yarn pyspark-shell", "yarn"),
        ("'--conf' 'spark.master=spark://h:7077' 'pyspark-shell'", "spark://h:7077"),
    ],
)
def test_the_master_is_what_the_options_say(
    options: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", options)
    assert session._master({}) == expected


def test_the_configuration_names_the_master_where_no_option_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    assert session._master({"spark.master": "local[2]"}) == "local[2]"


def test_what_the_configuration_says_of_spark_wins_over_the_defaults() -> None:
    defaults = session._defaults(Spark(shuffle_partitions=64))
    assert defaults["spark.sql.shuffle.partitions"] == "64"


def test_jars_given_as_options_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "'--jars' '/x/delta.jar' 'pyspark-shell'")
    assert not {"spark.jars", "spark.jars.packages"} & set(session._defaults(Spark()))
