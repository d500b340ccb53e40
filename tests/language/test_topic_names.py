"""Names of topics by a chat endpoint, against a server of its own: nothing it says is trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ebb.errors import RunError
from ebb.language.settings import Topics
from ebb.language.topic_names import names_of
from language.served import Behaviour, failing, serving

TERMS = [["mug", "red", "tea"], ["jazz", "late"], ["jazz", "club"], [], ["egg"], ["lamp"]]


def named(*names: Any) -> Behaviour:
    content = json.dumps({"tags": list(names)})
    answer = {"choices": [{"message": {"content": content}}]}
    return lambda body: (200, json.dumps(answer).encode(), {})


def topics(url: str, **chat: Any) -> Topics:
    asked = {"url": url, "model": "small", "tries": 1, **chat}
    return Topics.model_validate({"words": 2, "chat": asked})


def test_topics_are_called_what_a_chat_says_of_their_terms_and_else_by_these() -> None:
    with serving(named("Lamps")) as served:
        # A second one of a name is numbered; what is no few words isn't taken.
        served.script = [
            named("Drinking mugs"), named("Jazz", "Blues"), named("jazz"),
            named("visit http://evil.example"),
        ]  # fmt: skip
        found = names_of(TERMS, topics(served.url))
    assert found == ["drinking mugs", "jazz", "jazz (2)", "other", "egg", "lamps"]
    sent = [json.loads(body["messages"][1]["content"]) for body in served.bodies]
    assert sent == [{"terms": terms} for terms in TERMS if terms]
    assert all("mug" not in body["messages"][0]["content"] for body in served.bodies)


def test_an_endpoint_that_fails_leaves_topics_their_terms(capsys: Any) -> None:
    with serving(failing(503, "down")) as served:
        served.script = [named("mugs"), failing(400, "filtered"), lambda body: (200, b"<html>", {})]
        found = names_of(TERMS, topics(served.url))
    assert found == ["mugs", "jazz, late", "jazz, club", "other", "egg", "lamp"]
    assert len(served.bodies) == 4
    assert "the rest are named by their terms" in capsys.readouterr().err


def test_a_refusal_that_holds_for_all_topics_is_told() -> None:
    with (
        serving(failing(401, "no key")) as served,
        pytest.raises(RunError, match=r"language\.topics\.chat: .* refuses: status 401"),
    ):
        names_of(TERMS, topics(served.url))


def test_without_a_chat_topics_are_called_by_their_first_terms() -> None:
    assert names_of([["mug", "red", "tea"], ["mug", "red"], []], Topics(words=2)) == [
        "mug, red", "mug, red (2)", "other",
    ]  # fmt: skip
