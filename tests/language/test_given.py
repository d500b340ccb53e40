"""Ready-made vectors: taken in once, refused where they are none, and never from the future."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from ebb.boxes.vectors import vectors, with_vectors
from ebb.context import Night
from ebb.language.settings import Language
from ebb.progress import Progress
from ebb.schema import ITEM_FACTORS, ITEM_VECTORS, QUARANTINE
from ebb.steps import RunLog
from ebb.tables import Tables
from small import Shop

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def write(path: Path, rows: list[tuple[str | None, object, str | None]]) -> None:
    """JSON lines of item, vector and valid_from."""
    lines = [json.dumps({"item": i, "picture": v, "since": s}) for i, v, s in rows]
    path.write_text("\n".join(lines))


def night_at(tables: Tables, folder: Path, as_of: datetime) -> Night:
    columns = {"item_id": "item", "vector": "picture", "valid_from": "since"}
    encoder = {"kind": "given", "path": str(folder / "pictures.jsonl"), "format": "jsonl"}
    encoder |= {"dimension": 2, "columns": columns}
    landing = folder / f"landing-{as_of:%d}"
    config = Shop(tables, landing).config(language={"encoder": encoder})
    return Night(tables.spark, tables, config, as_of, Progress(terminal=False), "test", "run")


def seen(night: Night, as_of: datetime) -> dict[str, list[float]]:
    none = night.spark.createDataFrame([], ITEM_FACTORS.schema).drop("as_of")
    rows = with_vectors(night, none, as_of).collect()
    return {row["item_id"]: pytest.approx(row["factors"]) for row in rows}


def test_vectors_hold_from_their_time_on_and_each_bad_row_goes_to_quarantine(
    tables: Tables, tmp_path: Path
) -> None:
    rows: list[tuple[str | None, object, str | None]] = [
        ("a", [3.0, 4.0], None),
        ("a", [0, 2], "2026-01-19"),
        ("b", [0, 0], None),
        ("c", [1, 0], "2026-01-20"),
        ("d", [1, 2, 3], None),
        ("e", None, None),
        ("f", [1, None], None),
        ("g", "1 2", None),
        (None, [1, 2], None),
        ("h", [1, 2], "soon"),
    ]
    write(tmp_path / "pictures.jsonl", rows)
    night = night_at(tables, tmp_path, AS_OF)
    vectors(night, RunLog(night))
    # What holds from as_of on isn't known before it.
    assert seen(night, AS_OF) == {"a": [0, 1], "b": [0, 0]}
    assert seen(night, AS_OF - DAY) == {"a": [0.6, 0.8], "b": [0, 0]}
    bad = tables.read(QUARANTINE).where("batch_id = 'vectors'").collect()
    assert sorted(reason for row in bad for reason in row["reasons"]) == [
        "vector: 3 numbers, expected 2",
        "vector: missing item_id",
        "vector: missing, or no list of numbers",
        "vector: missing, or no list of numbers",
        "vector: not all numbers are finite",
        "vector: unreadable valid_from",
    ]
    commits = len(tables.history(ITEM_VECTORS))
    vectors(night, RunLog(night))
    assert len(tables.history(ITEM_VECTORS)) == commits

    # Without a time another vector holds from the night on that meets it.
    write(tmp_path / "pictures.jsonl", [("b", [5, 0], None), *rows[:2], rows[3]])
    later = night_at(tables, tmp_path, AS_OF + DAY)
    vectors(later, RunLog(later))
    assert seen(later, AS_OF + DAY) == {"a": [0, 1], "b": [1, 0], "c": [1, 0]}
    assert seen(later, AS_OF) == {"a": [0, 1], "b": [0, 0]}
    new = tables.read(ITEM_VECTORS).where(f"as_of > timestamp'{AS_OF:%Y-%m-%d %H:%M:%S}Z'")
    assert sorted(row["item_id"] for row in new.collect()) == ["b", "c"]


def test_labels_by_vectors_of_texts_want_an_encoder_of_texts() -> None:
    given = {"kind": "given", "path": "v.parquet", "format": "parquet", "dimension": 2}
    with pytest.raises(ValidationError, match="topics needs vectors of texts"):
        Language.model_validate({"encoder": given, "topics": {}})
