"""Candidates of each user, and what every source says of them: the features. Pure numpy.

For each user of a block, the sources nominate items; what may not be recommended to the user is
left out before anything is chosen; each candidate left gets all features. A strategy is a weight
for each feature; an item's score is its part of the softmax of the weighted sums over the user's
candidates. Never imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from ebb.recommend.catalogue import Booleans, Catalogue, Doubles, Integers
from ebb.recommend.content import Gist, gist_of, nominated_by_gist
from ebb.recommend.features import CONTENT, Columns
from ebb.recommend.foresight import chances_of, nominated_by_network
from ebb.recommend.leads import (
    PROFILE_LIMIT,
    Led,
    Taste,
    best_of,
    best_of_each,
    folded_in,
    led_on,
    nominated_by_taste,
    taste_of,
)
from ebb.recommend.pasts import CONFIDENCE, Past, sums_of
from ebb.recommend.topn import top_of_product

_DAY = timedelta(days=1)
_MICROS_A_DAY = 86_400e6
# What a source says of an item, over what it says of its best, is told apart down to this.
_LEAST_SHARE = 0.01
# What a network gives an item that it doesn't know, or to somebody whom it wasn't asked about.
_LEAST_CHANCE = 1e-7
# A history of less than this part of a usual event is none; one of unknown age is this old.
_LEAST_EVENTS, _NEVER_DAYS, _LEAST_DAYS = 0.01, 1000.0, 0.05
_NEWEST = 20
_TILE = 1 << 16


@dataclass(frozen=True)
class Plan:
    """What scoring needs beside the catalogue.

    Attributes
    ----------
    n : items of a slate.
    as_of : microseconds since 1970.
    candidates : items that each source nominates.
    mean_weight : of an event; what histories are measured in.
    alpha, regularization, floor : of the factor models' fit, `train.als`.
    """

    columns: Columns
    n: int
    as_of: int
    candidates: int
    mean_weight: float
    alpha: float
    regularization: float
    floor: float


@dataclass(frozen=True)
class Vector:
    """A user under a factor model: the vector, and the entries of the past it was solved from."""

    values: Doubles
    entries: Integers
    ratings: Doubles


@dataclass(frozen=True)
class Candidates:
    """One user's candidates and what is known of them.

    Attributes
    ----------
    items : (c,) places, ascending. features : (c, f) in the order of `Columns.names`.
    profile : (k, p) how much each entry of the past speaks under each half-life of the profile.
    led, vectors, tastes, gist : by model and facet; what the features were made of, for the
        reasons.
    """

    past: Past
    items: Integers
    features: Doubles
    profile: Doubles
    led: dict[str, Led]
    vectors: dict[str, Vector]
    tastes: dict[str, Taste]
    gist: Gist | None = None


@dataclass(frozen=True)
class _Person:
    """One user, before anything is nominated.

    Attributes
    ----------
    barred : places that may not be recommended to them.
    entries : of the past that speak. profile : (k, p) how much, as in `Candidates`.
    gist : what their past is about; None where texts don't speak.
    """

    past: Past
    barred: Integers
    entries: Integers
    profile: Doubles
    vectors: dict[str, Vector]
    gist: Gist | None


def score_block(catalogue: Catalogue, plan: Plan, pasts: Sequence[Past]) -> Iterator[Candidates]:
    """The candidates of each user of a block, with their features.

    A user's rows are the same whatever other users are in the block.
    """
    people = [_person(catalogue, plan, past) for past in pasts]
    by_factors = _nominated_by_factors(catalogue, plan, people)
    by_texts = _nominated_by_texts(catalogue, plan, people)
    by_network = _nominated_by_network(catalogue, plan, people)
    everybodys = nominated_to_all(catalogue, plan.candidates)
    for person, *own in zip(people, by_factors, by_texts, by_network, strict=True):
        yield _candidates(catalogue, plan, person, [*own, everybodys])


def _person(catalogue: Catalogue, plan: Plan, past: Past) -> _Person:
    entries = past.latest_taken(PROFILE_LIMIT)
    profile = _profile(plan, past, entries)
    gist = None
    if plan.columns.has_content:
        gist = gist_of(catalogue.leading, past, entries, profile)
    barred, vectors = _barred(past, plan.columns.repeat), _vectors(catalogue, plan, past)
    return _Person(past, barred, entries, profile, vectors, gist)


def nominated_to_all(catalogue: Catalogue, limit: int) -> Integers:
    """Places that popularity, velocity and newness nominate, whoever the user is."""
    places = catalogue.eligible_places
    found = [catalogue.newest_first[:_NEWEST]]
    for column in (*catalogue.popularity.T, catalogue.velocity):
        found.append(best_of(places, column[places], limit))
    return np.unique(np.concatenate(found))


def softmax(values: Doubles) -> Doubles:
    """e^x over the sum of it."""
    raised = np.exp(values - values.max(initial=-np.inf))
    parts: Doubles = raised / raised.sum()
    return parts


def _barred(past: Past, repeat: bool) -> Integers:
    """Places that may not be recommended to the user."""
    return past.items[past.disliked] if repeat else past.items


def _candidates(
    catalogue: Catalogue, plan: Plan, person: _Person, nominees: list[Integers]
) -> Candidates:
    columns, past, gist = plan.columns, person.past, person.gist
    entries, profile, vectors = person.entries, person.profile, person.vectors
    open_to = catalogue.eligible.copy()
    open_to[person.barred] = False
    led = {
        name: led_on(catalogue.models[name], past, entries, profile, columns.repeat)
        for name in columns.item_models
    }
    tastes = {
        facet: taste_of(catalogue.keys[facet], past, entries, profile) for facet in columns.facets
    }
    nominees = [
        *nominees,
        *(
            best_of_each(one.items, one.scores * open_to[one.items][:, None], plan.candidates)
            for one in led.values()
        ),
        *(nominated_by_taste(catalogue, facet, taste) for facet, taste in tastes.items()),
        past.items if columns.repeat else past.items[:0],
    ]
    items = np.unique(np.concatenate(nominees))
    items = items[open_to[items]]
    if len(items) < plan.n:
        items = _filled_up(catalogue, items, open_to, plan.n)
    features = [
        catalogue.item_features[items],
        *(_relative(led[name].at(items)) for name in columns.item_models),
        *(
            _relative(catalogue.factors[name].vectors[items] @ vectors[name].values[:, None])
            for name in columns.factor_models
        ),
        *(
            (np.log(np.maximum(chances_of(catalogue, past, items), _LEAST_CHANCE))[:, None],)
            if columns.has_sequence
            else ()
        ),
        *(() if gist is None else (_relative(gist.at(catalogue.factors[CONTENT], items)),)),
        *(_relative(taste.at(catalogue.keys[facet], items)) for facet, taste in tastes.items()),
    ]
    if columns.repeat:
        features.append(_own_history(plan, past, items))
    if columns.shown:
        features.append(np.log1p(past.passed_over(items))[:, None])
    table = np.column_stack(features)
    return Candidates(past, items, table, profile, led, vectors, tastes, gist)


def _filled_up(catalogue: Catalogue, items: Integers, open_to: Booleans, n: int) -> Integers:
    """`n` places where so many may be recommended: the most popular ones join in."""
    others = catalogue.most_popular_first
    others = others[open_to[others] & ~np.isin(others, items)]
    return np.sort(np.concatenate([items, others[: n - len(items)]]))


def _profile(plan: Plan, past: Past, entries: Integers) -> Doubles:
    """(k, p) how much each entry of the past speaks: 2^(-age / half_life) of its latest take, 1
    for flat; 0 for those that aren't among `entries`."""
    lives = plan.columns.half_lives.profile
    age = (plan.as_of - past.last_ts[entries]) / _MICROS_A_DAY
    spoken = np.zeros((len(past.items), len(lives)))
    for column, life in enumerate(lives):
        spoken[entries, column] = 1.0 if life is None else np.exp2(-age / (life / _DAY))
    return spoken


def _relative(values: Doubles) -> Doubles:
    """log of what a source says, over what it says of its best among the candidates."""
    best = values.max(axis=0, initial=0.0)
    share = np.maximum(values, 0.0) / np.where(best > 0, best, 1.0)
    return np.log(_LEAST_SHARE + share)


def _own_history(plan: Plan, past: Past, items: Integers) -> Doubles:
    """(c, h + 4) the decayed sums of the user's own events, how long ago the last one was, whether
    there was one, on how many days, on more than one."""
    names = list(sums_of(plan.columns.half_lives))
    width = names.index(CONFIDENCE)
    sums, recency = np.zeros((len(items), width)), np.full(len(items), _NEVER_DAYS)
    days = np.zeros(len(items))
    if len(past.items):
        place = np.minimum(np.searchsorted(past.items, items), len(past.items) - 1)
        is_own = (past.items[place] == items) & (past.n[place] > 0)
        own = place[is_own]
        sums[is_own] = np.maximum(past.sums[own, :width], 0.0) / plan.mean_weight
        recency[is_own] = (plan.as_of - past.last_ts[own]) / _MICROS_A_DAY + _LEAST_DAYS
        days[is_own] = past.days[own]
    return np.column_stack(
        [
            np.log(_LEAST_EVENTS + sums),
            -np.log(recency),
            days > 0,
            np.log(np.maximum(days, 1.0)),
            days > 1,
        ]
    )


# --------------------------------------------------------------------------- factors
def _vectors(catalogue: Catalogue, plan: Plan, past: Past) -> dict[str, Vector]:
    names = list(sums_of(plan.columns.half_lives))
    columns = {"als": CONFIDENCE, "als_flat": names[names.index(CONFIDENCE) - 1]}
    found = {}
    for name in plan.columns.factor_models:
        ratings = past.sums[:, names.index(columns[name])]
        values, entries = folded_in(
            *(catalogue.factors[name], past, ratings),
            *(plan.alpha, plan.regularization, plan.floor),
        )
        found[name] = Vector(values, entries, ratings[entries])
    return found


def _nominated_by_factors(
    catalogue: Catalogue, plan: Plan, people: list[_Person]
) -> list[Integers]:
    """Of each user, the best items under each factor model."""
    barred = [person.barred for person in people]
    starts = np.concatenate(([0], np.cumsum([len(own) for own in barred])))
    places = np.concatenate(barred) if barred else np.zeros(0, dtype=np.int64)
    found: list[list[Integers]] = [[] for _ in people]
    for name in plan.columns.factor_models:
        factors = catalogue.factors[name]
        if not factors.is_known.any():
            continue
        allowed: Booleans = catalogue.eligible & factors.is_known
        matrix = np.stack([person.vectors[name].values for person in people]).astype(np.float32)
        best, scores = top_of_product(
            matrix,
            factors.vectors,
            plan.candidates,
            allowed=allowed,
            seen_starts=starts,
            seen_places=places,
            tile=_TILE,
        )
        for user, (own, values) in enumerate(zip(best, scores, strict=True)):
            found[user].append(own[values > 0])
    empty = np.zeros(0, dtype=np.int64)
    return [np.concatenate([empty, *own]) for own in found]


def _nominated_by_texts(catalogue: Catalogue, plan: Plan, people: list[_Person]) -> list[Integers]:
    """Of each user, the items whose text is most like that of their past."""
    gists = [person.gist for person in people if person.gist is not None]
    if not gists:
        return [np.zeros(0, dtype=np.int64) for _ in people]
    return nominated_by_gist(catalogue, [person.past for person in people], gists, plan.candidates)


def _nominated_by_network(
    catalogue: Catalogue, plan: Plan, people: list[_Person]
) -> list[Integers]:
    """Of each user, the items that a network foresees most, by taste."""
    if not plan.columns.has_sequence:
        return [np.zeros(0, dtype=np.int64) for _ in people]
    pasts, barred = [person.past for person in people], [person.barred for person in people]
    return nominated_by_network(catalogue, pasts, barred, plan.candidates)
