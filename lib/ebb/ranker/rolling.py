"""The ranker of an as_of: fitted on label windows before it, and judged on those held out.

For each of the latest windows in turn, the blend and the trees on top of it are fitted on the
windows before that one alone, and judged on it; then both are fitted on all. Reads and writes no
table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from ebb.ranker.contest import HELD_OUT, RANKER, Judged, Verdict, verdict
from ebb.ranker.fit import fit_trees
from ebb.ranker.settings import Ranker
from ebb.ranker.trees import Trees
from ebb.recommend.blend import fit_blend, score_by
from ebb.recommend.choose import BLEND, Choice, Tried, ndcg
from ebb.recommend.views import View

# The rows of a training set that belong to the windows of some views.
Examples = Callable[[Sequence[View]], DataFrame]


@dataclass(frozen=True)
class FittedRanker:
    """A fitted ranker.

    Attributes
    ----------
    tried : as the choice tells it. raw : the trees' bytes. trees : how many.
    windows : that it was fitted on.
    """

    tried: Tried
    raw: bytes
    trees: int
    importance: dict[str, float]
    verdict: Verdict
    windows: int


@dataclass(frozen=True)
class Fitting:
    """What rankers are fitted by. n : of the NDCG. penalty : of the blend."""

    settings: Ranker
    n: int
    penalty: float

    def trees_over(
        self, views: Sequence[View], examples: Examples
    ) -> tuple[dict[str, float], bytes] | None:
        """The blend's weights and the trees on top; None where nobody took a candidate."""
        blend = fit_blend(views, self.penalty)
        if blend is None:
            return None
        names = views[0].names
        return dict(blend.weights), fit_trees(examples(views), names, blend.weights, self.settings)


def fit_ranker(
    views: Sequence[View], choice: Choice, examples: Examples, fitting: Fitting
) -> FittedRanker | str:
    """Fit and judge a ranker; runs jobs.

    Parameters
    ----------
    views : one a label window, the latest first. choice : of the other strategies.

    Returns
    -------
    The ranker, or a sentence why there is none.
    """
    views = [view for view in views if view.users]
    least, judged = fitting.settings.least_users, []
    for place, view in enumerate(views[:HELD_OUT]):
        earlier = views[place + 1 :]
        if sum(len(one.users) for one in earlier) < least:
            break
        fitted = fitting.trees_over(earlier, examples)
        if fitted is not None:
            judged.append(_judged(view, choice, *fitted, fitting.n))
    last = fitting.trees_over(views, examples) if judged else None
    if last is None:
        users = sum(len(view.users) for view in views[1:])
        return (
            f"no ranker: {users:,} users of windows before the latest, "
            f"train.ranker.least_users is {least:,}"
        )
    found = verdict(judged)
    weights, raw = last
    trees = Trees.of(raw)
    tried = Tried(RANKER, weights, found.ndcg, found.users, trees)
    importance = trees.importance((*views[0].names, *views[0].beside_names))
    count = fitting.settings.trees
    return FittedRanker(tried, raw, count, importance, found, len(views))


def _judged(view: View, choice: Choice, weights: dict[str, float], raw: bytes, n: int) -> Judged:
    """The ranker on a window that it hasn't seen, beside the others; the blend is its own."""
    ranker = Tried(RANKER, weights, None, 0, Trees.of(raw))
    others = {
        one.strategy: ndcg(view, score_by(one.weights, view), n)
        for one in choice.tried
        if one.strategy != BLEND
    }
    others[BLEND] = ndcg(view, score_by(weights, view), n)
    return Judged(ndcg(view, ranker.score(view), n), others)
