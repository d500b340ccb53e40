"""Nights that tag items' texts: once each, by the version valid then, as keys of interests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ebb.boxes import interests as interests_box
from ebb.boxes.labels import labels
from ebb.boxes.vectors import vectors
from ebb.context import Night
from ebb.interests import frames, reader
from ebb.progress import Progress
from ebb.schema import INTERESTS_NOW, ITEM_TAGS, ITEMS, LABELLERS, TOPICS
from ebb.steps import RunLog
from ebb.tables import Stamp, Tables
from language.served import Behaviour, serving
from small import Shop, arrive

AS_OF = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
TITLES = {"a": "red mug", "b": "blue mug", "c": "jazz night", "d": "late jazz"}
MEASURES = [{"name": "plain", "curve": "window", "length": "100d"}]
Version = tuple[str, datetime, datetime | None, str, list[str] | None]


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    made = Shop(tables, tmp_path / "landing")
    bring(tables, [(item, LONG_AGO, None, title, None) for item, title in TITLES.items()])
    bought = [("u1", item, "view", AS_OF - 2 * DAY, None) for item in "aac"]
    arrive(tables, [*bought, ("u2", "d", "view", AS_OF - DAY, None)])
    return made


def bring(tables: Tables, versions: list[Version]) -> None:
    """Replace the catalogue: item, valid_from, valid_to, title, tags."""
    rows = [
        (i, since, until, title, None, None, tags, None, None, True, False)
        for i, since, until, title, tags in versions
    ]
    frame = tables.spark.createDataFrame(rows, ITEMS.schema)
    facts = {"earliest": f"{min(v[1] for v in versions):%Y-%m-%dT%H:%M:%SZ}"}
    tables.replace(ITEMS, frame.coalesce(1), None, Stamp("ingest", None, "c", facts=facts))


def night_at(shop: Shop, as_of: datetime, **language: Any) -> Night:
    asked = {"encoder": {"kind": "tfidf", "dimension": 2}, "tagger": TERMS, **language}
    interests = {"measures": MEASURES, "rank_by": "plain", "slots": 1}
    config = shop.config(language=asked, interests=interests)
    progress = Progress(terminal=False)
    return Night(shop.tables.spark, shop.tables, config, as_of, progress, "test", "run")


# Of four texts a word of two is none too common.
TERMS = {"kind": "terms", "most": 1, "common": 0.5}


def run(night: Night) -> None:
    log = RunLog(night)
    vectors(night, log)
    labels(night, log)
    interests_box.interests(night, log)
    interests_box.interests_now(night, log)


def tags_of(night: Night) -> dict[str, list[str]]:
    rows = night.tables.read(ITEM_TAGS).where("facet = 'tag'").collect()
    return {row["item_id"]: row["tags"] for row in rows}


def keys(night: Night, as_of: datetime, facet: str = "tag") -> dict[str, dict[str, float]]:
    """By user, what the facet's keys weigh; the reader without Spark says the same."""
    rows = reader.interests_at(night.tables, as_of).where(f"facet = '{facet}'").collect()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["user_id"], {})[row["key"]] = row["plain"]
    frame = frames.interests_at(night.tables.root, as_of).query(f"facet == '{facet}'")
    assert sorted(zip(frame.user_id, frame.key, frame.plain, strict=True)) == sorted(
        (user, key, value) for user, weighed in found.items() for key, value in weighed.items()
    )
    return found


def test_tags_are_keys_of_interests_beside_those_that_the_source_gives(shop: Shop) -> None:
    bring(
        shop.tables,
        [
            (i, LONG_AGO, None, t, ["mug", "kitchen"] if i == "a" else None)
            for i, t in TITLES.items()
        ],
    )
    night = night_at(shop, AS_OF)
    run(night)
    assert night.config.facets == ("item", "tag")
    # "mug" is in two texts, and twice in the first, whose tags are part of it.
    assert tags_of(night) == {"a": ["mug"], "b": ["mug"], "c": ["jazz"], "d": ["jazz"]}
    assert keys(night, AS_OF) == {
        "u1": {"mug": 2.0, "kitchen": 2.0, "jazz": 1.0},
        "u2": {"jazz": 1.0},
    }
    now = shop.tables.read(INTERESTS_NOW).where("facet = 'tag'").count()
    assert now == 4


def test_a_text_is_tagged_once_and_the_future_moves_nothing(shop: Shop) -> None:
    tables, night = shop.tables, night_at(shop, AS_OF)
    run(night)
    before = keys(night, AS_OF)
    assert before == {"u1": {"mug": 2.0, "jazz": 1.0}, "u2": {"jazz": 1.0}}
    commits = [len(tables.history(table)) for table in (ITEM_TAGS, LABELLERS, INTERESTS_NOW)]
    run(night)
    assert [len(tables.history(t)) for t in (ITEM_TAGS, LABELLERS, INTERESTS_NOW)] == commits

    # At as_of an item gets another text: known to the next night alone, by the tagger of before.
    changed = [(i, LONG_AGO, AS_OF if i == "a" else None, t, None) for i, t in TITLES.items()]
    bring(tables, [*changed, ("a", AS_OF, None, "no jazz", None)])
    following = night_at(shop, AS_OF + DAY)
    run(following)
    assert keys(following, AS_OF) == before
    assert keys(following, AS_OF + DAY) == {"u1": {"jazz": 3.0}, "u2": {"jazz": 1.0}}
    made = tables.read(ITEM_TAGS).where(f"as_of > timestamp'{AS_OF:%Y-%m-%d}'").collect()
    assert [(row["item_id"], row["tags"]) for row in made] == [("a", ["jazz"])]
    assert tables.read(LABELLERS).count() == 1


def test_topics_hold_with_their_names_until_they_are_found_anew(shop: Shop) -> None:
    topics = {"count": 2, "words": 1, "every": "2d"}
    asked: dict[str, Any] = {"tagger": None, "topics": topics}
    first, second, third = (night_at(shop, AS_OF + n * DAY, **asked) for n in range(3))
    run(first)
    assert first.config.facets == ("item", "topic")
    before = keys(first, AS_OF, "topic")
    assert before == {"u1": {"mug": 2.0, "jazz": 1.0}, "u2": {"jazz": 1.0}}
    foggy = {i: f"{t} fog" if "mug" in t else t for i, t in TITLES.items()}
    bring(shop.tables, [(i, LONG_AGO, None, t, None) for i, t in foggy.items()])
    run(second)
    assert names(second) == [["jazz", "mug"]]
    assert keys(second, AS_OF + DAY, "topic") == before
    run(third)
    # Two of two have fog as well, and it comes first in the alphabet.
    assert names(third) == [["jazz", "mug"], ["fog", "jazz"]]
    assert keys(third, AS_OF + 2 * DAY, "topic")["u1"] == {"fog": 2.0, "jazz": 1.0}
    assert keys(third, AS_OF, "topic") == before


def names(night: Night) -> list[list[str]]:
    """Of each as_of at which topics were found, their labels."""
    found: dict[datetime, list[str]] = {}
    for row in night.tables.read(TOPICS).orderBy("as_of", "label").collect():
        found.setdefault(row["as_of"], []).append(row["label"])
    return list(found.values())


def test_a_chat_is_asked_once_a_text_within_its_budget_and_what_it_drops_is_counted(
    shop: Shop,
) -> None:
    def answer(content: str) -> Behaviour:
        said = {"choices": [{"message": {"content": content}}]}
        return lambda body: (200, json.dumps(said).encode(), {})

    with serving(answer('{"tags": ["jazz", "free offer"]}')) as served:
        served.script = [answer("Sorry, no.")]
        chat = {"kind": "chat", "url": served.url, "model": "m", "tags": ["jazz"], "budget": 3}
        counts = []
        for place in range(3):
            night = night_at(shop, AS_OF + place * DAY, tagger=chat)
            vectors(night, RunLog(night))
            (outcome,) = labels(night, RunLog(night))
            counts.append(outcome.run.rows if outcome.run else None)
        assert counts == [
            {"labelled": 3, "waiting": 1, "unreadable": 1, "dropped": 2},
            {"labelled": 1, "waiting": 0, "dropped": 1},
            {"labelled": 0, "waiting": 0, "dropped": 0},
        ]
        assert len(served.bodies) == 4
    assert tags_of(night) == {"a": [], "b": ["jazz"], "c": ["jazz"], "d": ["jazz"]}
