"""The shipped configurations on the public data sets: every row is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ebb.config import Config
from ebb.config_file import load_config
from ebb.events.ingest import Intake, ingest_events
from ebb.schema import EVENTS, QUARANTINE
from ebb.tables import Tables

_CONF = Path(__file__).parents[1] / "conf"
_TOO_EARLY = "time before 2002-01-01T00:00:00Z"
_SETS = sorted(p.stem for p in _CONF.glob("*.yaml") if p.stem not in ("local", "cluster"))


def configured(name: str, data: Path, root: Path) -> Config:
    environment = {"EBB_DATA": str(data.parent), "EBB_ROOT": str(root)}
    return load_config(_CONF / f"{name}.yaml", environment=environment)


@pytest.mark.parametrize("name", _SETS)
def test_a_shipped_configuration_has_the_measures_that_all_share(name: str, tmp_path: Path) -> None:
    config = configured(name, tmp_path / name, tmp_path)
    names = [measure.name for measure in config.interests.measures]
    assert names[:3] == ["exp_7d", "win_30d", "lin_30d"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deskdrop", Intake(1, 72_312, 72_312, 0, 0, {})),
        ("foursquare_nyc", Intake(1, 147_938, 147_938, 0, 0, {})),
        (
            "lastfm_hetrec",
            Intake(1, 186_479, 186_474, 0, 5, {"time before 2002-01-01T00:00:00Z": 5}),
        ),
        ("online_retail", Intake(1, 541_909, 406_829, 0, 135_080, {"missing user_id": 135_080})),
    ],
)
def test_every_row_of_a_real_set_is_somewhere(
    spark: SparkSession,
    real_data: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    expected: Intake,
) -> None:
    config = configured(name, real_data(name), tmp_path)
    tables = Tables(spark, config.root)
    assert ingest_events(tables, config) == expected
    assert tables.read(EVENTS).count() == expected.inserted
    assert tables.read(QUARANTINE).count() == expected.quarantined
    assert tables.read(EVENTS).select("event_id").distinct().count() == expected.inserted
