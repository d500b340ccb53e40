"""Section of the report on whom slates serve well: by activity and by favourite category."""

from __future__ import annotations

from ebb.boxes.study import Study
from ebb.evaluate.report.content import Block, Chart, Section, Table, Text
from ebb.evaluate.report.draw import marks
from ebb.evaluate.report.judged import beside, main_metric, slices_of
from ebb.evaluate.report.svg import svg_of
from ebb.evaluate.report.words import figure

_KINDS = {
    "activity": "By how many events users had: terciles",
    "category": "By the category that users care for most",
}
_LEVELS = ("few", "some", "many")


def slices(found: Study) -> Section:
    """NDCG of `auto`, the best single source and plain popularity on parts of the users."""
    metric, models = main_metric(found), beside(found)
    blocks: list[Block] = []
    for kind, caption in _KINDS.items():
        known = slices_of(found, kind)
        users = {name.removeprefix(f"{kind}: "): count for name, count in known.items()}
        names = list(users)
        if not names:
            continue
        if kind == "activity":
            names = [level for level in _LEVELS if level in users]
        values = {
            model: [found.mean(model, metric, f"{kind}: {name}") for name in names]
            for model in models
        }
        drawn = marks(names, values, f"NDCG@{found.n}")
        rows = [
            [name, f"{users[name]:,}", *(figure(values[model][place]) for model in models)]
            for place, name in enumerate(names)
        ]
        heading = f"The same in figures, by {kind}; users of all nights"
        blocks.append(Chart(caption, svg_of(drawn, f"NDCG by {kind}")))
        folded = kind == "category"
        blocks.append(Table(heading, [kind, "users", *models], rows, folded=folded))
    if not blocks:
        blocks.append(Text("No slice of users has a figure."))
    return Section("slices", "Whom do slates serve well?", blocks)
