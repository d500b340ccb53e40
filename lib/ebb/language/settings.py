"""The configuration's section `language`.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ebb.durations import Duration
from ebb.interests.curves import Positive
from ebb.sources import Reader

TextField = Literal["title", "text", "categories", "tags"]
LIST_FIELDS = ("categories", "tags")
# Hex digits of the SHA-256 of a text that name it.
HASH_LENGTH = 32


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


class Asked(_Section):
    """A model behind an endpoint over HTTP, and how it is asked.

    Attributes
    ----------
    url : that requests are posted to.
    model : its name there.
    key_from : the environment variable that holds the key; none is sent where it isn't set.
    timeout : of a request.
    tries : of a request that fails for a while (time-out, status 408, 429 or 5xx), each after twice
        the pause before, from `pause` on, or after what the endpoint asks for.
    requests_a_minute : at most; None is as many as come.
    """

    kind: str
    url: str = Field(pattern="^https?://")
    model: str = Field(min_length=1)
    key_from: str = "EBB_TEXT_KEY"
    timeout: Duration = timedelta(seconds=30)
    tries: int = Field(default=5, ge=1)
    pause: Duration = timedelta(seconds=1)
    requests_a_minute: Positive | None = None

    @property
    def every(self) -> None:
        """Nothing is fitted."""


class Endpoint(Asked):
    """An endpoint for embeddings, as OpenAI has it; `url` ends in /embeddings.

    Attributes
    ----------
    dimension : of the vectors that is asked for; None takes the model's.
    batch : texts a request.
    budget : texts a night; the rest waits for the nights after.
    """

    kind: Literal["http"]
    dimension: int | None = Field(default=None, ge=1)
    batch: int = Field(default=64, ge=1)
    budget: int = Field(default=100_000, ge=1)


class GivenColumns(_Section):
    """Names of the source's columns; `valid_from` is since when a vector holds."""

    item_id: str = "item_id"
    vector: str = "vector"
    valid_from: str | None = None


class Given(Reader):
    """Ready-made vectors of items from outside, of pictures or sound, say; texts aren't looked at.

    Attributes
    ----------
    dimension : of the vectors; rows of another one are refused.
    """

    kind: Literal["given"]
    dimension: int = Field(ge=1)
    columns: GivenColumns = GivenColumns()

    @property
    def every(self) -> None:
        """Nothing is fitted."""


class Talking(Asked):
    """A chat endpoint, as OpenAI has it; `url` ends in /chat/completions.

    Attributes
    ----------
    answer_tokens : an answer is cut off after so many.
    """

    answer_tokens: int = Field(default=200, ge=1)


AnyEncoder = Annotated[Tfidf | SentenceTransformers | Endpoint | Given, Field(discriminator="kind")]

Tag = Annotated[str, Field(min_length=1, max_length=60)]


class KeyTerms(_Section):
    """An item's tags are those of its own terms that say most, by TF-IDF.

    Attributes
    ----------
    most : tags an item.
    terms : at most so many of the terms that most texts have; a term of one text is nobody's tag.
    common : terms that a larger part of the texts have are no tags.
    every : after so long the terms are weighed anew, and every text is tagged anew.
    """

    kind: Literal["terms"]
    most: int = Field(default=5, ge=1)
    terms: int = Field(default=20_000, ge=1)
    common: float = Field(default=0.1, gt=0, le=1)
    every: Duration = timedelta(days=30)


class _Listed(_Section):
    @field_validator("tags", check_fields=False)
    @classmethod
    def _each_tag_once(cls, tags: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if tags is not None and (not tags or len(set(tags)) < len(tags)):
            raise ValueError(f"given {list(tags)}; expected at least one tag, and each once")
        return tags


class ZeroShot(_Listed):
    """An item's tags are those of a list whose vectors are nearest to its own, by the encoder.

    Attributes
    ----------
    tags : the list.
    threshold : the least cosine of a tag.
    most : tags an item, the nearest.
    """

    kind: Literal["zero_shot"]
    tags: tuple[Tag, ...]
    threshold: float = Field(default=0.3, ge=-1, le=1)
    most: int = Field(default=3, ge=1)

    @property
    def every(self) -> None:
        """The encoder is fitted, if anything is."""


class Chat(Talking, _Listed):
    """A chat endpoint is asked once a text.

    Attributes
    ----------
    tags : the only ones it may give; None lets it find words of its own.
    most : tags an item.
    budget : texts a night, which is what a night may cost; the rest waits for the nights after.
    """

    kind: Literal["chat"]
    tags: tuple[Tag, ...] | None = None
    most: int = Field(default=5, ge=1)
    budget: int = Field(default=1_000, ge=1)


AnyTagger = Annotated[KeyTerms | ZeroShot | Chat, Field(discriminator="kind")]


class TopicNames(Talking):
    """A chat endpoint is asked once a topic for its name, when topics are found."""

    kind: Literal["chat"] = "chat"


class Topics(_Section):
    """Clusters of the vectors of items' texts.

    Attributes
    ----------
    count : of topics, where there are so many different texts.
    words : of a topic's label.
    chat : names topics instead; None leaves them their words.
    every : after so long they are found anew.
    passes : over the vectors while they are found, at most.
    seed : of where they start.
    """

    count: int = Field(default=50, ge=2, le=5_000)
    words: int = Field(default=3, ge=1)
    chat: TopicNames | None = None
    every: Duration = timedelta(days=30)
    passes: int = Field(default=20, ge=1)
    seed: int = 7

    @property
    def kind(self) -> str:
        """There is one."""
        return "topics"


class Portraits(Talking, _Listed):
    """A chat endpoint is asked for readable tags of people whose interests moved.

    Attributes
    ----------
    tags : the only ones it may give; None lets it find words of its own.
    most : tags a person.
    keys : it is told of each facet, the strongest.
    moved : somebody is asked about again when more than this part of the keys told is new.
    budget : people a night, which is what a night may cost; the rest waits for the nights after.
    """

    kind: Literal["chat"] = "chat"
    tags: tuple[Tag, ...] | None = None
    most: int = Field(default=5, ge=1)
    keys: int = Field(default=8, ge=1)
    moved: float = Field(default=0.3, ge=0, lt=1)
    budget: int = Field(default=200, ge=1)


class Projection(_Section):
    """What texts lead on to is learned from what people took next, in closed form.

    Attributes
    ----------
    regularization : the ridge, over the mean variance of a dimension.
    likeness : how much of what a text looks for is its own likeness; the rest is learned.
    latest : items of a user's past that are learned from, at most.
    """

    regularization: Positive = 3.0
    likeness: float = Field(default=0.8, ge=0, lt=1)
    latest: int = Field(default=500, ge=2)


class Language(_Section):
    """How items' texts become vectors, tags and topics.

    Attributes
    ----------
    encoder : what makes vectors. projection : of them; None compares them as they are.
    tagger : what makes tags; None makes none. topics : None finds none.
    events : types of events whose texts the tagger reads, too; None reads none.
    portraits : what makes readable tags of people; None makes none.
    fields : of an item, in this order; what it lacks is left out.
    characters : of an item's text that are looked at; the rest is left out.
    """

    encoder: AnyEncoder = Tfidf(kind="tfidf")
    projection: Projection | None = None
    tagger: AnyTagger | None = None
    topics: Topics | None = None
    events: tuple[str, ...] | None = None
    portraits: Portraits | None = None
    fields: tuple[TextField, ...] = ("title", "text", "categories", "tags")
    characters: int = Field(default=5_000, ge=1)

    @model_validator(mode="after")
    def _labels_have_vectors_of_texts(self) -> Self:
        by_vectors = {
            "topics": self.topics is not None,
            "tagger of kind zero_shot": isinstance(self.tagger, ZeroShot),
        }
        for name, is_on in by_vectors.items():
            if is_on and isinstance(self.encoder, Given):
                raise ValueError(
                    f"language.{name} needs vectors of texts, and those of language.encoder are "
                    "given from outside; name an encoder of another kind, or leave it out"
                )
        return self

    @field_validator("fields")
    @classmethod
    def _some_field_once(cls, fields: tuple[TextField, ...]) -> tuple[TextField, ...]:
        if not fields or len(set(fields)) < len(fields):
            raise ValueError(f"given {list(fields)}; expected at least one field, and each once")
        return fields
