"""Starts and stops Spark: the settings ebb needs, Delta's jars, and quiet around both.

Never keeps a session: callers hold it. What the user says wins: `spark-submit --conf`, then
`spark.conf` of the configuration, then the defaults here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections import deque
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from ebb.config import Spark
from ebb.errors import ConfigError, RunError
from ebb.failures import cause

_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
# What Java prints about itself before any logging is set up; log lines never begin like this.
_JAVA_NOISE = re.compile(
    r"WARNING: |Picked up |OpenJDK 64-Bit Server VM warning: |netlib-\w+: JNI_OnLoad"
)


def delta_package() -> str:
    """Maven coordinate of the Delta that fits the installed pyspark and delta-spark."""
    spark = ".".join(version("pyspark").split(".")[:2])
    return f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"


def start_session(app_name: str, settings: Spark, verbose: bool = False) -> SparkSession:
    """Start Spark with Delta, in UTC, without chatter.

    Works under ``spark-submit`` (whose Java is there already) and from plain Python (Java is
    started here, with the options in ``PYSPARK_SUBMIT_ARGS``).

    Parameters
    ----------
    settings : the `spark` section of the configuration.
    verbose : let Spark log at INFO.

    Raises
    ------
    ConfigError
        When Spark refuses an option given to it.
    RunError
        When Java doesn't start.
    """
    wanted = {**_defaults(settings), **settings.conf}
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None:
        SparkContext._ensure_initialized(gateway=_launch_java(wanted, verbose))
    else:
        SparkContext._ensure_initialized()
    conf = SparkConf()
    for key, value in wanted.items():
        if not conf.contains(key):
            conf.set(key, value)
    # Or the workers take whatever `python3` is on their path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_PYTHON"] = conf.get("spark.pyspark.python") or os.environ["PYSPARK_PYTHON"]
    _insist(conf, app_name, verbose)
    try:
        spark = SparkSession.builder.config(conf=conf).getOrCreate()
    except Exception as error:
        raise RunError(f"Spark did not start: {cause(error)}") from error
    if not verbose:
        _silence_pyspark()
    spark.sparkContext.setLogLevel("INFO" if verbose else "ERROR")
    return spark


def absolute(spark: SparkSession, uri: str) -> str:
    """A folder's whole name: what is relative begins where Hadoop's default file system says.

    A name on this machine stays without a scheme, as readers without Spark like it.
    """
    if urlsplit(uri).scheme:
        return uri
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr]
    home = path.getFileSystem(spark._jsc.hadoopConfiguration())
    return str(home.makeQualified(path).toString()).removeprefix("file:")


def stop_session(spark: SparkSession) -> None:
    """Stop Spark and wait for the Java that `start_session` started, so that it ends before us."""
    gateway = SparkContext._gateway
    with suppress(Exception):  # a Java that died can't be stopped again
        spark.stop()
    java = getattr(gateway, "proc", None)
    if java is not None:
        with suppress(Exception):
            java.stdin.close()
            java.wait(timeout=20)


def _defaults(settings: Spark) -> dict[str, str]:
    """Settings that the user may overrule."""
    defaults = {
        "spark.sql.catalog.spark_catalog": _DELTA_CATALOG,
        "spark.sql.extensions": _DELTA_EXTENSION,
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
        # Or every commit of a small table runs 50 tasks to read its own log.
        "spark.databricks.delta.snapshotPartitions": "2",
        # What is kept between two jobs lives for seconds: to pack it takes longer than it saves.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.driver.memory": f"{_driver_memory_mb()}m",
    }
    if not re.search(r"--(jars|packages)\b", os.environ.get("PYSPARK_SUBMIT_ARGS", "")):
        jars = _jars_of_checkout()
        if jars:
            defaults["spark.jars"] = ",".join(str(jar) for jar in jars)
        else:
            defaults["spark.jars.packages"] = delta_package()
    return defaults


def _insist(conf: SparkConf, app_name: str, verbose: bool) -> None:
    """Settings on which results or readability hang: set whatever anybody said."""
    conf.set("spark.app.name", app_name)
    # All of ebb's instants are UTC; another zone would move days and hours silently.
    conf.set("spark.sql.session.timeZone", "UTC")
    conf.set("spark.ui.showConsoleProgress", "false")
    extensions = [e for e in (conf.get("spark.sql.extensions") or "").split(",") if e]
    if _DELTA_EXTENSION not in extensions:
        conf.set("spark.sql.extensions", ",".join([*extensions, _DELTA_EXTENSION]))


def _jars_of_checkout() -> list[Path]:
    """Delta's jars where `spark-submit.sh` put them; empty outside a checkout."""
    return sorted((Path(__file__).parents[2] / ".ebb" / "ivy" / "jars").glob("*.jar"))


def _driver_memory_mb() -> int:
    """Half of what the machine or the container has, between 1 and 16 GiB."""
    total = 4 << 30
    with suppress(OSError, ValueError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max", where the container has no limit, is no number
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(1024, min(16 * 1024, total // 2 >> 20))


def _launch_java(wanted: dict[str, str], verbose: bool) -> Any:
    """Start Spark's Java with `wanted` below the user's own options.

    Its stderr comes through us, so that what Java prints before logging starts can be left out.
    """
    if _master(wanted).startswith("local"):
        # One machine talks to itself; its own name may lead nowhere, on a VPN for instance.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    conf = SparkConf(loadDefaults=False)
    conf.setAll(list(wanted.items()))
    read_end, write_end = os.pipe()
    relay = _Relay(os.fdopen(read_end, errors="replace"), verbose)
    try:
        gateway = launch_gateway(conf, {"stderr": write_end})  # type: ignore[no-untyped-call]
    except Exception as error:
        os.close(write_end)
        relay.join(timeout=5)
        raise _did_not_start(list(relay.early)) from error
    os.close(write_end)
    relay.started = True
    return gateway


def _master(wanted: dict[str, str]) -> str:
    """The master that Spark will take, as far as that can be told before it starts."""
    given = re.findall(
        r"(?:--master'?[ =]'?|spark\.master=)([^\s']+)", os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    )
    return str(given[-1]) if given else wanted.get("spark.master", "local[*]")


def _did_not_start(lines: list[str]) -> Exception:
    """The error that Java's last words amount to."""
    for line in lines:
        refused = re.search(r"(?:Error: |SparkException: )(.+)", line)
        if refused:
            return ConfigError(f"Spark refused its options: {refused[1].rstrip('.')}")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return RunError(
        f"Spark's Java did not start: {last.strip()}; run again with --verbose to see all it said"
    )


class _Relay(threading.Thread):
    """Passes Java's stderr on; keeps what came before the start, which counts if there is none."""

    def __init__(self, source: TextIO, verbose: bool) -> None:
        super().__init__(daemon=True, name="stderr of Java")
        self.source, self.verbose = source, verbose
        self.started = False
        self.early: deque[str] = deque(maxlen=500)
        self.start()

    def run(self) -> None:
        for line in self.source:
            if not self.started:
                self.early.append(line.rstrip("\n"))
            if self.verbose or (self.started and not _JAVA_NOISE.match(line)):
                sys.stderr.write(line)
                sys.stderr.flush()


def _silence_pyspark() -> None:
    """PySpark logs exceptions that it raises too, stack trace and all: once is enough."""
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    logging.getLogger().addFilter(_is_not_py4j)


def _is_not_py4j(record: logging.LogRecord) -> bool:
    return not record.pathname.endswith(("java_gateway.py", "clientserver.py"))
