"""The configuration's section `language`.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ebb.durations import Duration
from ebb.interests.curves import Positive

TextField = Literal["title", "text", "categories", "tags"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Tfidf(_Section):
    """Latent semantic analysis: TF-IDF, brought to few dimensions by an SVD on Spark.

    Attributes
    ----------
    dimension : of the vectors.
    terms : at most so many of the terms that most texts have; a term of one text says nothing.
    every : after so long it is fitted anew, and every text is encoded anew.
    passes : over the texts while the SVD is iterated.
    seed : of the SVD's start.
    """

    kind: Literal["tfidf"]
    dimension: int = Field(default=64, ge=1, le=1024)
    terms: int = Field(default=20_000, ge=1)
    every: Duration = timedelta(days=30)
    passes: int = Field(default=4, ge=1)
    seed: int = 7


class SentenceTransformers(_Section):
    """A model of sentence-transformers; needs the extra `text`.

    Attributes
    ----------
    model : its folder, which every executor must see, or its name.
    revision : of a model that is named; another one encodes every text anew.
    batch : texts that go through the model at once.
    """

    kind: Literal["sentence_transformers"]
    model: str = Field(min_length=1)
    revision: str | None = None
    batch: int = Field(default=32, ge=1)

    @property
    def every(self) -> None:
        """Nothing is fitted."""


class Endpoint(_Section):
    """An endpoint for embeddings over HTTP, as OpenAI has it.

    Attributes
    ----------
    url : that requests are posted to, ending in /embeddings.
    model : its name there. dimension : of the vectors that is asked for; None takes the model's.
    key_from : the environment variable that holds the key; none is sent where it isn't set.
    batch : texts a request.
    timeout : of a request.
    tries : of a request that fails for a while (time-out, status 408, 429 or 5xx), each after twice
        the pause before, from `pause` on, or after what the endpoint asks for.
    requests_a_minute : at most; None is as many as come.
    budget : texts a night; the rest waits for the nights after.
    """

    kind: Literal["http"]
    url: str = Field(pattern="^https?://")
    model: str = Field(min_length=1)
    dimension: int | None = Field(default=None, ge=1)
    key_from: str = "EBB_TEXT_KEY"
    batch: int = Field(default=64, ge=1)
    timeout: Duration = timedelta(seconds=30)
    tries: int = Field(default=5, ge=1)
    pause: Duration = timedelta(seconds=1)
    requests_a_minute: Positive | None = None
    budget: int = Field(default=100_000, ge=1)

    @property
    def every(self) -> None:
        """Nothing is fitted."""


AnyEncoder = Annotated[Tfidf | SentenceTransformers | Endpoint, Field(discriminator="kind")]


class Language(_Section):
    """How items' texts become vectors.

    Attributes
    ----------
    encoder : what makes them.
    fields : of an item, in this order; what it lacks is left out.
    characters : of an item's text that are looked at; the rest is left out.
    """

    encoder: AnyEncoder = Tfidf(kind="tfidf")
    fields: tuple[TextField, ...] = ("title", "text", "categories", "tags")
    characters: int = Field(default=5_000, ge=1)

    @field_validator("fields")
    @classmethod
    def _some_field_once(cls, fields: tuple[TextField, ...]) -> tuple[TextField, ...]:
        if not fields or len(set(fields)) < len(fields):
            raise ValueError(f"given {list(fields)}; expected at least one field, and each once")
        return fields
