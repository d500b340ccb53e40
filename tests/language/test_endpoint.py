"""The client of an endpoint against a server of its own on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ebb.language.asking import Asker, UnreachableError
from ebb.language.endpoint import Client, EndpointEncoder, encoded
from ebb.language.settings import Endpoint
from language.served import Answer, Clock, Served, failing, saying, serving


def good(body: dict[str, Any]) -> Answer:
    """Vectors of the texts' lengths, told in the reverse order."""
    data = [
        {"index": place, "embedding": [3.0, 4.0 * len(text)]}
        for place, text in enumerate(body["input"])
    ]
    return 200, json.dumps({"data": data[::-1]}).encode(), {}


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(good) as found:
        yield found


def settings(served: Served, **more: Any) -> Endpoint:
    return Endpoint.model_validate({"kind": "http", "url": served.url, "model": "small", **more})


def client(served: Served, clock: Clock, key: str | None = None, **more: Any) -> Client:
    asked = settings(served, **more)
    return Client(asked, Asker(asked, key, clock.sleep, clock.time))


def batch(count: int) -> pa.RecordBatch:
    names = [f"i{place}" for place in range(count)]
    return pa.RecordBatch.from_pydict({"item_id": names, "text_hash": names, "text": names})


def test_vectors_come_in_the_order_of_the_texts_and_of_length_one(served: Served) -> None:
    found = client(served, Clock(), key="secret", dimension=2).vectors_of(["x", ""])
    assert found.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [1.0, 0.0]]
    assert served.bodies == [{"model": "small", "input": ["x", ""], "dimensions": 2}]
    assert served.keys == ["Bearer secret"]
    assert "secret" not in repr(client(served, Clock(), key="secret"))


def test_what_fails_for_a_while_is_tried_again_after_longer_pauses(served: Served) -> None:
    served.script = [failing(500), failing(429, Retry_After="7"), failing(503)]
    clock = Clock()
    assert len(client(served, clock, pause="1s").vectors_of(["x"])) == 1
    assert clock.slept == [1.0, 7.0, 4.0] and len(served.bodies) == 4


def test_an_endpoint_that_is_silent_is_given_up_after_so_many_tries(served: Served) -> None:
    served.script = [lambda body: None] * 2
    with pytest.raises(UnreachableError, match=r"2 tries: .*timed out"):
        client(served, Clock(), timeout="0.05s", tries=2).vectors_of(["x"])


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (failing(401, "wrong key"), "refuses: status 401: wrong key"),
        (saying("I'm sorry"), "answer has no vectors: I'm sorry"),
        (saying('{"error": {"message": "no"}}'), "answer has no vectors"),
        (saying('{"data": [{"index": 0, "embedding": [1]}]}'), "answer has no vectors"),
        (saying('{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}'),
         "answer has no vectors"),
        (saying('{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [NaN]}]}'),
         "expected 2 vectors of finite numbers"),
    ],
)  # fmt: skip
def test_what_waiting_does_not_mend_is_told_at_once(served, behaviour, sentence) -> None:
    served.script, clock = [behaviour], Clock()
    with pytest.raises(ValueError, match=sentence):
        client(served, clock).vectors_of(["x", "y"])
    assert clock.slept == []


def test_requests_keep_to_their_rate(served: Served) -> None:
    clock = Clock()
    list(encoded(client(served, clock, batch=1, requests_a_minute=20), [batch(4)]))
    assert clock.slept == [3.0, 3.0, 3.0]


def test_what_was_encoded_before_an_outage_is_kept(served: Served, capsys) -> None:
    served.script = [good, failing(503, "down")]
    made = list(encoded(client(served, Clock(), batch=2, tries=1), [batch(5)]))
    assert [one.column("item_id").to_pylist() for one in made] == [["i0", "i1"]]
    assert "status 503: down; the rest waits for the next night" in capsys.readouterr().err


def test_a_night_spends_no_more_than_its_budget(served: Served, spark: SparkSession) -> None:
    encoder = EndpointEncoder(settings(served, budget=3, batch=2))
    texts = spark.createDataFrame(batch(5).to_pandas()).repartition(3)
    rows = encoder.encode(texts, encoder.fit(texts)).collect()
    assert [row["item_id"] for row in rows] == ["i0", "i1", "i2"]
    assert [len(body["input"]) for body in served.bodies] == [2, 1]


def test_the_version_names_what_makes_the_vectors_and_not_how_they_are_asked_for(
    served: Served,
) -> None:
    def version(**more: Any) -> str:
        return EndpointEncoder(settings(served, **more)).fit(None).version  # type: ignore[arg-type]

    assert version() == version(batch=3, tries=9, budget=1)
    assert len({version(), version(model="large"), version(dimension=5)}) == 3
