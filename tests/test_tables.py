"""Stamped writes: what makes a step complete, and which commits touch which nights."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.errors import RunError
from ebb.schema import ALL, EVALUATIONS, HOT_LIST, INTEREST_STATE, INTERESTS_NOW
from ebb.tables import Stamp, Tables, conform

NIGHT, NEXT = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC)


def hot(tables: Tables, as_of: datetime, *names: str) -> DataFrame:
    rows = [(as_of, "all", rank, name, 1.0, 1) for rank, name in enumerate(names, start=1)]
    return tables.spark.createDataFrame(rows, HOT_LIST.schema)


def test_a_slice_is_replaced_whole_and_others_stay(tables: Tables) -> None:
    tables.write_slice(HOT_LIST, hot(tables, NIGHT, "a", "b"), Stamp("hot", NIGHT, "c"))
    tables.write_slice(HOT_LIST, hot(tables, NEXT, "z"), Stamp("hot", NEXT, "c"))
    tables.write_slice(HOT_LIST, hot(tables, NIGHT, "c"), Stamp("hot", NIGHT, "c"))
    assert [r["item_id"] for r in tables.read(HOT_LIST).orderBy("as_of").collect()] == ["c", "z"]


def test_an_empty_slice_is_a_commit_too(tables: Tables) -> None:
    for _ in range(2):
        commit = tables.write_slice(
            HOT_LIST, hot(tables, NIGHT), Stamp("hot", NIGHT, "c", {"events": 7})
        )
    assert commit.stamp == Stamp("hot", NIGHT, "c", {"events": 7})
    assert tables.commit_of(HOT_LIST, "hot", NIGHT) == commit
    assert tables.commit_of(HOT_LIST, "hot", NEXT) is None
    assert tables.commit_of(EVALUATIONS, "evaluate", NIGHT) is None


def test_rows_of_another_night_are_refused(tables: Tables) -> None:
    with pytest.raises(Exception, match="REPLACE_WHERE_MISMATCH"):
        tables.write_slice(HOT_LIST, hot(tables, NEXT, "a"), Stamp("hot", NIGHT, "c"))
    assert tables.commit_of(HOT_LIST, "hot", NIGHT) is None


def test_missing_and_undeclared_columns_are_named(tables: Tables) -> None:
    wrong = hot(tables, NIGHT, "a").drop("n").withColumn("extra", F.lit(1))
    with pytest.raises(
        ValueError, match=r"missing columns \['n'\], undeclared columns \['extra'\]"
    ):
        conform(HOT_LIST, wrong)


def test_a_table_of_another_version_is_named_with_the_remedy(tables: Tables) -> None:
    rows = tables.spark.createDataFrame([], HOT_LIST.schema)
    rows.drop("n").write.format("delta").save(tables.path(HOT_LIST))
    with pytest.raises(RunError, match=r"hot_list was made by another version of ebb.*--root"):
        tables.write_slice(HOT_LIST, rows, Stamp("hot list", NIGHT, "c"))


def test_a_table_replaced_with_other_columns_still_lies_by_its_partitions(tables: Tables) -> None:
    columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in INTEREST_STATE.schema)
    row = (3, NIGHT, "u", "a", 1, NIGHT, 0.5)
    for measure in ("sum_short", "sum_long"):
        rows = tables.spark.createDataFrame([row], f"{columns}, {measure} double")
        tables.replace(INTEREST_STATE, rows, None, Stamp("interests", NIGHT, "c"))
        detail = tables.delta(INTEREST_STATE).detail().select("partitionColumns").first()
        assert detail is not None and detail[0] == ["slot"]
    assert tables.read(INTEREST_STATE).columns[-1] == "sum_long"


def test_measures_are_columns_of_their_own(tables: Tables) -> None:
    rows = tables.spark.createDataFrame(
        [(NIGHT, "u", "item", "a", 1, NIGHT, 1.0, 1, 0.1, "rising", 0.5)],
        "as_of timestamp, user_id string, facet string, key string, n long, last_ts timestamp, "
        "share double, rank int, drift double, trend string, exp_3h double",
    )
    tables.replace(INTERESTS_NOW, rows, None, Stamp("interests now", NIGHT, "c"))
    assert tables.read(INTERESTS_NOW).first()["exp_3h"] == 0.5  # type: ignore[index]
    # A table that is replaced whole loses the columns of measures that are gone.
    tables.replace(INTERESTS_NOW, rows.drop("exp_3h"), None, Stamp("interests now", NIGHT, "d"))
    assert "exp_3h" not in tables.read(INTERESTS_NOW).columns


def test_readers_without_spark_read_every_table(tables: Tables) -> None:
    for table in ALL:
        tables.create(table)
        found = DeltaTable(tables.path(table)).to_pyarrow_dataset().schema.names
        assert found == table.schema.names


def test_a_commit_by_somebody_else_counts_as_a_change_but_upkeep_does_not(tables: Tables) -> None:
    tables.write_slice(HOT_LIST, hot(tables, NIGHT, "a"), Stamp("hot", NIGHT, "c"))
    ours = tables.version_before(HOT_LIST, NIGHT)
    delta = tables.delta(HOT_LIST)
    delta.optimize().executeCompaction()
    assert tables.version_before(HOT_LIST, NIGHT) == ours
    delta.delete("item_id = 'a'")
    assert tables.version_before(HOT_LIST, NIGHT) > ours
