"""From files to rows of named columns, whatever the format; nothing is judged here.

Each row keeps where it came from and its raw text, and says whether its line could be parsed at
all. Judging is `validation.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ebb.errors import RunError
from ebb.events.listing import Source, file_id
from ebb.sources import Timestamps

ORIGIN = ("source", "file", "file_id", "raw", "parses")
_BROKEN = "_ebb_broken_line"
_ISO_DATE = r"^\s*\d{4}-\d{1,2}-\d{1,2}([T ].*)?$"
_OFFSET = r"(?i)\d\s*(Z|UTC|GMT|[+-]\d{1,2}(:?\d{2}){0,2}|[A-Z]+/[A-Z_]+)\s*$"


def read_rows(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    columns: Mapping[str, str | None],
    required: Sequence[str] = (),
) -> DataFrame:
    """Read files into the columns asked for, beside the `ORIGIN` columns.

    Parameters
    ----------
    paths : files of the source, as `listing.list_files` names them.
    columns : our name to the source's name; None gives a column of nulls.
    required : our names that must exist even in a format without a fixed schema (JSON lines),
        where a key may be absent from a line.

    Raises
    ------
    RunError
        When a mapped column isn't there, or files of one source differ in their columns.
    """
    try:
        rows = _READERS[source.reader.format](spark, source, paths, columns, required)
    except PySparkException as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{source}: can't be read as {source.reader.format}: {reason}") from error
    wanted = [
        (rows[_field(name)] if name else F.lit(None).cast("string")).alias(f"in_{ours}")
        for ours, name in columns.items()
    ]
    return rows.select(
        F.lit(source.reader.path).alias("source"), "file", "file_id", "raw", "parses", *wanted
    )


def _field(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _read_csv(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    columns: Mapping[str, str | None],
    _: Sequence[str],
) -> DataFrame:
    reader = spark.read.options(
        header=True, sep=source.reader.delimiter, quote='"', escape='"',
        multiLine=source.reader.multiline, columnPruning=False,
    )  # fmt: skip
    header = reader.csv(paths[0]).columns
    _check_columns(source, columns, header)
    text = [T.StructField(name, T.StringType()) for name in header]
    schema = T.StructType([*text, T.StructField(_BROKEN, T.StringType())])
    # enforceSchema off: a file whose header differs is an error, not shifted columns.
    rows = reader.options(
        enforceSchema=False, mode="PERMISSIVE", columnNameOfCorruptRecord=_BROKEN
    ).csv(list(paths), schema=schema)
    line = F.coalesce(F.col(_BROKEN), F.to_csv(F.struct(*map(_field, header))))
    return _with_origin(rows, raw=line, parses=F.col(_BROKEN).isNull())


def _read_jsonl(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    columns: Mapping[str, str | None],
    required: Sequence[str],
) -> DataFrame:
    lines = spark.read.text(list(paths)).where(F.trim("value") != "")
    keys = F.explode(F.json_object_keys("value")).alias("key")
    found = {row["key"] for row in lines.limit(1000).select(keys).distinct().collect()}
    if found:
        _check_columns(source, {ours: columns[ours] for ours in required}, sorted(found))
    names = dict.fromkeys(name for name in columns.values() if name)
    fields = [T.StructField(name, T.StringType()) for name in (*names, _BROKEN)]
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _BROKEN}
    parsed = F.from_json("value", T.StructType(fields), options).alias("line")
    rows = _with_origin(
        lines.select("value", "_metadata", parsed), raw=F.col("value"), parses=F.lit(True)
    )
    return rows.withColumn("parses", F.col(f"line.{_BROKEN}").isNull()).select(
        "file", "file_id", "raw", "parses", *(F.col(f"line.{_field(name)}") for name in names)
    )


def _read_parquet(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    columns: Mapping[str, str | None],
    _: Sequence[str],
) -> DataFrame:
    rows = spark.read.option("mergeSchema", True).parquet(*paths)
    _check_columns(source, columns, rows.columns)
    whole = F.to_json(F.struct(*map(_field, rows.columns)))
    return _with_origin(rows, raw=whole, parses=F.lit(True))


def _read_delta(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    columns: Mapping[str, str | None],
    _: Sequence[str],
) -> DataFrame:
    path, version = paths[0].rsplit("@", 1)
    rows = spark.read.format("delta").option("versionAsOf", version).load(path)
    _check_columns(source, columns, rows.columns)
    return rows.select(
        "*",
        F.lit(paths[0]).alias("file"),
        F.md5(F.lit(paths[0])).alias("file_id"),
        F.to_json(F.struct(*map(_field, rows.columns))).alias("raw"),
        F.lit(True).alias("parses"),
    )


_READERS = {
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "delta": _read_delta,
}


def _with_origin(rows: DataFrame, raw: Column, parses: Column) -> DataFrame:
    return rows.select(
        "*",
        F.col("_metadata.file_path").alias("file"),
        file_id().alias("file_id"),
        raw.alias("raw"),
        parses.alias("parses"),
    )


def _check_columns(source: Source, columns: Mapping[str, str | None], found: Sequence[str]) -> None:
    for ours, name in columns.items():
        if name and name not in found:
            raise RunError(
                f"{source}: column {name}, mapped by {source.name}.columns to {ours}, isn't there; "
                f"the source has {', '.join(found)}: correct the mapping, or mend the files if "
                "their columns have changed"
            )


def text_field(name: str) -> Column:
    """A text column of `read_rows`; a blank one counts as missing."""
    text = F.col(name).cast("string")
    return F.when(F.trim(text) != "", text)


def text_map(prefix: str, names: Iterable[str]) -> Column:
    """Columns in_PREFIX_NAME as one map of name to text, without those that are missing."""
    entries = [
        F.struct(F.lit(name).alias("key"), text_field(f"in_{prefix}_{name}").alias("value"))
        for name in names
    ]
    if not entries:
        return F.lit(None).cast("map<string,string>")
    return F.map_from_entries(F.filter(F.array(*entries), lambda e: e["value"].isNotNull()))


def parse_time(column: Column, kind: T.DataType, how: Timestamps) -> Column:
    """An instant from what the source holds; null where it can't be read.

    Typed times stay as they are, naive ones are read in the configured zone; text and numbers
    follow the configured format.
    """
    if isinstance(kind, T.TimestampType):
        return column
    if isinstance(kind, T.TimestampNTZType | T.DateType):
        return F.to_utc_timestamp(column.cast("timestamp"), how.zone)
    text = column.cast("string")
    match how.format:
        case "epoch_seconds":
            return _from_epoch(text, 1.0)
        case "epoch_milliseconds":
            return _from_epoch(text, 1e3)
        case "iso":
            instant = F.when(text.rlike(_ISO_DATE), text.try_cast("timestamp"))
            naive = ~text.rlike(_OFFSET)
        case pattern:
            instant = F.try_to_timestamp(text, F.lit(pattern))
            naive = F.lit(not any(letter in pattern for letter in "XxZzVO"))
    return F.when(naive, F.to_utc_timestamp(instant, how.zone)).otherwise(instant)


def _from_epoch(text: Column, per_second: float) -> Column:
    seconds = text.try_cast("decimal(38,9)") / F.lit(per_second).cast("decimal(10,0)")
    # Beyond the year 9999 a timestamp overflows; whatever lies there is no event time.
    return F.when(F.abs(seconds) < 253_402_300_800, F.timestamp_seconds(seconds))
