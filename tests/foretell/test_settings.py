"""What the configuration says of foretelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebb.config import Config
from ebb.config_file import load_config
from ebb.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


def config_of(name: str, *sets: str) -> Config:
    return load_config(CONF / f"{name}.yaml", sets=sets, environment={})


def test_categories_are_foretold_where_there_are_any_else_items() -> None:
    assert config_of("foursquare_nyc", "foretell={}").foretold_facet == "category"
    assert config_of("deskdrop", "foretell={}").foretold_facet == "item"
    kept = "interests.facets=[item, locality]"
    assert config_of("foursquare_nyc", kept, "foretell={}").foretold_facet == "item"
    chosen = config_of("foursquare_nyc", kept, "foretell.facet=locality")
    assert chosen.foretold_facet == "locality"


def test_a_facet_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"foretell\.facet is tag, expected of item, category"):
        config_of("foursquare_nyc", "foretell.facet=tag")


def test_what_is_off_counts_for_nothing_that_was_made_without_it() -> None:
    sections = ("train", "recommend", "forgetting", "interests")
    off, on = config_of("local"), config_of("local", "foretell={}")
    assert off.foretell is None
    assert off.fingerprint(*sections) == on.fingerprint(*sections)
