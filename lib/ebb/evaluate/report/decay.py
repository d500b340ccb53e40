"""Sections of the report on decay: every model with it and without, and the half-lives tried."""

from __future__ import annotations

from collections.abc import Sequence

from ebb.boxes.study import JudgedNight, Study
from ebb.durations import days
from ebb.evaluate.report.content import Block, Chart, Section, Table, Text
from ebb.evaluate.report.draw import Dot, curves, dots
from ebb.evaluate.report.judged import difference, main_metric
from ebb.evaluate.report.svg import AHEAD, BEHIND, NEITHER, svg_of
from ebb.evaluate.report.words import figure, interval
from ebb.evaluate.significance import Interval
from ebb.recommend.half_lives import HalfLife, name_of

_FLAT = "_flat"


def decay_on_and_off(found: Study) -> Section:
    """Each model with decay against itself without, on the same users."""
    metric = main_metric(found)
    pairs = [name for name in found.models if f"{name}{_FLAT}" in found.models]
    title = "What is decay worth?"
    if not pairs:
        return Section("decay", title, [Text("No model was judged both with decay and without.")])
    ahead = {name: difference(found, name, f"{name}{_FLAT}", metric) for name in pairs}
    order = sorted(pairs, key=lambda name: (-ahead[name].value, name))
    rows = [
        [
            name,
            figure(found.mean(name, metric)),
            figure(found.mean(f"{name}{_FLAT}", metric)),
            interval(ahead[name]),
        ]
        for name in order
    ]
    drawn = dots(
        [_dot(name, ahead[name]) for name in order],
        f"NDCG@{found.n} with decay less without, 95 % interval",
        zero=True,
    )
    blocks: list[Block] = [
        Text(
            "Each model is fitted twice, with events that fade and with events that never do; "
            "where several half-lives can be had, the best on windows before as_of serves."
        ),
        Chart("With decay against the same without", svg_of(drawn, "What decay adds")),
        Table(
            f"NDCG@{found.n}; * marks intervals that don't hold 0",
            ["model", "with decay", "without", "ahead by"],
            rows,
        ),
    ]
    return Section("decay", title, blocks)


def _dot(name: str, ahead: Interval) -> Dot:
    sure = AHEAD if ahead.value > 0 else BEHIND
    colour = sure if ahead.is_significant else NEITHER
    return Dot(name, ahead.value, ahead.low, ahead.high, colour)


def half_lives(latest: JudgedNight) -> list[Block]:
    """The decay curves tried, those that serve best alone standing out; of the latest night."""
    lives = latest.columns.half_lives
    models = [
        name for name in ("neighbours", "ease", "content", "affinity") if _tried(latest, name)
    ]
    groups: list[tuple[str, tuple[HalfLife, ...], Sequence[str]]] = [
        ("What everybody takes", lives.popularity, ["popularity"]),
        ("What the user did with the very item", lives.history, ["history"]),
        ("What the user did, as it leads to other items", lives.profile, models),
    ]
    blocks: list[Block] = [
        Text(
            "After a half-life an event counts half. The curves below were tried; named are those "
            "by which a source ranks best when it ranks alone. The blend weighs them all. Pairs of "
            f"items fade by {name_of(lives.similarity)}, the confidence of ALS by "
            f"{name_of(lives.confidence)}."
        )
    ]
    for caption, tried, families in groups:
        decayed = {name_of(h): days(h) for h in tried if h is not None}
        chosen = _chosen(latest, families)
        if decayed and any(_tried(latest, family) for family in families):
            drawn = curves(decayed, chosen)
            blocks.append(Chart(caption, svg_of(drawn, f"Decay curves: {caption}")))
    return blocks


def _tried(latest: JudgedNight, family: str) -> bool:
    return latest.choice.of(family) is not None


def _chosen(latest: JudgedNight, families: Sequence[str]) -> dict[str, str]:
    """Name of a half-life to the families that rank best by it when alone."""
    found: dict[str, list[str]] = {}
    for family in families:
        tried = latest.choice.of(family)
        names = [name.rpartition("_")[2] for name in tried.weights] if tried else []
        if len(names) == 1:  # configured weights may be of several features
            found.setdefault(names[0], []).append(family)
    return {name: ", ".join(own) for name, own in found.items()}
