"""What the tests share: one Spark session, tables in a fresh folder, and the public data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ebb.config import Spark
from ebb.session import start_session, stop_session
from ebb.tables import Tables

_CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One small session for all tests: starting one takes longer than most tests."""
    # Spark's Python workers import ebb from here, installed or not.
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_CHECKOUT / "lib"), inherited]))
    os.environ.setdefault("LOG4J_CONFIGURATION_FILE", str(_CHECKOUT / "conf/log4j2.properties"))
    scratch = tmp_path_factory.mktemp("spark")
    settings = Spark(
        shuffle_partitions=2,
        conf={
            "spark.master": "local[2]",
            "spark.driver.memory": "2g",
            # Tables of a few rows: compiling code for them takes longer than running it.
            "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.ui.enabled": "false",
            "spark.local.dir": str(scratch),
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        },
    )
    session = start_session("ebb tests", settings)
    yield session
    stop_session(session)


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    """Tables under an empty root."""
    return Tables(spark, str(tmp_path / "root"))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Gives the folder of a public data set, or skips the test that asks where it is absent."""
    home = Path(os.environ.get("EBB_DATA") or _CHECKOUT / "data")

    def folder(name: str) -> Path:
        found = home / name
        if not found.is_dir():
            pytest.skip(f"the data set {name} is not in {home} (EBB_DATA); the README says more")
        return found

    return folder
