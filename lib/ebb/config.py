"""The whole configuration: one frozen, typed model, and every default in one place.

`config_file.py` reads it from YAML; nothing else in the package reads files or environment.
Pure Python; never imports Spark.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ebb.durations import Duration, OptionalInstant, format_duration, parse_instant
from ebb.features.settings import Features
from ebb.foretell.settings import Foretell
from ebb.forgetting.settings import Forgetting
from ebb.hashes import short_hash
from ebb.interests.curves import Positive
from ebb.interests.measures import Interests
from ebb.language.settings import Language
from ebb.recommend.settings import Recommend, Train
from ebb.search.settings import Search
from ebb.sources import Reader
from ebb.watch.settings import Watch

_EARLIEST = parse_instant("1990-01-01T00:00:00Z")
# Readers go back to versions of a table this old, so `maintain` leaves their files alone.
KEPT = timedelta(days=7)
Finite = Annotated[float, Field(allow_inf_nan=False)]


# Settings that decide whether or how fast something runs, not what comes of it.
_OF_ASKING = {"key_from", "batch", "timeout", "tries", "pause", "requests_a_minute"}
_WITHOUT_EFFECT: dict[str, Any] = {
    "events": {"max_bad_share"},
    "recommend": {"memory_mb"},
    "language": {
        "encoder": _OF_ASKING,
        "tagger": _OF_ASKING,
        "topics": {"chat": _OF_ASKING},
        "portraits": _OF_ASKING,
    },
}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


# --------------------------------------------------------------------------- sources
class EventColumns(Section):
    """Names of the source's columns; None where the source has none."""

    user_id: str = "user_id"
    item_id: str | None = "item_id"
    event_type: str | None = "event_type"
    ts: str = "ts"
    event_id: str | None = None
    value: str | None = None
    text: str | None = None
    order_id: str | None = None
    context: dict[str, str] = {}


class EventSource(Reader):
    """One feed of events. `event_type` names the type of every row of a source without one."""

    columns: EventColumns = EventColumns()
    event_type: str | None = None
    identical_rows: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def _type_is_known(self) -> Self:
        if (self.columns.event_type is None) == (self.event_type is None):
            raise ValueError(
                "needs exactly one of columns.event_type (a column) and event_type (a constant; "
                "set columns.event_type to null beside it)"
            )
        return self


class ValueTransform(Section):
    """v, the transformed value in weight = a * v: `none` leaves it, `clip` bounds it."""

    transform: Literal["none", "log1p", "clip"] = "none"
    low: Finite = 0.0
    high: Finite = 1.0

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class EventType(Section):
    """What one type of event is worth.

    Attributes
    ----------
    weight : a in weight = a * v; at or above 0, except where effect is `negative`.
    value : transform of the value column; None ignores the value (v = 1).
    itemless : an event without an item (a search).
    effect : `add` counts; `cancel` takes the quantity back from the latest earlier events of
        the same user and item (and order, where mapped); `negative` counts against; `shown` says
        that the user was shown the item, which is no interest and has no weight.
    cancels : the types that a cancelling one takes back; None means every type that adds.
    """

    weight: Finite = 1.0
    value: ValueTransform | None = None
    itemless: bool = False
    effect: Literal["add", "cancel", "negative", "shown"] = "add"
    cancels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _sign(self) -> Self:
        if self.effect == "negative" and self.weight >= 0:
            raise ValueError("effect negative needs a weight below 0")
        if self.effect != "negative" and self.weight < 0:
            raise ValueError("a weight below 0 needs effect: negative")
        if self.effect != "cancel" and self.cancels is not None:
            raise ValueError("cancels belongs to a type with effect: cancel only")
        return self

    @model_validator(mode="before")
    @classmethod
    def _shown_weighs_nothing(cls, given: Any) -> Any:
        is_shown = isinstance(given, dict) and given.get("effect") == "shown"
        return {"weight": 0.0, **given} if is_shown else given

    @model_validator(mode="after")
    def _shown_is_no_interest(self) -> Self:
        if self.effect == "shown":
            if self.weight != 0:
                raise ValueError(
                    f"effect shown has no weight, given {self.weight:g}; leave weight out"
                )
            if self.itemless:
                raise ValueError("effect shown needs an item: leave itemless out")
        return self


class Events(Section):
    sources: tuple[EventSource, ...] = Field(min_length=1)
    types: dict[str, EventType] = Field(min_length=1)
    earliest: OptionalInstant = _EARLIEST
    future_tolerance: Duration = timedelta(hours=1)
    max_id_length: int = Field(default=256, gt=0)
    max_bad_share: float = Field(default=0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _cancels_are_clear(self) -> Self:
        adding = self._names("add")
        claimed: dict[str, str] = {}
        for name in self._names("cancel"):
            for target in self.types[name].cancels or adding:
                if target not in adding:
                    raise ValueError(
                        f"types.{name}.cancels names {target}, expected of {', '.join(adding)}"
                    )
                if target in claimed:
                    raise ValueError(
                        f"types.{name} and types.{claimed[target]} both cancel {target}; "
                        "one event can be taken back by one type only"
                    )
                claimed[target] = name
        return self

    def _names(self, effect: str) -> list[str]:
        return sorted(name for name, kind in self.types.items() if kind.effect == effect)

    @property
    def shown(self) -> tuple[str, ...]:
        """The types that say what was shown to whom."""
        return tuple(self._names("shown"))

    def cancelled_by(self) -> dict[str, str]:
        """Each event type that can be taken back, to the type that takes it back."""
        return {
            target: name
            for name in self._names("cancel")
            for target in self.types[name].cancels or self._names("add")
        }


class ItemColumns(Section):
    """Names of the item source's columns. `attributes` maps an attribute's name to a column."""

    item_id: str = "item_id"
    title: str | None = None
    text: str | None = None
    categories: str | None = None
    tags: str | None = None
    published_at: str | None = None
    available: str | None = None
    valid_from: str | None = None
    attributes: dict[str, str] = {}


class ItemSource(Reader):
    """The catalogue. `category_separator` splits one field into several categories;
    `category_path` splits a path such as "A > B > C" and adds every ancestor."""

    columns: ItemColumns = ItemColumns()
    category_separator: str | None = None
    category_path: str | None = None
    tag_separator: str | None = None


class UserColumns(Section):
    user_id: str = "user_id"
    joined_at: str | None = None
    attributes: dict[str, str] = {}


class UserSource(Reader):
    columns: UserColumns = UserColumns()


# --------------------------------------------------------------------------- demo world
class World(Section):
    """The synthetic world (`ebb.events.world`): size, span and seed."""

    landing: str
    users: int = Field(default=1_000, ge=1)
    items: int = Field(default=600, ge=10)
    categories: int = Field(default=12, ge=2)
    start: OptionalInstant = parse_instant("2026-01-01T00:00:00Z")
    days: int = Field(default=60, ge=2)
    events_per_user_day: Positive = 1.5
    seed: int = 7


# --------------------------------------------------------------------------- slates
class HotList(Section):
    n: int = Field(default=50, ge=1)
    half_life: Duration = timedelta(days=2)


class Evaluate(Section):
    """How slates and strategies are judged.

    Attributes
    ----------
    horizon : of a label window [as_of, as_of + horizon).
    nights : of the job `evaluate`: as_of that every strategy is judged at, a horizon apart.
    users : of the job `evaluate`: at most so many a night, chosen by a hash of their id.
    ks : cut-offs of the metrics, besides `recommend.n`.
    """

    horizon: Duration = timedelta(days=7)
    nights: int = Field(default=1, ge=1)
    users: int = Field(default=5_000, ge=10)
    ks: tuple[Annotated[int, Field(ge=1)], ...] = (5,)


class Keep(Section):
    """How long the rows of each table are kept; null is for ever. No other table is ever cut.

    What a night can make again is kept for a season by default: enough to compare slates with
    those of last month, and to redo a night with its own models. The rest is small, or training
    sets are made of it, or (`events_quarantine`) nobody else has it.
    """

    recommendations: Duration | None = timedelta(days=90)
    item_weights: Duration | None = timedelta(days=90)
    item_factors: Duration | None = timedelta(days=90)
    user_vectors: Duration | None = timedelta(days=90)
    sequence_models: Duration | None = timedelta(days=90)
    user_features: Duration | None = None
    item_features: Duration | None = None
    models: Duration | None = None
    half_lives: Duration | None = timedelta(days=90)
    forgetting_curves: Duration | None = None
    forgetting_fits: Duration | None = None
    foretellers: Duration | None = None
    next_interests: Duration | None = timedelta(days=90)
    choices: Duration | None = None
    training_sets: Duration | None = timedelta(days=30)
    rankers: Duration | None = None
    text_encoders: Duration | None = None
    labellers: Duration | None = None
    topics: Duration | None = None
    portraits: Duration | None = None
    hot_list: Duration | None = None
    evaluations: Duration | None = None
    drift: Duration | None = None
    runs: Duration | None = None
    events_quarantine: Duration | None = None


class Maintain(Section):
    """Upkeep of the tables.

    Attributes
    ----------
    file_mb : files below half of it are put together to files of at most it.
    vacuum_after : files that no version of so long needs are removed.
    """

    keep: Keep = Keep()
    file_mb: int = Field(default=128, ge=2)
    vacuum_after: Duration = KEPT

    @field_validator("vacuum_after")
    @classmethod
    def _readers_find_their_files(cls, vacuum_after: timedelta) -> timedelta:
        if vacuum_after < KEPT:
            raise ValueError(
                f"expected at least {format_duration(KEPT)}: readers go back to versions that old"
            )
        return vacuum_after


class Mlflow(Section):
    """Where MLflow is told of studies and contests. Needs the extra `mlflow`.

    Attributes
    ----------
    uri : of the tracking server or store, e.g. http://host:5000 or sqlite:////data/mlflow.db.
    experiment : made where there is none of that name.
    """

    uri: str = Field(min_length=1)
    experiment: str = Field(default="ebb", min_length=1)


class Log(Section):
    """Who else is told what was tried; None is nobody."""

    mlflow: Mlflow | None = None


class Run(Section):
    """`as_of` None means the last UTC midnight."""

    as_of: OptionalInstant = None


class Spark(Section):
    """Settings of the session; `conf` is passed to Spark as it stands."""

    shuffle_partitions: int = Field(default=4, ge=1)
    conf: dict[str, str] = {}


class Config(Section):
    """Everything a night needs to know.

    Without `features` their tables aren't written; without `forgetting` no night learns half-lives;
    without `foretell` no night foretells interests; without `language` nothing is made of items'
    texts.
    """

    root: str
    run: Run = Run()
    spark: Spark = Spark()
    world: World | None = None
    events: Events
    items: ItemSource | None = None
    users: UserSource | None = None
    interests: Interests = Interests()
    features: Features | None = None
    forgetting: Forgetting | None = None
    foretell: Foretell | None = None
    language: Language | None = None
    train: Train = Train()
    recommend: Recommend = Recommend()
    hot_list: HotList = HotList()
    evaluate: Evaluate = Evaluate()
    search: Search = Search()
    watch: Watch = Watch()
    maintain: Maintain = Maintain()
    log: Log = Log()

    @model_validator(mode="after")
    def _facets_exist(self) -> Self:
        attributes = set(self.items.columns.attributes if self.items else {})
        mapped = {*self._mapped_facets(), *attributes}
        named = {
            "interests.facets": (self.interests.facets, mapped),
            "recommend.affinity": (self.recommend.affinity, mapped - {"item"}),
            "recommend.numbers": (self.recommend.numbers, attributes),
        }
        for setting, (names, known) in named.items():
            unknown = [name for name in names or () if name not in known]
            if unknown:
                raise ValueError(
                    f"{setting} names {unknown[0]}, which the item source doesn't map; "
                    f"expected of {', '.join(sorted(known)) or 'none, as it maps none'}"
                )
        return self

    @model_validator(mode="after")
    def _context_is_mapped(self) -> Self:
        mapped = {key for source in self.events.sources for key in source.columns.context}
        unknown = [key for key in self.recommend.context or () if key not in mapped]
        if unknown:
            raise ValueError(
                f"recommend.context names {unknown[0]}, which no source of events maps; expected "
                f"of {', '.join(sorted(mapped)) or 'none, as none maps any'}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_foretold_exists(self) -> Self:
        facet = self.foretell.facet if self.foretell else None
        if facet is not None and facet not in self.facets:
            raise ValueError(
                f"foretell.facet is {facet}, expected of {', '.join(self.facets)}, or left out"
            )
        return self

    @model_validator(mode="after")
    def _ranker_is_fitted(self) -> Self:
        if self.recommend.strategy == "ranker" and self.train.ranker is None:
            raise ValueError(
                "recommend.strategy is ranker, but train.ranker is left out; "
                "write train.ranker: {} to fit one"
            )
        return self

    @model_validator(mode="after")
    def _texts_are_encoded(self) -> Self:
        if self.recommend.strategy.startswith("content") and self.language is None:
            raise ValueError(
                f"recommend.strategy is {self.recommend.strategy}, but language is left out; "
                "write language: {} to make vectors of items' texts"
            )
        return self

    @model_validator(mode="after")
    def _topic_is_one_thing(self) -> Self:
        attributes = self.items.columns.attributes if self.items else {}
        if self.language and self.language.topics and "topic" in attributes:
            raise ValueError(
                "items.columns.attributes has topic, and language.topics makes another; "
                "name the attribute otherwise, or leave language.topics out"
            )
        return self

    @model_validator(mode="after")
    def _texts_of_events_are_there(self) -> Self:
        language = self.language
        if language is None or language.events is None:
            return self
        if language.tagger is None:
            raise ValueError(
                "language.events names types of events, but language.tagger, which would read "
                "their texts, is left out; write language.tagger: {kind: terms}, or leave "
                "language.events out"
            )
        if all(source.columns.text is None for source in self.events.sources):
            raise ValueError(
                "language.events is given, but no source has texts; "
                "map events.sources[].columns.text"
            )
        cancelled_by = self.events.cancelled_by()
        refused = {*cancelled_by, *cancelled_by.values(), *self.events.shown}
        readable = sorted(set(self.events.types) - refused)
        for name in language.events:
            if name not in readable:
                raise ValueError(
                    f"language.events names {name}; expected of {', '.join(readable) or 'none'}: "
                    "types under events.types that are neither shown, nor cancel, nor can be "
                    "cancelled"
                )
        return self

    @model_validator(mode="after")
    def _network_is_trained(self) -> Self:
        if self.recommend.strategy == "sequence" and self.train.sequences is None:
            raise ValueError(
                "recommend.strategy is sequence, but train.sequences is left out; "
                "write train.sequences: {} to train a network"
            )
        return self

    @model_validator(mode="after")
    def _what_was_fitted_on_texts_is_kept(self) -> Self:
        language, keep = self.language, self.maintain.keep
        if language is None:
            return self
        for table, kept, setting, fitted in (
            ("text_encoders", keep.text_encoders, "encoder", language.encoder),
            ("labellers", keep.labellers, "tagger", language.tagger),
            ("labellers", keep.labellers, "topics", language.topics),
        ):
            every = fitted.every if fitted else None
            if kept is not None and every is not None and kept <= every:
                raise ValueError(
                    f"maintain.keep.{table} is {format_duration(kept)}, but what is fitted holds "
                    f"for language.{setting}.every, {format_duration(every)}; keep it longer, or "
                    "leave it out"
                )
        return self

    @model_validator(mode="after")
    def _thompson_has_impressions(self) -> Self:
        if not self.events.shown and self.recommend.learns_from_shown:
            raise ValueError(
                "recommend.explore.method is thompson, which learns from what was shown; declare "
                "an event type with effect: shown under events.types, or write method: epsilon"
            )
        return self

    @model_validator(mode="after")
    def _own_half_lives_are_learned(self) -> Self:
        if self.interests.by_own and self.forgetting is None:
            raise ValueError(
                f"interests.measures {self.interests.by_own[0]} has curve own, but forgetting is "
                "left out; write forgetting: {} to learn half-lives"
            )
        return self

    @model_validator(mode="after")
    def _measures_exist(self) -> Self:
        types = self.events.types
        for measure in self.interests.measures:
            for name in measure.event_types or ():
                if name not in types:
                    raise ValueError(
                        f"interests.measures {measure.name} counts event type {name}, "
                        f"expected of {', '.join(sorted(types))}"
                    )
                if name in self.events.shown:
                    raise ValueError(
                        f"interests.measures {measure.name} counts event type {name}, which has "
                        "effect: shown; what was shown is no interest"
                    )
            for facet in measure.facets or ():
                if facet not in self.facets:
                    raise ValueError(
                        f"interests.measures {measure.name} names facet {facet}, "
                        f"expected of {', '.join(self.facets)}"
                    )
        return self

    def _mapped_facets(self) -> tuple[str, ...]:
        columns = self.items.columns if self.items else ItemColumns()
        mapped = {
            "category": columns.categories,
            "tag": columns.tags or (self.language and self.language.tagger),
            "topic": self.language and self.language.topics,
        }
        return ("item", *(facet for facet, source in mapped.items() if source))

    @property
    def facets(self) -> tuple[str, ...]:
        """The facets that interests are kept in."""
        chosen = self.interests.facets
        return self._mapped_facets() if chosen is None else chosen

    @property
    def foretold_facet(self) -> str:
        """The facet of the keys that are foretold: categories where items have them."""
        chosen = self.foretell.facet if self.foretell else None
        return chosen or ("category" if "category" in self.facets else "item")

    @property
    def models(self) -> tuple[str, ...]:
        """What slates can lean on: the models that are trained, and the vectors of texts, as they
        are and projected."""
        return (
            *self.train.models,
            *(("sequence",) if self.train.sequences else ()),
            *(("content",) if self.language else ()),
            *(("projected",) if self.language and self.language.projection else ()),
        )

    @property
    def affinity_facets(self) -> tuple[str, ...]:
        """The facets by which people's tastes lead to items."""
        chosen = self.recommend.affinity
        return self._mapped_facets()[1:] if chosen is None else chosen

    def fingerprint(self, *sections: str) -> str:
        """Hash of the named sections, or of settings in one (``language.encoder``): equal hashes
        mean equal results from equal input.

        What is off (None) is left out, so that a version of ebb with one more thing to turn on
        doesn't make anew what an earlier one made.
        """
        include: dict[str, Any] = {}
        for name in sections:
            section, _, setting = name.partition(".")
            if setting:
                include.setdefault(section, {})[setting] = True
            else:
                include[section] = True
        chosen: dict[str, Any] = self.model_dump(
            mode="json", include=include, exclude=_WITHOUT_EFFECT, exclude_none=True
        )
        canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
        return short_hash(canonical.encode())
