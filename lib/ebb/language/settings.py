"""The configuration's section `language`.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ebb.durations import Duration

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

    kind: Literal["tfidf"] = "tfidf"
    dimension: int = Field(default=64, ge=1, le=1024)
    terms: int = Field(default=20_000, ge=1)
    every: Duration = timedelta(days=30)
    passes: int = Field(default=4, ge=1)
    seed: int = 7


class Language(_Section):
    """How items' texts become vectors.

    Attributes
    ----------
    encoder : what makes them.
    fields : of an item, in this order; what it lacks is left out.
    characters : of an item's text that are looked at; the rest is left out.
    """

    encoder: Tfidf = Tfidf()
    fields: tuple[TextField, ...] = ("title", "text", "categories", "tags")
    characters: int = Field(default=5_000, ge=1)

    @field_validator("fields")
    @classmethod
    def _some_field_once(cls, fields: tuple[TextField, ...]) -> tuple[TextField, ...]:
        if not fields or len(set(fields)) < len(fields):
            raise ValueError(f"given {list(fields)}; expected at least one field, and each once")
        return fields
