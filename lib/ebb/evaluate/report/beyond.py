"""Section of the report on what slates are like beside their hits: breadth, novelty, diversity."""

from __future__ import annotations

from ebb.boxes.study import AUTO, PLAIN, Study
from ebb.evaluate.report.content import Block, Chart, Section, Table, Text
from ebb.evaluate.report.draw import Point, points
from ebb.evaluate.report.judged import best_first, main_metric
from ebb.evaluate.report.svg import svg_of
from ebb.evaluate.report.words import figure

_METRICS = (
    "coverage", "gini", "novelty", "category_diversity", "audience_diversity", "serendipity",
    "calibration",
)  # fmt: skip
_READ = (
    "Coverage is the share of items that anybody is shown; Gini is 0 where all of them are shown "
    "alike; novelty, in bits, grows as fewer people had the items; diversity is how unlike the "
    "items of a slate are, by categories and by who had them; serendipity counts hits that plain "
    "popularity doesn't show; calibration is how far the slate's categories are from the user's "
    "own, 0 is best. A slate of noise is as diverse as can be: look at NDCG beside it."
)


def beyond_accuracy(found: Study) -> Section:
    """Every strategy's metrics beyond accuracy, and NDCG against coverage and diversity."""
    n, models = found.n, best_first(found)
    measured = set(found.nights[0].metrics["metric"])
    names = [name for name in _METRICS if f"{name}@{n}" in measured]
    rows = [
        [
            model,
            figure(found.mean(model, main_metric(found))),
            *(figure(found.mean(model, f"{name}@{n}"), 3) for name in names),
        ]
        for model in models
    ]
    axes = ["coverage", *(name for name in names if name.endswith("_diversity"))]
    drawn: list[Block] = [_against(found, models, name) for name in axes if name in names]
    caption = f"At {n}, means over the as_of"
    table = Table(caption, ["strategy", f"ndcg@{n}", *names], rows, strong=AUTO)
    title = "How broad and how varied are slates?"
    return Section("beyond", title, [Text(_READ), *drawn, table])


def _against(found: Study, models: list[str], name: str) -> Chart:
    """NDCG over another metric: a colour a source, hollow without decay."""
    metric, other = main_metric(found), f"{name}@{found.n}"
    marked = [
        Point(
            x=found.mean(model, other),
            y=found.mean(model, metric),
            group=model.removesuffix("_flat"),
            is_open=model.endswith("_flat"),
            label={AUTO: AUTO, PLAIN: "plain popularity"}.get(model, ""),
        )
        for model in models
    ]
    drawn = points(marked, other, metric)
    caption = f"NDCG@{found.n} against {name.replace('_', ' ')}; hollow without decay"
    return Chart(caption, svg_of(drawn, caption))
