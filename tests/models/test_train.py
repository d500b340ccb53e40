from datetime import timedelta

import pytest

from ebb.config import Config
from ebb.models.train import model_version, train_models
from ebb.schema import ITEM_FACTORS, MODELS, NEIGHBOURS
from ebb.tables import Stamp
from models.lines import AS_OF, frame

CONFIG = Config.model_validate(
    {
        "root": "unused",
        "events": {
            "sources": [{"path": "unused", "format": "csv"}],
            "types": {"view": {"weight": 1.0}},
        },
        "train": {"rank": 2, "iterations": 1},
    }
)
INPUTS = {"events": 3, "items": 1}


def changed(**sections: dict[str, object]) -> Config:
    return Config.model_validate(CONFIG.model_dump() | sections)


def test_the_models_land_in_their_tables_with_what_made_them(spark, tables) -> None:
    lines = [("u1", "a", 1.0, 1.0), ("u1", "b", 2.0, 1.0), ("u2", "b", 3.0, 1.0)]
    trained = train_models(frame(spark, lines), AS_OF, CONFIG, INPUTS)
    stamp = Stamp("train", AS_OF, "config", INPUTS)
    tables.write_slice(NEIGHBOURS, trained.neighbours, stamp)
    tables.write_slice(ITEM_FACTORS, trained.item_factors, stamp)
    tables.write_slice(MODELS, trained.registry, stamp)
    trained.release()
    near = tables.read_slice(NEIGHBOURS, AS_OF).sort("item_id").collect()
    assert [(r.item_id, r.neighbour_id, r.rank) for r in near] == [("a", "b", 1), ("b", "a", 1)]
    factors = tables.read_slice(ITEM_FACTORS, AS_OF).collect()
    assert {(r.item_id, len(r.factors)) for r in factors} == {("a", 2), ("b", 2)}
    registry = {r.name: r for r in tables.read_slice(MODELS, AS_OF).collect()}
    assert set(registry) == {"als", "neighbours"}
    als = registry["als"]
    assert als.version == model_version(AS_OF, CONFIG, INPUTS)
    assert (als.artefact, als.lineage) == ("item_factors", INPUTS)
    assert als.metrics == {"users": 2.0, "items": 2.0, "pairs": 3.0}
    assert als.parameters["rank"] == "2" and als.parameters["half_life"] == "90d"
    assert registry["neighbours"].metrics == {"rows": 2.0, "items": 2.0}


def test_nothing_to_learn_from_leaves_no_models_and_an_empty_registry(spark) -> None:
    trained = train_models(frame(spark, [("u", None, 1.0, 1.0)]), AS_OF, CONFIG, INPUTS)
    assert trained.neighbours is None and trained.item_factors is None
    assert trained.registry.collect() == []
    trained.release()


@pytest.mark.parametrize(
    "other",
    [
        (AS_OF + timedelta(days=1), CONFIG, INPUTS),
        (AS_OF, changed(train={"rank": 3}), INPUTS),
        (AS_OF, CONFIG, {"events": 4, "items": 1}),
    ],
    ids=["as_of", "configuration", "inputs"],
)
def test_another_night_configuration_or_input_is_another_version(other) -> None:
    assert model_version(*other) != model_version(AS_OF, CONFIG, INPUTS)


def test_what_does_not_touch_the_models_leaves_the_version() -> None:
    assert len(model_version(AS_OF, CONFIG, INPUTS)) == 16
    same = model_version(AS_OF, changed(hot_list={"n": 3}), dict(reversed(INPUTS.items())))
    assert same == model_version(AS_OF, CONFIG, INPUTS)
