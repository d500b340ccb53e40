"""Learned curves for people: measures to paste into a configuration, and a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure
from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Table

from ebb.durations import format_duration
from ebb.interests.curves import Mixture
from ebb.interests.curves import Part as MixturePart
from ebb.plot import save_figure


@dataclass(frozen=True)
class LearnedCurve:
    """The curve of one facet and event type, and how much a fresh event of the type says."""

    facet: str
    event_type: str
    strength: float
    curve: Mixture

    @property
    def measure(self) -> dict[str, object]:
        """As `interests.measures` takes it."""
        name = f"learned_{self.facet}_{self.event_type}".lower()
        return {
            "name": re.sub(r"[^a-z0-9_]+", "_", name),
            "curve": "mixture",
            "parts": [
                {"half_life": format_duration(part.half_life), "weight": part.weight}
                for part in self.curve.parts
            ],
            "event_types": [self.event_type],
            "facets": [self.facet],
        }


def learned_curves(rows: DataFrame) -> list[LearnedCurve]:
    """The curves of one as_of of `forgetting_curves`: few rows, whatever the data."""
    ordered = rows.orderBy("facet", "event_type", "half_life_days").collect()
    by_curve: dict[tuple[str, str, float], list[MixturePart]] = {}
    for row in ordered:
        key = (row["facet"], row["event_type"], row["strength"])
        seconds = round(row["half_life_days"] * 86_400)
        part = MixturePart(half_life=timedelta(seconds=seconds), weight=row["weight"])
        by_curve.setdefault(key, []).append(part)
    return [
        LearnedCurve(*key, Mixture(curve="mixture", parts=tuple(parts)))
        for key, parts in by_curve.items()
    ]


def as_yaml(curves: Sequence[LearnedCurve]) -> str:
    """The part of a configuration that uses the curves, one measure each."""
    lines = ["interests:", "  measures:"]
    for curve in curves:
        flow = yaml.safe_dump(
            curve.measure, default_flow_style=True, sort_keys=False, width=10_000
        ).strip()
        lines.append(f"    - {flow} # strength {curve.strength:g}")
    return "\n".join(lines) + "\n"


def plot_curves(curves: Sequence[LearnedCurve], path: Path) -> None:
    """Draw what is left of an event by age, one panel a facet, one line an event type."""
    facets = sorted({curve.facet for curve in curves})
    figure = Figure(figsize=(9, 1.0 + 2.6 * max(len(facets), 1)), layout="constrained")
    axes = figure.subplots(max(len(facets), 1), 1, sharex=True, squeeze=False)[:, 0]
    ages = np.geomspace(1.0 / 48.0, 730.0, 400)
    for axis, facet in zip(axes, facets, strict=False):
        for curve in (c for c in curves if c.facet == facet):
            label = f"{curve.event_type} (strength {curve.strength:g})"
            axis.plot(ages, curve.curve.at(ages), linewidth=1.4, label=label)
        axis.set_xscale("log")
        axis.set_ylim(0.0, 1.02)
        axis.set_ylabel(facet)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    axes[-1].set_xlabel("age, days")
    figure.suptitle("What is left of an event, as learned", x=0.01, ha="left")
    save_figure(figure, path, "Learned curves of forgetting")


def print_fits(rows: DataFrame) -> None:
    """Print how each model foresaw the returns of the last horizon."""
    table = Table(title="Log-likelihood a return, held out", title_justify="left")
    for heading in ("facet", "model", "a return", "ahead of global", "95 % interval", "returns"):
        table.add_column(heading, justify="left" if heading in ("facet", "model") else "right")
    for row in rows.orderBy("facet", "model").collect():
        figures = ["", "", ""]
        if row["ahead"] is not None:
            interval = f"{row['low']:+.4f} to {row['high']:+.4f}"
            figures = [f"{row['loglik_per_return']:.4f}", f"{row['ahead']:+.4f}", interval]
        table.add_row(row["facet"], row["model"], *figures, f"{row['returns']:,}")
    Console(width=None if Console().is_terminal else 100).print(table)
