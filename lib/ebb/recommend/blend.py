"""The blend: a conditional logit over all features, fitted on views (McFadden 1974).

A user who takes something takes candidate i with probability softmax(X b)_i. The weights b
maximise the log-likelihood of what users took, each user counting the same, less a penalty on
b^2; the problem is convex, and Newton's method solves it in a few steps. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ebb.recommend.catalogue import Doubles, Integers
from ebb.recommend.views import View

_MOST_STEPS = 50
# Steps that gain less log-likelihood a user than this are not worth another.
_ENOUGH = 1e-7
DIGITS = 5
_USERS_AT_ONCE = 250


@dataclass(frozen=True)
class Blend:
    """Weights of features, by name.

    Attributes
    ----------
    likelihood : mean log-likelihood of a user's takes on what it was fitted on.
    users : how many those were.
    """

    weights: Mapping[str, float]
    likelihood: float
    users: int

    def score(self, view: View) -> Doubles:
        """(c,) weighted sums of a view's candidates."""
        return score_by(self.weights, view)


def score_by(weights: Mapping[str, float], view: View) -> Doubles:
    """(c,) weighted sums of the features of a view's candidates."""
    own = np.array([weights.get(name, 0.0) for name in view.names])
    scores: Doubles = view.features.astype(np.float64) @ own
    return scores


def fit_blend(views: Sequence[View], penalty: float) -> Blend | None:
    """Fit weights on views that have the same features.

    Parameters
    ----------
    penalty : on the sum of squares of the weights of standardised features, in users' worth.

    Returns
    -------
    The blend; None where no candidate of any view was taken.
    """
    problem = _Problem.of(views)
    if problem is None:
        return None
    weights = np.zeros(len(problem.means))
    loss = problem.loss(weights, penalty)
    for _ in range(_MOST_STEPS):
        step = problem.newton_step(weights, penalty)
        size = 1.0
        while (new := problem.loss(weights - size * step, penalty)) > loss and size > 1e-6:
            size /= 2
        gained, weights, loss = loss - new, weights - size * step, new
        if gained <= _ENOUGH * problem.users:
            break
    own = weights / problem.deviations
    likelihood = -problem.loss(weights, 0.0) / problem.users
    named = {n: float(f"{w:.{DIGITS}g}") for n, w in zip(views[0].names, own, strict=True)}
    return Blend(named, likelihood, problem.users)


@dataclass(frozen=True)
class _Part:
    """Some users with something taken, one after the other.

    Attributes
    ----------
    features : (c, f) as they stand in the view. starts : (u,) where each user's candidates begin.
    user : (c,) whose candidate it is. taken : (c,) 1 / the user's takes for each take, else 0.
    """

    features: npt.NDArray[np.float32]
    starts: Integers
    user: Integers
    taken: Doubles


@dataclass(frozen=True)
class _Problem:
    """What is to be fitted, in parts, so that no copy of all features is ever made.

    Attributes
    ----------
    means, deviations : (f,) by which features are standardised.
    """

    parts: list[_Part]
    means: Doubles
    deviations: Doubles

    @property
    def users(self) -> int:
        return sum(len(part.starts) for part in self.parts)

    @staticmethod
    def of(views: Sequence[View]) -> _Problem | None:
        parts = [part for view in views for part in _parts(view)]
        if not parts:
            return None
        count = sum(len(part.features) for part in parts)
        means = sum(part.features.sum(axis=0, dtype=np.float64) for part in parts) / count
        squares = sum(((part.features - means) ** 2).sum(axis=0) for part in parts) / count
        deviations = np.sqrt(squares)
        # What never varies says nothing: its weight stays 0.
        deviations[deviations < 1e-6] = np.inf
        return _Problem(parts, means, deviations)

    def loss(self, weights: Doubles, penalty: float) -> float:
        """Minus the penalised log-likelihood."""
        loss = 0.5 * penalty * float(weights @ weights)
        for part in self.parts:
            scores = self._standardised(part) @ weights
            highest = np.maximum.reduceat(scores, part.starts)
            raised = np.exp(scores - highest[part.user])
            logs = highest + np.log(np.add.reduceat(raised, part.starts))
            loss += float(logs.sum() - part.taken @ scores)
        return loss

    def newton_step(self, weights: Doubles, penalty: float) -> Doubles:
        slope, curvature = penalty * weights, penalty * np.eye(len(weights))
        for part in self.parts:
            features = self._standardised(part)
            scores = features @ weights
            raised = np.exp(scores - np.maximum.reduceat(scores, part.starts)[part.user])
            chance: Doubles = raised / np.add.reduceat(raised, part.starts)[part.user]
            slope = slope + features.T @ (chance - part.taken)
            weighted = features * chance[:, None]
            expected: Doubles = np.add.reduceat(weighted, part.starts)
            curvature = curvature + features.T @ weighted - expected.T @ expected
        step: Doubles = np.asarray(np.linalg.solve(curvature, slope), dtype=np.float64)
        return step

    def _standardised(self, part: _Part) -> Doubles:
        features: Doubles = (part.features - self.means) / self.deviations
        return features


def _parts(view: View) -> Iterator[_Part]:
    """Those users of a view who took one of their candidates, some at a time."""
    took = np.bincount(view.user_of, view.is_label, len(view.users))
    for low in range(0, len(view.users), _USERS_AT_ONCE):
        users = np.arange(low, min(low + _USERS_AT_ONCE, len(view.users)))
        users = users[took[users] > 0]
        if not len(users):
            continue
        lengths = view.starts[users + 1] - view.starts[users]
        starts = np.cumsum(lengths) - lengths
        user = np.repeat(np.arange(len(users)), lengths)
        own = np.arange(lengths.sum()) + np.repeat(view.starts[users] - starts, lengths)
        taken = view.is_label[own] / took[users][user]
        yield _Part(view.features[own], starts, user, taken)
