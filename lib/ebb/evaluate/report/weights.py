"""Section of the report on what slates are ranked by: weights by feature, and half-lives."""

from __future__ import annotations

from ebb.boxes.study import JudgedNight, Study
from ebb.evaluate.report.content import Block, Chart, Section, Table, Text
from ebb.evaluate.report.decay import half_lives
from ebb.evaluate.report.draw import bars
from ebb.evaluate.report.svg import svg_of
from ebb.evaluate.report.words import figure, signed
from ebb.recommend.features import SOURCES

_OTHER = "other"


def weights(found: Study) -> Section:
    """The weights of the latest night's choice by source, and the decay curves."""
    latest = found.nights[0]
    title = "What are slates ranked by?"
    return Section("weights", title, [*_weights(latest), *half_lives(latest), _tried(latest)])


def _weights(latest: JudgedNight) -> list[Block]:
    chosen = latest.choice.chosen
    known = chosen.weights
    if len(known) < 2:
        by = ", ".join(known) or "no weights"
        return [Text(f"{chosen.strategy} was chosen, which ranks by one feature alone: {by}.")]
    sources = {feature.name: feature.source for feature in latest.columns.features}
    order = [feature.name for feature in latest.columns.features if feature.name in known]
    order += sorted(set(known) - set(order))
    reach = _reach(list(known.values()))
    blocks: list[Block] = [
        Text(
            f"{chosen.strategy}, as chosen at the latest as_of, weighs {len(known)} features: an "
            "item's score is the softmax of the weighted sum. Features of one source under several "
            "half-lives share its weight, and a weight below 0 takes from what another says too "
            "much: look at a source as a whole."
        )
    ]
    rows = []
    for source in (*SOURCES, _OTHER):
        names = [name for name in order if (sources.get(name) or _OTHER) == source]
        if names:
            values = [known[name] for name in names]
            caption = f"{source}, {signed(sum(values))} in all"
            drawn = bars(names, values, reach)
            blocks.append(Chart(caption, svg_of(drawn, f"Weights of {source}")))
            rows += [[source, name, signed(known[name])] for name in names]
    table = Table("All weights", ["source", "feature", "weight"], rows, words=2, folded=True)
    return [*blocks, table]


def _reach(values: list[float]) -> tuple[float, float]:
    """The same axis for all sources, so that their bars can be compared."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low or 1.0)
    return low - room if low < 0 else 0.0, high + room


def _tried(latest: JudgedNight) -> Table:
    rows = [
        [
            one.strategy,
            "" if one.ndcg is None else figure(one.ndcg),
            f"{one.users:,}",
            ", ".join(one.weights) if len(one.weights) == 1 else f"{len(one.weights)} features",
        ]
        for one in latest.choice.tried
    ]
    return Table(
        "Strategies tried on windows before the latest as_of, where the choice was made",
        ["strategy", "ndcg there", "users", "ranks by"],
        rows,
        folded=True,
        strong=latest.choice.chosen.strategy,
    )
