"""Nights that encode texts: once each, by the version valid then, and never from the future."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes import vectors as box
from ebb.boxes.vectors import vectors, with_vectors
from ebb.context import Night
from ebb.language.encoder import Fitted
from ebb.progress import Progress
from ebb.schema import ITEM_FACTORS, ITEM_VECTORS, ITEMS, TEXT_ENCODERS
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from small import Shop

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
TITLES = {"a": "red mug", "b": "red tea mug", "c": "jazz night", "d": "late jazz night"}


class Letters:
    """An encoder that learns how long all texts are, and counts and sums up a text's letters."""

    def fit(self, texts: DataFrame) -> Fitted:
        row = texts.agg(F.sum(F.length("text")).alias("letters")).first()
        return Fitted(f"v{row['letters'] if row else 0}", b"learned")

    def encode(self, texts: DataFrame, fitted: Fitted) -> DataFrame:
        said = (F.length("text"), F.crc32("text") % 1000)
        vector = F.array(*(part.cast("float") for part in said)).alias("vector")
        return texts.select("item_id", "text_hash", vector)


@pytest.fixture
def shop(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(box, "encoder_of", lambda settings: Letters())
    made = Shop(tables, tmp_path / "landing")
    bring(tables, [(item, LONG_AGO, None, title) for item, title in TITLES.items()])
    return made


def bring(tables: Tables, versions: list[tuple[str, datetime, datetime | None, str]]) -> None:
    """Replace the catalogue: item, valid_from, valid_to, title."""
    rows = [
        (i, since, until, title, None, ["things"], None, None, None, True, False)
        for i, since, until, title in versions
    ]
    frame = tables.spark.createDataFrame(rows, ITEMS.schema)
    earliest = min(since for _, since, _, _ in versions)
    facts = {"earliest": f"{earliest:%Y-%m-%dT%H:%M:%SZ}"}
    tables.replace(ITEMS, frame.coalesce(1), None, Stamp("ingest", None, "c", facts=facts))


def night_at(shop: Shop, as_of: datetime, **encoder: Any) -> Night:
    config = shop.config(language={"encoder": {"kind": "tfidf", **encoder}})
    progress = Progress(terminal=False)
    return Night(shop.tables.spark, shop.tables, config, as_of, progress, "test", "run")


def run(night: Night) -> None:
    vectors(night, RunLog(night))


def seen(night: Night, as_of: datetime) -> dict[str, list[float]]:
    none = night.spark.createDataFrame([], ITEM_FACTORS.schema).drop("as_of")
    return {row["item_id"]: row["factors"] for row in with_vectors(night, none, as_of).collect()}


def made(night: Night) -> list[tuple[str, datetime]]:
    rows = night.tables.read(ITEM_VECTORS).orderBy("as_of", "item_id", "text_hash").collect()
    return [(row["item_id"], row["as_of"].astimezone(UTC)) for row in rows]


def test_without_the_section_nothing_is_encoded(shop: Shop) -> None:
    progress = Progress(terminal=False)
    night = Night(shop.tables.spark, shop.tables, shop.config(), AS_OF, progress, "test", "run")
    assert vectors(night, RunLog(night)) is None and not shop.tables.exists(ITEM_VECTORS)


def test_a_text_is_encoded_once_and_the_future_moves_nothing(shop: Shop) -> None:
    tables, night = shop.tables, night_at(shop, AS_OF)
    run(night)
    assert [item for item, _ in made(night)] == list("abcd")
    before = seen(night, AS_OF)
    assert before["a"] != before["c"]
    commits = len(tables.history(ITEM_VECTORS)), len(tables.history(TEXT_ENCODERS))
    run(night)
    assert (len(tables.history(ITEM_VECTORS)), len(tables.history(TEXT_ENCODERS))) == commits

    # At as_of one item gets another text and one comes new: known to the next night alone.
    changed = [(i, LONG_AGO, AS_OF if i == "a" else None, title) for i, title in TITLES.items()]
    changed += [("a", AS_OF, None, "late jazz"), ("e", AS_OF, None, "night of jazz")]
    bring(tables, changed)
    run(night)
    assert seen(night, AS_OF) == before
    following = night_at(shop, AS_OF + DAY)
    run(following)
    assert made(following)[4:] == [("a", AS_OF + DAY), ("e", AS_OF + DAY)]
    after = seen(following, AS_OF + DAY)
    assert {item: after[item] for item in "bcd"} == {item: before[item] for item in "bcd"}
    assert after["a"] != before["a"] and "e" in after
    # Whoever looks back from there sees the texts of then.
    assert seen(following, AS_OF) == before
    assert tables.read(TEXT_ENCODERS).count() == 1


def test_the_encoder_is_fitted_anew_on_its_schedule_and_windows_before_see_the_one_of_then(
    shop: Shop,
) -> None:
    first, later = night_at(shop, AS_OF, every="2d"), night_at(shop, AS_OF + 2 * DAY, every="2d")
    run(first)
    before = seen(first, AS_OF)
    # Before the first fit there is none but it.
    assert seen(first, AS_OF - 9 * DAY) == before
    bring(shop.tables, [(i, LONG_AGO, None, f"{title} jazz") for i, title in TITLES.items()])
    run(later)
    rows = shop.tables.read(TEXT_ENCODERS).orderBy("as_of").collect()
    assert len({row["version"] for row in rows}) == 2
    found = Counter(row["version"] for row in later.tables.read(ITEM_VECTORS).collect())
    assert found == {row["version"]: 4 for row in rows}
    assert seen(later, AS_OF + 2 * DAY).keys() == TITLES.keys()
