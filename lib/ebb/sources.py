"""How a source is configured: where it lies and how its files are read. Pure Python."""

from __future__ import annotations

from typing import Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, field_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Timestamps(_Section):
    """How the source writes instants.

    `format` is ``iso``, ``epoch_seconds``, ``epoch_milliseconds`` or a Spark datetime pattern;
    `zone` is the zone of times that name none.
    """

    format: str = "iso"
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError("expected the name of a time zone such as Europe/London or UTC")
        return zone


class Reader(_Section):
    """Where a source lies and how its files are read.

    `path` is a file, a folder or a glob on any Hadoop URI. Compression (gzip, zstd) follows
    the file's name. `delimiter` and `multiline` (quoted line breaks) are for CSV alone.
    """

    path: str
    format: Literal["csv", "jsonl", "parquet", "delta"]
    delimiter: str = ","
    multiline: bool = False
    timestamp: Timestamps = Timestamps()
