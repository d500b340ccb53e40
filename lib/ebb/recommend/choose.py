"""Which strategy to rank by: chosen on label windows before as_of, and recorded with its scores.

Every family of features (one source, with decay or without) is tried alone, each under its best
half-life, and the blend of all. The blend is judged on each window by weights fitted on earlier
windows alone; what serves is then fitted on all of them. That is why a single source is chosen only
where it is ahead of the blend on every window, and by more than noise: one that is level with a
blend of fewer windows is hardly ahead of that of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ebb.evaluate.metrics import ideal_gain
from ebb.evaluate.significance import across_windows
from ebb.ranker.trees import Trees
from ebb.recommend.blend import fit_blend, score_by
from ebb.recommend.catalogue import Doubles, Integers
from ebb.recommend.features import Feature
from ebb.recommend.views import View
from ebb.rounding import significant_array

BLEND = "blend"


@dataclass(frozen=True)
class Tried:
    """A strategy that was tried: its weights, and its mean NDCG over so many users of windows.

    Without a window to try it on there is no NDCG. Of the ranker, the trees on top of the weights.
    """

    strategy: str
    weights: Mapping[str, float]
    ndcg: float | None
    users: int
    trees: Trees | None = None

    def score(self, view: View) -> Doubles:
        """(c,) the scores of a view's candidates."""
        scores = score_by(self.weights, view)
        return scores if self.trees is None else scores + self.trees.sums(view.matrix)


@dataclass(frozen=True)
class Choice:
    """What to rank by.

    Attributes
    ----------
    chosen : the strategy. tried : all, the best first.
    """

    chosen: Tried
    tried: tuple[Tried, ...]

    def of(self, strategy: str) -> Tried | None:
        return next((one for one in self.tried if one.strategy == strategy), None)

    def beside(self, other: Tried, *, is_chosen: bool) -> Choice:
        """The same with another strategy that was tried, chosen or not."""
        return Choice(other if is_chosen else self.chosen, (other, *self.tried))

    def pinned_to(self, strategy: str, otherwise: Mapping[str, float]) -> Choice:
        """The same with another strategy chosen; one that wasn't tried weighs as `otherwise`."""
        known = self.of(strategy)
        chosen = known or Tried(strategy, otherwise, None, 0)
        return Choice(chosen, (chosen, *(one for one in self.tried if one is not known)))


def choose(
    views: Sequence[View], features: Sequence[Feature], n: int, penalty: float
) -> Choice | None:
    """Try every strategy; None where nobody took anything in any window.

    Parameters
    ----------
    views : one a label window, the latest first.
    """
    views = [view for view in views if view.users]
    if not views:
        return None
    judged = _judged(views)
    users = sum(len(view.users) for view, _ in judged)
    tried, figures = [], {}
    for family in dict.fromkeys(f.family for f in features if f.family):
        names = [f.name for f in features if f.family == family]
        scored = {
            name: [ndcg(view, score_by({name: 1.0}, view), n) for view, _ in judged]
            for name in names
        }
        means = {name: float(np.concatenate(scored[name]).mean()) for name in names}
        # Of equally good ones the first, which has the shortest half-life.
        name = max(names, key=lambda name: (means[name], -names.index(name)))
        figures[family] = scored[name]
        tried.append(Tried(family, {name: 1.0}, means[name], users))
    blend = fit_blend(views, penalty)
    if blend is not None:
        figures[BLEND] = _held_out(judged, n, penalty)
        mean = float(np.concatenate(figures[BLEND]).mean())
        tried.append(Tried(BLEND, blend.weights, mean, users))
    tried.sort(key=lambda one: (-(one.ndcg or 0.0), one.strategy != BLEND, one.strategy))
    choice = Choice(tried[0], tuple(tried))
    if blend is None or choice.chosen.strategy == BLEND:
        return choice
    single = figures[choice.chosen.strategy]
    differences = [own - other for own, other in zip(single, figures[BLEND], strict=True)]
    is_ahead = all(one.mean() > 0 for one in differences) and across_windows(differences).low > 0
    return choice if is_ahead else choice.pinned_to(BLEND, blend.weights)


def _judged(views: list[View]) -> list[tuple[View, list[View]]]:
    """Each window that can be judged, with the earlier ones to fit on.

    Of a single window, each half of the users (every other one) is judged by the other half.
    """
    if len(views) == 1:
        halves = [_some_users(views[0], first) for first in (0, 1)]
        return [(halves[0], [halves[1]]), (halves[1], [halves[0]])]
    return [(view, views[place + 1 :]) for place, view in enumerate(views[:-1])]


def _held_out(judged: list[tuple[View, list[View]]], n: int, penalty: float) -> list[Doubles]:
    """NDCG of each window's users by blends that weren't fitted on it."""
    found = []
    for view, earlier in judged:
        blend = fit_blend(earlier, penalty)
        found.append(
            np.zeros(len(view.users)) if blend is None else ndcg(view, blend.score(view), n)
        )
    return found


def _some_users(view: View, first: int) -> View:
    users = np.arange(first, len(view.users), 2)
    lengths = view.starts[users + 1] - view.starts[users]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    own = np.isin(view.user_of, users)
    return View(
        view.as_of,
        view.until,
        view.names,
        view.beside_names,
        users=[view.users[user] for user in users],
        starts=starts,
        places=view.places[own],
        features=view.features[own],
        beside=view.beside[own],
        is_label=view.is_label[own],
        is_shown=view.is_shown[own],
        labels=view.labels[users],
        ids=view.ids,
    )


def ranked(view: View, scores: Doubles) -> tuple[Integers, Integers]:
    """Order of candidates by user, score (6 significant digits) and place, and ranks from 0."""
    rounded = significant_array(scores)
    order: Integers = np.lexsort((view.places, -rounded, view.user_of))
    rank: Integers = np.arange(len(order)) - view.starts[view.user_of[order]]
    return order, rank


def ndcg(view: View, scores: Doubles, n: int) -> Doubles:
    """(u,) NDCG at n of each user's candidates ranked by `scores`; ties by item id."""
    order, rank = ranked(view, scores)
    hit = view.is_label[order] & (rank < n)
    gains = np.where(hit, 1.0 / np.log2(rank + 2.0), 0.0)
    gain = np.bincount(view.user_of[order], gains, len(view.users))
    best = np.array([ideal_gain(hits) for hits in range(n + 1)])
    value: Doubles = gain / best[np.minimum(view.labels, n)]
    return value
