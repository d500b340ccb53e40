"""What people say in searches and comments: tags of it are keys of theirs, to every reader."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import interests.interest_oracle as oracle
from ebb.boxes import interests as interests_box
from ebb.boxes.labels import labels
from ebb.boxes.vectors import vectors
from ebb.config import Config
from ebb.context import Night
from ebb.interests import frames, reader
from ebb.interests.named import MARK, hash_of, item_of, with_texts_named
from ebb.interests.point_in_time import features_at
from ebb.language.labelled import labelled_items, labelled_texts
from ebb.language.labels import Labels
from ebb.progress import Progress
from ebb.schema import EVENTS, ITEM_TAGS
from ebb.steps import RunLog
from ebb.tables import Tables
from interests.streams import version
from language.test_labels_box import AS_OF, DAY, LONG_AGO, TERMS, TITLES, bring
from small import Arriving, Shop, arrive

MEASURES: list[dict[str, Any]] = [
    {"name": "exp", "curve": "exponential", "half_life": "2d"},
    {"name": "win", "curve": "window", "length": "3d"},
    {"name": "searches", "curve": "exponential", "half_life": "9d", "aggregate": "count",
     "event_types": ["search"]},
]  # fmt: skip
INTERESTS = {"measures": MEASURES, "rank_by": "exp", "slots": 2}
READ = ("search", "view")
# Items and texts with the tags that they get: terms that two titles have.
OF_ITEM = {"a": ["mug"], "b": ["mug"], "c": ["jazz"], "d": ["jazz"]}
OF_TEXT = {"Jazz, please": ["jazz"], "a mug of jazz": ["jazz", "mug"], "who knows?": []}


def config(shop: Shop, **language: Any) -> Config:
    asked = {"encoder": {"kind": "tfidf", "dimension": 2}, "tagger": {**TERMS, "most": 2}}
    return shop.config(interests=INTERESTS, language={**asked, "events": list(READ), **language})


def happened(rng: random.Random, until: datetime, days: int, count: int) -> list[oracle.Event]:
    """Events of some days; a few of what nobody reads have texts as well."""
    found = []
    for place in range(count):
        kind = rng.choice(["view", "view", "buy", "return", "dislike", "search", "search"])
        minutes = rng.randrange(1, days * 1440)
        text = rng.choice([*OF_TEXT, None])
        found.append({
            "event_id": f"{until}/{place}", "user": rng.choice(["u1", "u2", "u3"]), "kind": kind,
            "item": None if kind == "search" else rng.choice("abcd"), "value": None, "text": text,
            "ts": until - timedelta(minutes=minutes, seconds=place),
        })  # fmt: skip
    return found


def land(tables: Tables, events: list[oracle.Event]) -> None:
    rows: list[Arriving] = [(e["user"], e["item"], e["kind"], e["ts"], None) for e in events]
    arrive(tables, rows, [e["text"] for e in events])


def by_the_book(events: list[oracle.Event], settings: Config, as_of: datetime) -> dict[Any, Any]:
    """An event with a text is one on an item of its own, whose tags are of both."""
    versions = [version(item, tag=tags) for item, tags in OF_ITEM.items()]
    told = []
    for event in events:
        text = event["text"] if event["kind"] in READ else None
        both = f"{event['item']} {text}" if text else event["item"]
        tags = {*OF_ITEM.get(event["item"], []), *OF_TEXT.get(text or "", [])}
        versions.append(version(both, tag=sorted(tags)) if text else version("nothing"))
        told.append({**event, "item": both})
    of_tags = oracle.interests(told, versions, ["tag"], settings.interests, as_of)
    of_items = oracle.interests(events, versions, ["item"], settings.interests, as_of)
    return of_tags | of_items


def assert_same(found: list[dict[str, Any]], expected: dict[Any, Any]) -> None:
    got = {(row["user_id"], row["facet"], row["key"]): row for row in found}
    assert set(got) == set(expected)
    for place, row in expected.items():
        wanted = [row["n"], *(row[m["name"]] for m in MEASURES)]
        assert [got[place][name] for name in ("n", *(m["name"] for m in MEASURES))] == [
            pytest.approx(value, rel=1e-9, abs=1e-9) for value in wanted
        ]


def test_every_reader_says_the_same_of_people_as_a_rebuild_by_the_book(
    tables: Tables, tmp_path: Path
) -> None:
    shop = Shop(tables, tmp_path / "landing")
    bring(tables, [(item, LONG_AGO, None, title, None) for item, title in TITLES.items()])
    settings, rng = config(shop), random.Random(5)
    known: list[oracle.Event] = []
    for night in (AS_OF, AS_OF + DAY):
        more = happened(rng, night, 4, 40)
        land(tables, more)
        known += more
        run(Night(tables.spark, tables, settings, night, Progress(terminal=False), "test", "run"))
    assert settings.facets == ("item", "tag")
    # Each text once, whoever said it, and after the catalogue.
    made = [(row["item_id"], row["tags"]) for row in tables.read(ITEM_TAGS).collect()]
    assert sorted(made) == sorted(
        [*OF_ITEM.items(), *((MARK + hash_of(text), tags) for text, tags in OF_TEXT.items())]
    )
    as_of = AS_OF + DAY
    stored = reader.plan_reading(tables, as_of).stored
    assert stored is not None and stored.slots.earliest < as_of
    expected = by_the_book(known, settings, as_of)
    assert_same([row.asDict() for row in reader.interests_at(tables, as_of).collect()], expected)
    assert_same(frames.interests_at(tables.root, as_of).to_dict("records"), expected)

    labelled = Labels.of(settings, settings.facets)
    entities = tables.spark.createDataFrame(
        [(user, as_of) for user in ("u1", "u2", "u3")], "user_id string, instant timestamp"
    )
    features = features_at(
        entities,
        tables.read(EVENTS),
        labelled_items(tables, labelled, as_of),
        settings,
        texts=labelled_texts(tables, labelled, as_of),
    )
    assert_same([row.asDict() for row in features.collect()], expected)


def run(night: Night) -> None:
    log = RunLog(night)
    vectors(night, log)
    labels(night, log)
    interests_box.interests(night, log)


def test_a_text_is_named_beside_its_item_where_its_type_is_read() -> None:
    events = pa.table({
        "item_id": pa.chunked_array([["a", None], ["b", "c"]], pa.string()),
        "event_type": pa.chunked_array([["view"], ["search", "view", "buy"]], pa.string()),
        "text": pa.chunked_array([["hm", "hm", None, "hm"]], pa.string()),
    })  # fmt: skip
    names = with_texts_named(events, READ).column("item_id")
    mark = MARK + hash_of("hm")
    assert names.to_pylist() == [f"a{mark}", mark, "b", "c"]
    assert item_of(names.combine_chunks()).to_pylist() == ["a", None, "b", "c"]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ({"events": ["browse"]}, "language.events names browse; expected of dislike, search, view"),
        ({"events": ["buy"]}, "language.events names buy; expected of"),
        ({"tagger": None}, "language.tagger, which would read their texts, is left out"),
    ],
)
def test_texts_that_nothing_can_read_are_told(
    tmp_path: Path, language: dict[str, Any], said: str
) -> None:
    shop = Shop(Named(str(tmp_path)), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        config(shop, **language)


class Named:
    """Tables that have a root and no session."""

    def __init__(self, root: str) -> None:
        self.root = root


def test_a_configuration_that_reads_no_events_hashes_as_before(tmp_path: Path) -> None:
    shop = Shop(Named(str(tmp_path)), tmp_path)  # type: ignore[arg-type]
    without = config(shop, events=None)
    assert without.fingerprint("language") == without.fingerprint("language.events", "language")
    assert without.fingerprint("language") != config(shop).fingerprint("language")
    document = without.language.model_dump(mode="json") if without.language else {}
    del document["events"]
    again = shop.config(interests=INTERESTS, language=document)
    assert again.fingerprint("language") == without.fingerprint("language")
