from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ebb.errors import RunError
from ebb.language import sentences
from ebb.language.sentences import SentenceEncoder, encoded
from ebb.language.settings import SentenceTransformers

SETTINGS = SentenceTransformers(kind="sentence_transformers", model="folder", batch=2)


class Model:
    """Stands for the library's class: vectors of the texts' lengths."""

    loaded = 0

    def __init__(self, model: str, revision: str | None) -> None:
        assert (model, revision) == ("folder", None)
        Model.loaded += 1

    def encode(self, texts: list[str], batch_size: int, **_: Any) -> Any:
        assert batch_size == 2
        return np.array([[3.0, 4.0 * len(text)] for text in texts], dtype=np.float32)


def test_a_model_is_loaded_once_a_worker_and_gives_vectors_of_length_one(monkeypatch) -> None:
    monkeypatch.setitem(
        sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Model)
    )
    sentences._model.cache_clear()
    batches = [
        pa.RecordBatch.from_pydict({"item_id": ids, "text_hash": ids, "text": ids})
        for ids in (["a", "b", "c"], ["d"])
    ]
    made = pa.Table.from_batches(encoded(SETTINGS, batches)).to_pydict()
    assert made["item_id"] == list("abcd") and Model.loaded == 1
    assert made["vector"] == [pytest.approx([0.6, 0.8])] * 4
    sentences._model.cache_clear()


def test_without_the_extra_a_sentence_names_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(RunError, match=r"the extra text brings: pip install 'ebb\[text\]'"):
        SentenceEncoder(SETTINGS).fit(None)  # type: ignore[arg-type]
