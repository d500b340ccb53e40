"""Titles and searches of the demo world read like their category."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ebb.config import World
from ebb.events.world_clock import NEVER
from ebb.events.world_items import catalogue, item_lines
from ebb.events.world_words import categories, searches, title

WORLD = World(landing="unused", items=500, categories=17)
CATEGORIES = categories(17)


@pytest.fixture(scope="module")
def items() -> list[dict[str, object]]:
    return [json.loads(line) for line in item_lines(WORLD, np.arange(WORLD.items))]


def test_categories_are_distinct_paths_and_few_of_them_have_several_parents() -> None:
    assert len({c.path for c in CATEGORIES}) == 17
    assert len({c.path.split(" > ")[0] for c in categories(4)}) == 4
    assert CATEGORIES[15].path == "Music > Jazz 2"  # past the named ones they are numbered
    assert all(len(c.openers) == len(c.cores) == len(c.closers) == 6 for c in CATEGORIES)
    assert all(len(set(c.tags)) == 6 and len(c.brands) == 4 for c in CATEGORIES)


def test_a_title_is_an_opener_a_core_and_a_closer_of_its_category() -> None:
    jazz = CATEGORIES[0]
    assert title(jazz, 0) == "Blue Note Evening Sessions"
    assert title(jazz, 1) == "Swinging Ballad Standards"  # 71 = 5 + 6 * 5 + 36 * 1
    assert title(jazz, 216) == "Blue Note Evening Sessions Vol. 2"
    assert len({title(jazz, ordinal) for ordinal in range(500)}) == 500


def test_every_items_title_and_tags_use_the_words_of_its_category(
    items: list[dict[str, object]],
) -> None:
    by_path = {category.path: category for category in CATEGORIES}
    for item in items:
        category = by_path[str(item["category"])]
        words = {word for phrase in category.words for word in phrase.split()}
        assert set(str(item["title"]).split(" Vol. ")[0].split()) <= words
        tags = str(item["tags"]).split("|")
        assert len(set(tags)) == 2
        assert set(tags) <= set(category.tags)
        assert item["brand"] in category.brands
        assert str(item["title"]) in str(item["description"])


def test_an_item_is_available_from_its_publication_until_its_death(
    items: list[dict[str, object]],
) -> None:
    known = catalogue(WORLD)
    versions: dict[str, list[dict[str, object]]] = {}
    for item in items:
        versions.setdefault(str(item["item_id"]), []).append(item)
    assert len(versions) == WORLD.items
    for number, found in enumerate(versions.values()):
        assert [v["available"] for v in found] == [True, False][: len(found)]
        assert (len(found) == 2) == (known.died[number] != NEVER)
        assert found[0]["valid_from"] == found[0]["published_at"]
        if len(found) == 2:
            assert str(found[1]["valid_from"]) > str(found[0]["valid_from"])
    assert 0.1 < sum(len(found) == 2 for found in versions.values()) / WORLD.items < 0.3


def test_searches_are_lower_case_words_of_the_category() -> None:
    found = searches(CATEGORIES[0])
    assert {"bebop", "blue note", "smoky saxophone"} <= set(found)
    assert all(text == text.lower() for text in found)
