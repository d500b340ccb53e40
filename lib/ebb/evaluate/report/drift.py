"""Section of the report on change: of people's interests, and of what was chosen over nights."""

from __future__ import annotations

from ebb.boxes.study import AUTO, Study
from ebb.durations import format_instant
from ebb.evaluate.report.content import BINS, Block, Chart, Drift, Section, Table, Text
from ebb.evaluate.report.draw import histogram
from ebb.evaluate.report.judged import main_metric
from ebb.evaluate.report.svg import svg_of
from ebb.evaluate.report.words import figure, short


def drift(found: Study, known: Drift | None) -> Section:
    """How far interests moved, and which strategy was chosen at each as_of."""
    return Section("drift", "What changes?", [*_interests(known), _chosen(found)])


def _interests(known: Drift | None) -> list[Block]:
    if known is None:
        return [
            Text(
                "How far interests moved isn't known: user_features holds no divergence up to this "
                "as_of. Configure features and interests.drift to have it."
            )
        ]
    blocks: list[Block] = [
        Text(
            "The Jensen-Shannon distance between a user's long-term and short-term shares, as of "
            f"{format_instant(known.as_of)}: 0 is somebody who cares for what they always cared "
            "for, 1 is somebody who cares for nothing of it any more."
        )
    ]
    for facet, own in known.bins.groupby("facet", sort=True):
        counts = dict(zip(own["bin"].astype(int), own["users"].astype(int), strict=True))
        users = sum(counts.values())
        drawn = histogram([counts.get(place, 0) / users for place in range(BINS)], "distance")
        label = f"Drift of interests by {facet}"
        blocks.append(Chart(f"{short(str(facet))}, {users:,} users", svg_of(drawn, label)))
    summary = known.summary
    rows = [
        [str(facet), f"{users:,}", figure(median, 3), figure(p90, 3)]
        for facet, users, median, p90 in zip(
            *(summary[name].tolist() for name in ("facet", "users", "median", "p90")), strict=True
        )
    ]
    columns = ["facet", "users", "median", "90 % are below"]
    return [*blocks, Table("Distance by facet", columns, rows)]


def _chosen(found: Study) -> Table:
    metric = main_metric(found)
    rows = []
    for night in sorted(found.nights, key=lambda one: one.window.as_of):
        whole = night.metrics[
            (night.metrics["metric"] == metric) & (night.metrics["slice"] == "all")
        ]
        values = dict(zip(whole["model"], whole["value"].astype(float), strict=True))
        others = sorted((name for name in values if name != AUTO), key=lambda m: (-values[m], m))
        before = night.choice.chosen.ndcg
        rows.append(
            [
                format_instant(night.window.as_of),
                night.choice.chosen.strategy,
                others[0],
                "" if before is None else figure(before),
                figure(values[AUTO]),
                figure(values[others[0]]),
            ]
        )
    columns = ["as_of", "chosen", "best in hindsight", "ndcg before", "ndcg after", "best's ndcg"]
    caption = "Chosen at each as_of: its NDCG on windows before, and on the one after it"
    return Table(caption, columns, rows, words=3)
