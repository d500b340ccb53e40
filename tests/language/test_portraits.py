"""Readable tags of people by a chat endpoint: within a budget, only when interests move."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ebb.boxes import interests as interests_box
from ebb.boxes.portraits import portraits
from ebb.context import Night
from ebb.language.asking import Asker
from ebb.language.chatting import Said
from ebb.language.portraits import body_of, judged, portrayed, version_of
from ebb.language.portraits_at import portraits_at
from ebb.language.portraits_due import due
from ebb.language.settings import Portraits
from ebb.progress import Progress
from ebb.schema import PORTRAITS
from ebb.show import words_of
from ebb.steps import RunLog
from language.served import Behaviour, failing, serving
from language.test_labels_box import AS_OF, DAY, shop  # noqa: F401
from small import Shop, arrive

TOLD = [
    {"facet": "tag", "key": "mug", "name": "mug"},
    {"facet": "item", "key": "c", "name": "Jazz"},
]


def settings(**more: Any) -> Portraits:
    return Portraits.model_validate({"url": "http://localhost", "model": "small", **more})


def saying(*tags: Any) -> Behaviour:
    said = {"choices": [{"message": {"content": json.dumps({"tags": list(tags)})}}]}
    return lambda body: (200, json.dumps(said).encode(), {})


def test_interests_are_told_as_data_and_tags_bound_to_the_list() -> None:
    body = json.loads(body_of(settings(tags=["jazz fan"], most=3), TOLD))
    system, user = body["messages"]
    assert "mug" not in system["content"] and "at most 3" in system["content"]
    assert json.loads(user["content"]) == {"interests": [
        {"number": 0, "facet": "tag", "name": "mug"},
        {"number": 1, "facet": "item", "name": "Jazz"},
    ]}  # fmt: skip
    part = body["response_format"]["json_schema"]["schema"]["properties"]["tags"]["items"]
    assert part["properties"]["tag"] == {"type": "string", "enum": ["jazz fan"]}


def test_of_an_answer_only_tags_that_sum_up_what_was_told_count() -> None:
    parts = (
        {"tag": "Jazz Fan", "of": [1, 1, 0, 9, True, "0"]}, {"tag": "jazz fan", "of": [0]},
        {"tag": "of nothing", "of": [2]}, {"tag": "visit http://evil.example", "of": [0]},
        {"tag": None, "of": [0]}, {"of": [0]}, "jazz", {"tag": "tea", "of": "0"},
        {"tag": "tea", "of": [0]}, {"tag": "too many", "of": [0]},
    )  # fmt: skip
    found = judged(Said(parts, "given"), len(TOLD), settings(most=2))
    assert (found.tags, found.dropped) == ({"jazz fan": [0, 1], "tea": [0]}, 8)
    listed = judged(Said(parts, "given"), len(TOLD), settings(tags=["tea", "jazz fan"]))
    assert (listed.tags, listed.dropped) == ({"jazz fan": [0], "tea": [0]}, 8)


def test_who_was_asked_about_before_an_outage_is_kept(capsys: Any) -> None:
    people = [{"user_id": f"u{place}", "keys": TOLD} for place in range(4)]
    with serving(failing(503, "down")) as served:
        served.script = [saying({"tag": "tea", "of": [0]}), failing(400, "filtered")]
        asked = settings(url=served.url, tries=1)
        (batch,) = portrayed(asked, Asker(asked), [pa.RecordBatch.from_pylist(people)])
        assert len(served.bodies) == 3
    keys = [{"facet": "tag", "key": "mug"}, {"facet": "item", "key": "c"}]
    assert batch.to_pylist() == [
        {"user_id": "u0", "keys": keys, "tags": [{"tag": "tea", "keys": keys[:1]}], "dropped": 0,
         "outcome": "given"},
        {"user_id": "u1", "keys": keys, "tags": [], "dropped": 0, "outcome": "refused"},
    ]  # fmt: skip
    assert "portraits: " in capsys.readouterr().err


def test_people_are_due_who_did_something_and_whose_keys_moved(spark: SparkSession) -> None:
    old, new = AS_OF - DAY, AS_OF + timedelta(hours=1)
    rows = [
        (user, facet, name, rank, 2.0 - rank / 2, last)
        for user, last in [("new", old), ("idle", old), ("same", new), ("moved", new), ("old", new)]
        for facet, name, rank in [("item", "a", 1), ("tag", "mug", 1), ("tag", "tea", 2)]
    ]
    rows.append(("same", "tag", "beyond", 3, 0.5, new))
    rows.append(("nothing", "tag", "mug", 1, -1.0, new))
    interests = spark.createDataFrame(
        rows, "user_id string, facet string, key string, rank int, exp double, last_ts timestamp"
    )
    titles = spark.createDataFrame([("a", "Red mug")], "item_id string, title string")
    whole, part = ([("item", "a"), ("tag", "mug"), *more] for more in ([("tag", "tea")], []))
    before = spark.createDataFrame(
        [("idle", AS_OF, "v", part), ("same", AS_OF, "v", whole), ("moved", AS_OF, "v", part),
         ("old", AS_OF, "w", whole)],
        "user_id string, as_of timestamp, version string, "
        "keys array<struct<facet:string,key:string>>",
    )  # fmt: skip
    found = due(interests, titles, before, "exp", "v", settings(keys=2)).collect()
    assert sorted(row["user_id"] for row in found) == ["moved", "new", "old"]
    assert {row["activity"] for row in found} == {4.0}
    assert [tuple(one) for one in found[0]["keys"]] == [
        ("item", "a", "Red mug"), ("tag", "mug", "mug"), ("tag", "tea", "tea"),
    ]  # fmt: skip


def test_nights_ask_within_the_budget_and_tags_fade_with_their_keys(shop: Shop) -> None:  # noqa: F811
    def night_at(as_of: Any, url: str, budget: int) -> Night:
        config = shop.config(
            language={"portraits": {"url": url, "model": "m", "budget": budget}},
            interests={
                "measures": [{"name": "exp", "curve": "exponential", "half_life": "1d"}],
                "rank_by": "exp",
            },
        )
        progress = Progress(terminal=False)
        return Night(shop.tables.spark, shop.tables, config, as_of, progress, "test", "run")

    with serving(
        saying({"tag": "Cosy Evenings", "of": [0, 1]}, {"tag": "?!", "of": [0]})
    ) as served:
        counts = []
        for place in range(2):
            night = night_at(AS_OF + place * DAY, served.url, 1 + place)
            interests_box.interests(night, RunLog(night))
            interests_box.interests_now(night, RunLog(night))
            outcome = portraits(night, RunLog(night))
            counts.append(outcome.run.rows if outcome and outcome.run else None)
            portraits(night, RunLog(night))  # nobody is asked about twice
            # What u1 does next is new: b and d, beside a and c.
            arrive(shop.tables, [("u1", one, "view", AS_OF, None) for one in "bd"])
        sent = [json.loads(body["messages"][1]["content"]) for body in served.bodies]
    assert counts == [
        {"portraits": 1, "waiting": 1, "dropped": 1}, {"portraits": 2, "waiting": 0, "dropped": 2},
    ]  # fmt: skip
    assert "u1" not in json.dumps(served.bodies)
    names = [[one["name"] for one in told["interests"]] for told in sent]
    # At as_of u1 has 0.5 of a and 0.25 of c; u2 0.5 of d. A day later u1 has more.
    assert names == [["red mug", "jazz night"], ["blue mug", "late jazz", "red mug", "jazz night"],
                     ["late jazz"]]  # fmt: skip
    assert shop.tables.read(PORTRAITS).count() == 3

    def tags(as_of: Any) -> dict[str, tuple[str, float, int]]:
        rows = portraits_at(shop.tables, as_of).collect()
        return {row["user_id"]: (row["tag"], row["interest"], row["rank"]) for row in rows}

    assert tags(AS_OF) == {"u1": ("cosy evenings", pytest.approx(0.75), 1)}
    # Of u2 but one thing was told.
    assert tags(AS_OF + DAY)["u2"] == ("cosy evenings", pytest.approx(0.25), 1)
    assert words_of(night, "u2", AS_OF + DAY) == ["cosy evenings"]
    assert words_of(night, "u2", AS_OF) == []


def test_the_version_names_what_is_asked_and_not_how() -> None:
    assert version_of(settings()) == version_of(settings(tries=9, budget=1, keys=3))
    assert len({version_of(settings(**more)) for more in ({}, {"model": "m"}, {"most": 2})}) == 3
