"""Figures of a study that several sections share: which strategies, in which order, how good."""

from __future__ import annotations

import pandas as pd

from ebb.boxes.study import AUTO, PLAIN, Study
from ebb.evaluate.significance import Interval, bootstrap_mean, compare_models

ACCURACY = ("ndcg", "recall", "precision", "map", "mrr", "hit_rate")


def main_metric(found: Study) -> str:
    return f"ndcg@{found.n}"


def best_first(found: Study) -> list[str]:
    """All strategies by NDCG; of equals `auto` first, then by name."""
    metric = main_metric(found)
    return sorted(found.models, key=lambda name: (-found.mean(name, metric), name != AUTO, name))


def sources_alone(found: Study) -> list[str]:
    """The strategies of a single source, the best first."""
    features = found.nights[0].columns.features
    families = {feature.family for feature in features} | {PLAIN}
    return [name for name in best_first(found) if name in families]


def beside(found: Study) -> list[str]:
    """`auto`, the best single source and plain popularity, each once."""
    alone = sources_alone(found)
    plain = [PLAIN] if PLAIN in found.models else []
    return list(dict.fromkeys([AUTO, *alone[:1], *plain]))


def own_interval(found: Study, model: str, metric: str) -> Interval:
    """A strategy's own mean over the users of all nights, with its interval."""
    rows = found.pooled[found.pooled["model"] == model]
    return bootstrap_mean(rows[metric], rows["user_id"].to_numpy())


def difference(found: Study, first: str, second: str, metric: str) -> Interval:
    """How far one strategy is ahead of another, over the users of all nights."""
    return compare_models(found.pooled, metric, first, second)


def cut_offs(found: Study) -> list[int]:
    """The k of the metrics; that of the slates first."""
    names = found.nights[0].metrics["metric"]
    ks = {int(name.rpartition("@")[2]) for name in names}
    return [found.n, *sorted(ks - {found.n})]


def slices_of(found: Study, kind: str) -> dict[str, int]:
    """Slices of a kind such as ``activity``, with their users of all nights; most users first."""
    metric = main_metric(found)
    rows = pd.concat([night.metrics for night in found.nights])
    own = rows["slice"].str.startswith(f"{kind}: ")
    chosen = rows[own & (rows["metric"] == metric) & (rows["model"] == AUTO)]
    summed = chosen.groupby("slice")["users"].sum()
    users = {str(name): int(count) for name, count in summed.items()}
    return dict(sorted(users.items(), key=lambda one: (-one[1], one[0])))
