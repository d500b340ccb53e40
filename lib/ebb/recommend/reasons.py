"""Why an item is in a slate, as a support person would say it.

A score is a sum over features, and each feature belongs to a source. A source speaks for an item
by what its features add to the score beyond what they add to the user's usual candidate. It cites
the items of the user's past, or the interest, that it leaned on most; nothing is cited that wasn't
there before as_of. Never imports Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ebb.models.foldin import contributions
from ebb.recommend.catalogue import Catalogue, Doubles, Integers
from ebb.recommend.features import (
    CONTENT,
    PROJECTED,
    SEQUENCE,
    SOURCES,
    led_feature,
    source_of,
)
from ebb.recommend.foresight import chances_by_taste
from ebb.recommend.scoring import Candidates, Plan
from ebb.rounding import significant_array

MOST_REASONS = 3
COLD = "We don't know you yet: this is popular now."
POPULAR = "Popular now with everyone."
RISING = "More and more people take this."
NEW = "New here."
FILLER = "Nothing speaks for it yet: it fills up your list."
PICKED_AS_NEW = "New here: a place of your list is kept for new things."
PICKED_AS_RISING = "More and more people take this: a place of your list is kept to try it."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_THE_PAST = ("neighbours", "ease", "als", SEQUENCE, CONTENT)
_WHO = {
    "als": "People of your taste take this",
    SEQUENCE: "This is what people take after doing what you did lately",
}
_OF_EVERYBODY = {"popularity": POPULAR, "rising": RISING, "new": NEW}


@dataclass(frozen=True)
class Reason:
    """One part of a score.

    Attributes
    ----------
    source : one of `SOURCES`.
    entry : the entry of the user's past that it cites, or None.
    facet, key, share : the interest that it cites, or None.
    last_ts : when the user last took what it cites, microseconds since 1970, or None.
    contribution : what the source adds to the score (a log-odds), in 6 significant digits.
    """

    source: str
    contribution: float
    sentence: str
    entry: int | None = None
    facet: str | None = None
    key: str | None = None
    share: float | None = None
    last_ts: int | None = None


def explain(
    catalogue: Catalogue,
    plan: Plan,
    one: Candidates,
    weights: Doubles,
    chosen: Integers,
    by_trees: Doubles | None = None,
) -> list[list[Reason]]:
    """The reasons of each item of a slate: at most 3, those of the main source first.

    Parameters
    ----------
    weights : (f,) of the features. chosen : (k,) rows of the user's candidates.
    by_trees : (k, f + e) what each feature adds through trees, beyond what they give on average.

    Returns
    -------
    Of each item at least one. Ties in the order of `SOURCES`; a past item is cited once.
    """
    belongs = plan.columns.spoken_by
    usual = one.features.mean(axis=0)
    parts = weights * (one.features[chosen] - usual)
    cited = _Cited(catalogue, plan, one, weights, chosen)
    spoken = parts @ belongs[: parts.shape[1]]
    if by_trees is not None:
        spoken = spoken + by_trees @ belongs
    spoken = significant_array(cited.with_own_history(spoken))
    return [_reasons(spoken[row], cited, row) for row in range(len(chosen))]


def _reasons(spoken: Doubles, cited: _Cited, row: int) -> list[Reason]:
    order = np.argsort(-spoken, kind="stable")
    found: list[Reason] = []
    entries: set[int] = set()
    for source in order:
        value = float(spoken[source])
        if value <= 0.0 or len(found) == MOST_REASONS:
            break
        reason = cited.by(SOURCES[source], row, value, entries)
        if reason is not None:
            found.append(reason)
            if reason.entry is not None:
                entries.add(reason.entry)
    return found or [cited.by_everybody(row, max(0.0, float(spoken[order[0]])))]


class _Cited:
    """What each source leaned on, for each item of a slate."""

    def __init__(
        self, catalogue: Catalogue, plan: Plan, one: Candidates, weights: Doubles, chosen: Integers
    ) -> None:
        self._catalogue, self._plan, self._one = catalogue, plan, one
        self._items = one.items[chosen]
        self._weights = dict(zip(plan.columns.names, weights, strict=True))
        self._is_known = bool((one.past.n > 0).any())
        self._profile_names = plan.columns.half_lives.profile_names
        self._parts: dict[str, Doubles] = {}

    def with_own_history(self, spoken: Doubles) -> Doubles:
        """What models say of an item because the user had that very item is history's to say."""
        past = self._one.past
        history = SOURCES.index("history")
        for row in np.flatnonzero(np.isin(self._items, past.items)).tolist():
            entry = int(np.searchsorted(past.items, self._items[row]))
            for source in _OF_THE_PAST:
                column = SOURCES.index(source)
                parts = np.maximum(self._of(source)[row], 0.0)
                if spoken[row, column] > 0.0 and parts[entry] > 0.0:
                    moved = spoken[row, column] * parts[entry] / parts.sum()
                    spoken[row, column] -= moved
                    spoken[row, history] += moved
        return spoken

    def _of(self, source: str) -> Doubles:
        """(k, entries) how much each entry of the past adds to what a source says."""
        if source not in self._parts:
            made = {"als": self._als, SEQUENCE: self._sequence, CONTENT: self._content}
            self._parts[source] = made[source]() if source in made else self._led(source)
        return self._parts[source]

    def by(self, source: str, row: int, value: float, taken: set[int]) -> Reason | None:
        """The reason of a source, or None where it has nothing to cite that isn't `taken`."""
        if source in _OF_EVERYBODY:
            return self._of_everybody(source, row, value)
        if source == "affinity":
            return self._affinity(row, value)
        if source == "history":
            return self._history(row, value)
        # That the user had the very item is history's to say.
        others = self._one.past.items != self._items[row]
        parts = np.where(others, self._of(source)[row], 0.0)
        entry = next((int(e) for e in np.argsort(-parts, kind="stable")
                      if parts[e] > 0 and int(e) not in taken), None)  # fmt: skip
        return None if entry is None else self._past(source, entry, value)

    def by_everybody(self, row: int, value: float) -> Reason:
        """For an item that no source speaks for."""
        is_taken = self._catalogue.popularity[self._items[row]].any()
        if is_taken:
            return Reason("popularity", value, POPULAR if self._is_known else COLD)
        return Reason("popularity", value, FILLER)

    def _of_everybody(self, source: str, row: int, value: float) -> Reason:
        if source == "popularity":
            return self.by_everybody(row, value)
        return Reason(source, value, _OF_EVERYBODY[source])

    def _history(self, row: int, value: float) -> Reason | None:
        past = self._one.past
        place = int(np.searchsorted(past.items, self._items[row]))
        if place == len(past.items) or past.items[place] != self._items[row] or not past.n[place]:
            return None
        n, last_ts = int(past.n[place]), int(past.last_ts[place])
        often = f"{n} times, last on" if n > 1 else "on"
        said = f"You took it {often} {date_of(last_ts)}."
        return Reason("history", value, said, entry=place, last_ts=last_ts)

    def _past(self, source: str, entry: int, value: float) -> Reason:
        past = self._one.past
        title = self._catalogue.titles[int(past.items[entry])].as_py()
        last_ts = int(past.last_ts[entry])
        who = _WHO.get(source, f"People who took {title} also take this")
        if source == CONTENT:
            is_learned = PROJECTED in self._plan.columns.models
            who = (
                f"What is like {title} leads on to this"
                if is_learned
                else f"This is much like {title}"
            )
        took = "it" if source == CONTENT else title
        said = f"{who}; you took {took} on {date_of(last_ts)}."
        return Reason(source, value, said, entry=entry, last_ts=last_ts)

    def _affinity(self, row: int, value: float) -> Reason | None:
        best: tuple[float, str, int] | None = None
        column = max(0, len(self._plan.columns.half_lives.profile) - 2)
        for facet, taste in self._one.tastes.items():
            _, at = self._catalogue.keys[facet].of(self._items[row : row + 1])
            own = self._catalogue.keys[facet].entries[at]
            for place in np.flatnonzero(np.isin(taste.keys, own)).tolist():
                share = float(taste.shares[place, column])
                if share > 0 and (best is None or share > best[0]):
                    best = (share, facet, place)
        if best is None:
            return None
        share, facet, place = best
        taste = self._one.tastes[facet]
        key = self._catalogue.key_texts[facet][int(taste.keys[place])]
        last_ts = int(taste.last_ts[place])
        said = f"{key} is {share:.0%} of your interest in {facet}, last on {date_of(last_ts)}."
        share = float(f"{share:.6g}")
        return Reason("affinity", value, said, None, facet, key, share, last_ts)

    def _led(self, source: str) -> Doubles:
        """(k, entries) how much each entry of the past adds to what the source says."""
        one = self._one
        parts = np.zeros((len(self._items), len(one.past.items)))
        row_of = np.full(len(self._catalogue), -1)
        row_of[self._items] = np.arange(len(self._items))
        for model in (m for m in one.led if source_of(m) == source):
            led = one.led[model]
            at = np.flatnonzero(row_of[led.other] >= 0)
            # Each half-life's scores are taken relative to their best, as the features are.
            best = np.maximum(led.scores.max(axis=0, initial=0.0), 1e-300)
            weights = np.array(
                [self._weights[led_feature(model, name)] for name in self._profile_names]
            )
            spoken = one.profile[led.entry[at]] @ (np.maximum(weights, 0.0) / best)
            np.add.at(parts, (row_of[led.other[at]], led.entry[at]), led.strength[at] * spoken)
        return significant_array(parts)

    def _als(self) -> Doubles:
        parts = np.zeros((len(self._items), len(self._one.past.items)))
        for model in self._one.vectors:
            vector, factors = self._one.vectors[model], self._catalogue.factors[model]
            weight = max(0.0, self._weights[model])
            if weight == 0.0 or not len(vector.entries):
                continue
            own = contributions(
                factors.vectors,
                self._one.past.items[vector.entries],
                vector.ratings,
                factors.gram,
                self._plan.alpha,
                self._plan.regularization,
                self._items,
            )
            parts[:, vector.entries] += weight * own
        return significant_array(parts)

    def _sequence(self) -> Doubles:
        """(k, entries) what the item gets for being taken again, and what it gets by taste, split
        over the past as the pointer looks at it."""
        past = self._one.past
        parts = np.zeros((len(self._items), len(past.items)))
        if not past.again.any():
            return parts
        by_taste = chances_by_taste(self._catalogue, past, self._items)
        parts += by_taste[:, None] * past.again / past.again.sum()
        own = past.items[None, :] == self._items[:, None]
        return significant_array(parts + own * past.again)

    def _content(self) -> Doubles:
        """(k, entries) the cosine of each item with each of the past, as much as that speaks."""
        one, gist = self._one, self._one.gist
        parts = np.zeros((len(self._items), len(one.past.items)))
        if gist is None or not len(gist.entries):
            return parts
        vectors = self._catalogue.factors[CONTENT]
        # Each half-life's likeness is taken relative to its best, as the features are.
        best = np.maximum(gist.at(vectors, one.items).max(axis=0, initial=0.0), 1e-300)
        weights = np.array([self._weights[f"{CONTENT}_{name}"] for name in self._profile_names])
        spoken = gist.parts @ (np.maximum(weights, 0.0) / best)
        alike = vectors.vectors[self._items] @ self._catalogue.leading.vectors[gist.items].T
        parts[:, gist.entries] = alike * spoken
        return significant_array(parts)


def date_of(micros: int) -> str:
    """The UTC day of an instant, e.g. 2026-02-23."""
    return f"{_EPOCH + timedelta(microseconds=micros):%Y-%m-%d}"
