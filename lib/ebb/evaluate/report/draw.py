"""The kinds of chart that the report has; each takes figures and gives a drawing.

Draw within `svg.drawing`. What is drawn is also in a table beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebb.evaluate.report.svg import FAINT, GROUND, INK, LINE, SERIES, new_figure
from ebb.evaluate.report.words import short

# Inches: a row of a chart, and what is above and below the rows.
_ROW, _AROUND = 0.2, 0.65
_HEIGHT = 2.9
# Dates that there is room for below a chart.
_DATES = 4


@dataclass(frozen=True)
class Dot:
    """A row of a chart of dots: a figure with its interval."""

    label: str
    value: float
    low: float
    high: float
    colour: str


def dots(rows: Sequence[Dot], axis_label: str, zero: bool = False) -> Figure:
    """A dot and its interval a row, the first on top; with a line at 0 where that matters."""
    figure, axes = _rows([row.label for row in rows], axis_label)
    if zero:
        axes.axvline(0, color=FAINT, linewidth=0.9)
    for place, row in enumerate(rows):
        axes.plot([row.low, row.high], [place, place], color=row.colour, linewidth=1.6)
        axes.plot([row.value], [place], "o", color=row.colour, markersize=5)
    return figure


def marks(labels: Sequence[str], lines: Mapping[str, Sequence[float]], axis_label: str) -> Figure:
    """A row a label with a mark for each of some lines, e.g. slices by strategy."""
    figure, axes = _rows(labels, axis_label, legend=True)
    for (name, values), colour, mark in zip(lines.items(), SERIES, "osD", strict=False):
        places = np.arange(len(labels))
        axes.plot(values, places, mark, color=colour, markersize=5, label=name)
    _legend(figure, len(lines))
    return figure


def bars(labels: Sequence[str], values: Sequence[float], reach: tuple[float, float]) -> Figure:
    """A bar a row from 0, one colour above it and one below; `reach` is that of the axis."""
    figure, axes = _rows(labels, "weight")
    colours = [SERIES[0] if value >= 0 else SERIES[1] for value in values]
    axes.barh(np.arange(len(labels)), values, height=0.62, color=colours)
    axes.axvline(0, color=FAINT, linewidth=0.9)
    axes.set_xlim(*reach)
    # The same room for names in all of them, so that bars of several drawings can be compared.
    figure.set_layout_engine(None)
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.4, right=0.97, bottom=0.48 / height, top=1 - 0.06 / height)
    return figure


def series(at: Sequence[str], lines: Mapping[str, Sequence[float]], label: str) -> Figure:
    """A line each over nights, from 0; nights are a horizon apart, so that steps are even."""
    figure = new_figure(_HEIGHT)
    axes = figure.subplots()
    places = np.arange(len(at))
    for (name, values), colour, mark in zip(lines.items(), SERIES, "osD", strict=False):
        axes.plot(places, values, color=colour, marker=mark, markersize=4, label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    axes.set_xticks(places[:: -(-len(at) // _DATES)], at[:: -(-len(at) // _DATES)])
    _legend(figure, len(lines))
    return figure


@dataclass(frozen=True)
class Point:
    """A point of a chart of two figures; those that are `open` are drawn hollow."""

    x: float
    y: float
    group: str
    is_open: bool
    label: str


def points(found: Sequence[Point], x_label: str, y_label: str) -> Figure:
    """Points by two figures, a colour a group; a label beside those that have one."""
    figure = new_figure(_HEIGHT + 0.5)
    axes = figure.subplots()
    groups = list(dict.fromkeys(point.group for point in found))
    colours = dict(zip(groups, (INK, *SERIES), strict=False))
    for point in found:
        colour = colours.get(point.group, FAINT)
        fill = GROUND if point.is_open else colour
        axes.plot(
            [point.x], [point.y], "o", markersize=6.5, color=colour, markerfacecolor=fill,
            markeredgewidth=1.5,
        )  # fmt: skip
    for group, colour in colours.items():
        axes.plot([], [], "o", color=colour, markersize=5, label=group)
    axes.margins(0.12)
    for point in found:
        _beside(axes, point)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    _legend(figure, 5)
    return figure


def _beside(axes: Axes, point: Point) -> None:
    """A point's label on the side that has room."""
    left, right = axes.get_xlim()
    is_right = point.x > (left + right) / 2
    axes.annotate(
        point.label,
        (point.x, point.y),
        xytext=(-7 if is_right else 7, 0),
        textcoords="offset points",
        ha="right" if is_right else "left",
        va="center",
        fontsize=8,
    )


def curves(half_lives: Mapping[str, float], chosen: Mapping[str, str]) -> Figure:
    """2^(-age / half-life) over age, faint but for those chosen, which are named.

    Parameters
    ----------
    half_lives : name to days, without the flat one. chosen : name to who goes by it.
    """
    figure = new_figure(_HEIGHT)
    axes = figure.subplots()
    lengths = list(half_lives.values())
    ages = np.geomspace(min(lengths) / 8, max(lengths) * 8, 160)
    colours = iter(SERIES)
    for name, days in half_lives.items():
        counts = np.exp2(-ages / days)
        if name in chosen:
            label = f"{name}: {chosen[name]}"
            axes.plot(ages, counts, color=next(colours), linewidth=2.2, label=label)
        else:
            axes.plot(ages, counts, color=FAINT, linewidth=0.8)
    if "flat" in chosen:
        axes.axhline(1, color=INK, linewidth=2.2, label=f"flat: {chosen['flat']}")
    axes.axhline(0.5, color=LINE, linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(*_apart(half_lives), minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("age of an event")
    axes.set_ylabel("what it still counts")
    if chosen:
        _legend(figure, 2)
    return figure


def _apart(half_lives: Mapping[str, float]) -> tuple[list[float], list[str]]:
    """Ticks at half-lives that are far enough from the tick before to be read."""
    least = 64 ** (1 / 12) * (max(half_lives.values()) / min(half_lives.values())) ** (1 / 12)
    ticks: list[float] = []
    labels: list[str] = []
    for name, days in sorted(half_lives.items(), key=lambda one: one[1]):
        if not ticks or days / ticks[-1] >= least:
            ticks.append(days)
            labels.append(name)
    return ticks, labels


def histogram(shares: Sequence[float], axis_label: str) -> Figure:
    """Shares of users by bins of equal width from 0 to 1."""
    figure = new_figure(1.8)
    axes = figure.subplots()
    width = 1 / len(shares)
    axes.bar(np.arange(len(shares)) * width, shares, width=width * 0.86, align="edge",
             color=SERIES[0])  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_xlabel(axis_label)
    axes.set_ylabel("share of users")
    return figure


def _rows(labels: Sequence[str], axis_label: str, legend: bool = False) -> tuple[Figure, Axes]:
    figure = new_figure(_AROUND + _ROW * len(labels) + (0.25 if legend else 0))
    axes = figure.subplots()
    axes.set_yticks(np.arange(len(labels)), [short(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(axis_label)
    return figure, axes


def _legend(figure: Figure, columns: int) -> None:
    figure.legend(loc="outside upper left", ncols=columns, handletextpad=0.4, columnspacing=1.2)
