"""Our metrics beside those of others: trec_eval as it runs, RecTools by figures kept from it.

RecTools 0.19.0 asks for numpy 1, which ebb doesn't run on: `rectools.json` holds what it gave, in
an environment of its own, for the slates, labels and histories that are in the file. Its NDCG is
with divide_by_achievable=True, and its MAP divides by all labels. The distance of two items, which
it is given, is 1 - Jaccard of their categories.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval

from ebb.evaluate import beyond_accuracy as beyond
from ebb.evaluate import metrics


def _trec_eval(slates: dict[str, list[str]], labels: dict[str, set[str]], n: int):
    wanted = {user: dict.fromkeys(own, 1) for user, own in labels.items()}
    # trec_eval orders by score, and knows no cut of the reciprocal rank: give it n items.
    run = {u: {item: -float(at) for at, item in enumerate(own[:n])} for u, own in slates.items()}
    names = {f"{name}.{n}" for name in ("recall", "P", "ndcg_cut", "map_cut", "success")}
    return pytrec_eval.RelevanceEvaluator(wanted, names | {"recip_rank"}).evaluate(run)


@pytest.mark.parametrize("n", [1, 3, 10])
def test_random_slates_have_the_figures_of_trec_eval(n: int) -> None:
    draw = random.Random(n)
    items = [f"i{k}" for k in range(30)]
    slates = {f"u{k}": draw.sample(items, draw.randint(1, 12)) for k in range(200)}
    labels = {user: set(draw.sample(items, draw.randint(1, 15))) for user in slates}
    judged = _trec_eval(slates, labels, n)
    assert len(judged) == 200
    for user, theirs in judged.items():
        slate, own = slates[user], labels[user]
        # trec_eval divides average precision by all labels, we by those that n places can hold.
        reachable = min(len(own), n) / len(own)
        ours = {
            f"recall_{n}": metrics.recall(slate, own, n),
            f"P_{n}": metrics.precision(slate, own, n),
            f"ndcg_cut_{n}": metrics.ndcg(slate, own, n),
            f"map_cut_{n}": metrics.average_precision(slate, own, n) * reachable,
            f"success_{n}": metrics.hit_rate(slate, own, n),
            "recip_rank": metrics.mrr(slate, own, n),
        }
        assert ours == pytest.approx(theirs, rel=1e-12), user


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    text = (Path(__file__).parent / "rectools.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _audience_sizes(had: dict[str, list[str]]) -> dict[str, int]:
    items = [item for own in had.values() for item in own]
    return {item: items.count(item) for item in items}


@pytest.mark.parametrize("n", [1, 4, 8])
def test_random_slates_have_the_figures_that_rectools_gave(kept: dict[str, Any], n: int) -> None:
    sizes, known = _audience_sizes(kept["had"]), len(kept["had"])
    theirs = kept["figures"][str(n)]
    for user, labels in kept["labels"].items():
        slate = kept["slates"][user]
        reachable = min(len(labels), n) / len(labels)
        ours = {
            "precision": metrics.precision(slate, labels, n),
            "recall": metrics.recall(slate, labels, n),
            "hit_rate": metrics.hit_rate(slate, labels, n),
            "ndcg": metrics.ndcg(slate, labels, n),
            "map": metrics.average_precision(slate, labels, n) * reachable,
            "mrr": metrics.mrr(slate, labels, n),
            "novelty": beyond.novelty(slate, sizes, known, n),
        }
        if n > 1:
            ours["category_diversity"] = beyond.diversity(slate, kept["categories"], n)
        assert ours == pytest.approx({name: theirs[name][user] for name in ours}, rel=1e-9), user
    slates = list(kept["slates"].values())
    assert beyond.coverage(slates, kept["eligible"], n) == pytest.approx(theirs["coverage"])
