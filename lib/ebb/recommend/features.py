"""What is known of an item for a user: the features that slates are ranked by, by name.

A strategy is a weight for each feature. One of a single source weighs one feature alone; the blend
weighs them all. Every feature is the logarithm of something (but for `had` and `again`, which are
0 or 1), so that a weighted sum of them is a product of powers, and one source can veto what another
likes. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ebb.recommend.half_lives import HalfLives, name_of

# In this order they speak where they give equally much.
SOURCES = (
    "history", "neighbours", "ease", "als", "sequence", "affinity", "content", "popularity",
    "rising", "new",
)  # fmt: skip
CONTENT, SEQUENCE = "content", "sequence"
# What items of a past look for by their texts, where that is learned; `content` speaks by it.
PROJECTED = "projected"
VELOCITY, NEWNESS = "velocity", "newness"
# How often the user was shown an item since they last took it; it speaks for none.
SHOWN = "shown"
# Of an item that the user had: how long ago, whether at all, on how many days, on more than one.
RECENCY, OWN = "recency", ("had", "days", "again")


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes
    ----------
    source : who speaks by it, one of `SOURCES`; empty where nobody does.
    family : the strategy that may rank by it alone; empty where none does. The family of a
        source's name has decay in it, that with ``_flat`` has none.
    """

    name: str
    source: str
    family: str = ""


# What trees may look at beside the blend's features (`ranker.features`). Those of the item speak in
# reasons as its popularity and its newness do; the others, which say nothing of one item rather
# than another, have no source.
BESIDE = (
    Feature("user_events", ""),
    Feature("user_items", ""),
    Feature("user_idle_days", ""),
    Feature("hour", ""),
    Feature("weekday", ""),
    Feature("month", ""),
    Feature("item_events", "popularity"),
    Feature("item_age_days", "new"),
)


@dataclass(frozen=True)
class Columns:
    """Which features there are, in which order.

    Attributes
    ----------
    facets : those that affinity looks at: all but item.
    models : those that there are, of neighbours, ease, als, sequence, content and projected.
    repeat : slates may hold what users had; only then their own history speaks.
    shown : it is known what users were shown.
    numbers : attributes of items that trees read as numbers.
    context : keys of the events' context that trees meet items by.
    """

    half_lives: HalfLives
    facets: tuple[str, ...]
    models: tuple[str, ...]
    repeat: bool
    shown: bool = False
    numbers: tuple[str, ...] = ()
    context: tuple[str, ...] = ()

    @property
    def item_models(self) -> tuple[str, ...]:
        """Models of weights from item to item, each with decay and without."""
        return with_flat(name for name in ("neighbours", "ease") if name in self.models)

    @property
    def factor_models(self) -> tuple[str, ...]:
        """Models of item vectors, with decay and without."""
        return with_flat(name for name in ("als",) if name in self.models)

    @property
    def has_content(self) -> bool:
        """Whether items' texts speak."""
        return CONTENT in self.models

    @property
    def has_sequence(self) -> bool:
        """Whether a network over what users did in order speaks."""
        return SEQUENCE in self.models

    @property
    def vector_models(self) -> tuple[str, ...]:
        """Models that give items a vector: of factors, of a network, of what their text says and
        leads on to."""
        others = (SEQUENCE, CONTENT, PROJECTED)
        return (*self.factor_models, *(name for name in others if name in self.models))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All of them; names are unique."""
        lives = self.half_lives
        profile = [name_of(h) for h in lives.profile]
        popularity = [_decayed("popularity", name_of(h)) for h in lives.popularity]
        led = [
            Feature(
                led_feature(model, h),
                source_of(model),
                model if model.endswith("_flat") and h == "flat" else source_of(model),
            )
            for model in self.item_models
            for h in profile
        ]
        als = [Feature(model, "als", model) for model in self.factor_models]
        sequence = [Feature(SEQUENCE, SEQUENCE, SEQUENCE)] if self.has_sequence else []
        content = [_decayed(CONTENT, h) for h in profile if self.has_content]
        affinity = [
            Feature(f"affinity_{facet}_{h}", "affinity", _family("affinity", h))
            for facet in self.facets
            for h in profile
        ]
        own = [_decayed("history", name_of(h)) for h in lives.history]
        own += [Feature(RECENCY, "history", "history"), *(Feature(n, "history") for n in OWN)]
        return (
            *popularity,
            Feature(VELOCITY, "rising", "rising"),
            Feature(NEWNESS, "new"),
            *led,
            *als,
            *sequence,
            *content,
            *affinity,
            *(own if self.repeat else ()),
            *((Feature(SHOWN, ""),) if self.shown else ()),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @cached_property
    def spoken_by(self) -> npt.NDArray[np.float64]:
        """(f + e, sources) 1 where a feature, or one beside, belongs to a source."""
        features = (*self.features, *self.beside)
        return np.array([[one.source == source for source in SOURCES] for one in features], float)

    @cached_property
    def beside(self) -> tuple[Feature, ...]:
        """What trees look at after `features`: `BESIDE`, each number as it is and against what is
        usual among the items that the user took, and how well an item goes with each context."""
        given = [f"item_{name}" for name in self.numbers]
        against = [f"item_{name}_above_usual" for name in self.numbers]
        context = [Feature(f"context_{key}", "popularity") for key in self.context]
        return (*BESIDE, *(Feature(name, "") for name in (*given, *against)), *context)

    @cached_property
    def beside_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.beside)


def with_flat(models: Iterable[str]) -> tuple[str, ...]:
    """Each model's name, and that of its twin without decay."""
    return tuple(name for model in models for name in (model, f"{model}_flat"))


def source_of(model: str) -> str:
    """Who speaks by a model: ease_flat is EASE's too."""
    return model.removesuffix("_flat")


def led_feature(model: str, half_life: str) -> str:
    """The feature of an item model under a half-life of the profile: ease_decayed_90d."""
    kind = "flat" if model.endswith("_flat") else "decayed"
    return f"{source_of(model)}_{kind}_{half_life}"


def _decayed(source: str, half_life: str) -> Feature:
    return Feature(f"{source}_{half_life}", source, _family(source, half_life))


def _family(source: str, half_life: str) -> str:
    return f"{source}_flat" if half_life == "flat" else source
