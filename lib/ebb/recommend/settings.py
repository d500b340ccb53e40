"""The configuration's sections `train` and `recommend`.

Pure Python; never imports Spark.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ebb.durations import Duration, format_duration
from ebb.interests.curves import Positive
from ebb.ranker.settings import Ranker
from ebb.sequences.settings import Sequences

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
HalfLifeList = tuple[Duration, ...]
Model = Literal["neighbours", "ease", "als"]
Strategy = Literal[
    "auto", "blend", "popularity", "popularity_flat", "rising", "history", "history_flat",
    "neighbours", "neighbours_flat", "ease", "ease_flat", "als", "als_flat", "affinity",
    "affinity_flat", "content", "content_flat", "sequence", "ranker",
]  # fmt: skip


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


# --------------------------------------------------------------------------- train
class Neighbours(_Section):
    """Item-to-item cosine.

    Attributes
    ----------
    neighbours : nearest items kept of each item.
    shrinkage : users' worth of doubt: added to the product of the norms, times the mean squared
        weight of a pair, so that it means the same whatever the decay.
    """

    neighbours: int = Field(default=100, ge=1)
    shrinkage: NonNegative = 10.0


class Ease(_Section):
    """The closed form of EASE (Steck 2019) on the items that most people take.

    Attributes
    ----------
    regularization : users' worth of doubt, scaled as `Neighbours.shrinkage` is.
    weights : largest weights kept of each item.
    memory_mb : what the driver may spend on the dense matrices; bounds how many items take part.
    """

    regularization: Positive = 300.0
    weights: int = Field(default=100, ge=1)
    memory_mb: int = Field(default=512, ge=1)


class Als(_Section):
    """Implicit ALS on decayed confidence; pairs decayed below `floor` are left out."""

    rank: int = Field(default=32, ge=1)
    iterations: int = Field(default=10, ge=1)
    regularization: Positive = 0.1
    alpha: Positive = 10.0
    floor: Positive = 0.01
    seed: int = 7


class Train(_Section):
    """What is fitted. Each model is fitted twice: decayed, and flat (without decay).

    Attributes
    ----------
    models : those that are fitted; the others have no features.
    history : a user's latest items that are paired with each other; bounds what one user costs.
    ranker : boosted trees on top of the blend; None fits none.
    sequences : a network over what users did in order; None trains none.
    """

    models: tuple[Model, ...] = ("neighbours", "ease", "als")
    history: int = Field(default=200, ge=2)
    neighbours: Neighbours = Neighbours()
    ease: Ease = Ease()
    als: Als = Als()
    ranker: Ranker | None = None
    sequences: Sequences | None = None


# --------------------------------------------------------------------------- recommend
class ActiveUsers(_Section):
    active_within: Duration


class HalfLifeSettings(_Section):
    """Half-lives that the sources are tried with; None derives them from the events' span.

    Attributes
    ----------
    popularity : of an item's popularity.
    history : of a user's own events on an item.
    profile : of a user's past, where it is led on to other items (neighbours, ease, affinity).
    similarity : of the pairs that item-to-item models are made from.
    confidence : of the pairs that ALS is fitted on.
    """

    popularity: HalfLifeList | None = None
    history: HalfLifeList | None = None
    profile: HalfLifeList | None = None
    similarity: Duration | None = None
    confidence: Duration | None = None

    @field_validator("popularity", "history", "profile")
    @classmethod
    def _each_once(cls, given: HalfLifeList | None) -> HalfLifeList | None:
        twice = [one for one in given or () if (given or ()).count(one) > 1]
        if twice:
            raise ValueError(f"names {format_duration(twice[0])} twice")
        if given is not None and not given:
            raise ValueError("is empty; name at least one half-life, or leave it out")
        return given


class Choose(_Section):
    """How `recommend.strategy: auto` makes its choice, on nights before as_of.

    Attributes
    ----------
    nights : label windows, one after the other, the last of which ends at as_of.
    horizon : length of a label window; None: a tenth of the events' span, 1 to 30 days.
    users : at most so many users a night, chosen by a hash of their id.
    every : a choice is kept for so long.
    on_drift : it is made anew before that where inputs drifted or slates suddenly did worse.
    penalty : on squared weights of the blend, in users' worth.
    """

    nights: int = Field(default=3, ge=1)
    horizon: Duration | None = None
    users: int = Field(default=2_000, ge=10)
    every: Duration = timedelta(days=7)
    on_drift: bool = True
    penalty: Positive = 3.0


class Rerank(_Section):
    """The last step: from the best-scored items to the slate.

    Attributes
    ----------
    method : ``none``; ``mmr``, against items like those above them; ``calibrated``, towards the
        user's own shares of categories.
    strength : 0 leaves the order as it is, 1 looks at diversity alone.
    facet : what items are compared by.
    pool : best-scored items that take part.
    most_a_key : items of one key of the facet in a slate; None means any number.
    """

    method: Literal["none", "mmr", "calibrated"] = "none"
    strength: float = Field(default=0.3, ge=0, le=1)
    facet: str = "category"
    pool: int = Field(default=100, ge=1)
    most_a_key: int | None = Field(default=None, ge=1)

    @property
    def is_needed(self) -> bool:
        """Whether it may change anything."""
        return self.method != "none" or self.most_a_key is not None


class Explore(_Section):
    """Places of every slate that try out items that are new or rising, drawn by chance.

    Attributes
    ----------
    places : so many of the last places of a slate.
    method : ``epsilon`` shows the best-scored, or with probability `epsilon` any of the pool;
        ``softmax`` draws by the scores; ``thompson`` by the probability that an item is taken most,
        as far as impressions tell, or with probability `epsilon` any of the pool.
    epsilon : 0 keeps the places for the best new or rising items without any chance in it;
        ``thompson`` needs more, so that every item of the pool has some.
    pool : best-scored of the nominated items that take part; so many of the most rising items are
        nominated.
    within : an item is new until so long after it was published or first touched.
    seed : other seeds draw otherwise.
    """

    places: int = Field(default=1, ge=1)
    method: Literal["epsilon", "softmax", "thompson"] = "epsilon"
    epsilon: float = Field(default=0.1, ge=0, le=1)
    pool: int = Field(default=50, ge=1)
    within: Duration = timedelta(days=7)
    seed: int = 0

    @model_validator(mode="after")
    def _every_item_has_a_chance(self) -> Self:
        if self.method == "thompson" and self.epsilon == 0:
            raise ValueError("method thompson needs epsilon above 0, such as 0.1: it is the floor")
        return self


class Arm(_Section):
    """What is otherwise for the users of an arm; what is left out is as for everybody."""

    strategy: Strategy | None = None
    rerank: Rerank | None = None
    explore: Explore | None = None

    @field_validator("strategy")
    @classmethod
    def _trees_are_chosen(cls, strategy: Strategy | None) -> Strategy | None:
        if strategy == "ranker":
            raise ValueError(
                "an arm can't pin the ranker; choose it for everybody, and give an arm another "
                "strategy, such as blend, to hold it against"
            )
        return strategy


class Experiment(_Section):
    """Slates made in several ways, each for its part of the users, to see which does best.

    Attributes
    ----------
    name : users are dealt out by a hash of it and of their id: another name deals anew.
    arms : by name; the first is what the others are held against.
    share : of the users, by arm; they add up to 1. None: all alike.
    """

    name: str = Field(min_length=1)
    arms: dict[str, Arm] = Field(min_length=2)
    share: dict[str, Positive] | None = None

    @model_validator(mode="after")
    def _shares_are_of_the_arms(self) -> Self:
        if self.share is None:
            return self
        if self.share.keys() != self.arms.keys():
            raise ValueError(
                f"share names {', '.join(self.share)}; expected each of {', '.join(self.arms)}"
            )
        total = sum(self.share.values())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"share adds up to {total:g}; expected 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Of each arm, in their order."""
        given = self.share or dict.fromkeys(self.arms, 1.0 / len(self.arms))
        return {arm: given[arm] for arm in self.arms}


class Recommend(_Section):
    """How slates are made.

    Attributes
    ----------
    repeat : whether slates may hold what their user had; ``auto`` looks at what people do.
    repeat_threshold : the share of recent takes that were repeats, from which ``auto`` allows it.
    strategy : ``auto`` chooses on nights before as_of; ``blend``, ``ranker`` or one source pins it.
    weights : of the blend's features, by name; pins them. Others weigh 0.
    candidates : items that each source nominates for a user.
    affinity : facets whose keys lead people's tastes to items, attributes included; None is
        category, tag and topic, where there are any.
    numbers : item attributes that the ranker's trees read as numbers, such as a price; None is
        none.
    context : keys of the events' context, such as a device, by which the ranker's trees tell how
        well an item goes with where the user was last; None is none.
    block, allow : items that may not, or that alone may, be recommended.
    max_age : of items, since they were published or first touched; None is any.
    explore : places that try things out; None has none.
    experiment : makes slates in several ways for parts of the users; None makes one for all.
    memory_mb : what the items' side and a block of users may take in a task.
    """

    n: int = Field(default=10, ge=1)
    users: Literal["all"] | ActiveUsers = "all"
    repeat: Literal["auto", "allow", "exclude"] = "auto"
    repeat_threshold: float = Field(default=0.15, gt=0, le=1)
    strategy: Strategy = "auto"
    weights: dict[str, Finite] | None = None
    choose: Choose = Choose()
    half_lives: HalfLifeSettings = HalfLifeSettings()
    candidates: int = Field(default=40, ge=1)
    affinity: tuple[str, ...] | None = None
    numbers: tuple[str, ...] | None = None
    context: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    max_age: Duration | None = None
    rerank: Rerank = Rerank()
    explore: Explore | None = None
    experiment: Experiment | None = None
    memory_mb: int = Field(default=512, ge=16)

    @model_validator(mode="after")
    def _weights_are_a_blend(self) -> Self:
        if self.weights is not None and self.strategy not in ("auto", "blend"):
            raise ValueError(
                f"weights pins the blend, but strategy is {self.strategy}; leave one of them out"
            )
        return self

    @property
    def read_of_events(self) -> tuple[str, ...]:
        """Columns of events that slates are made from, beside those that all count by."""
        return ("context",) if self.context else ()

    @property
    def explorations(self) -> tuple[Explore, ...]:
        """The ways in which places try things out, everybody's and the arms'."""
        arms = list(self.experiment.arms.values()) if self.experiment else []
        found = (self.explore, *(arm.explore for arm in arms))
        return tuple(explore for explore in found if explore is not None)

    @property
    def learns_from_shown(self) -> bool:
        """Whether a place that tries things out goes by how items did that were shown."""
        return any(explore.method == "thompson" for explore in self.explorations)
