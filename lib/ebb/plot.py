"""One user's interests over time: lines of decayed interest by key, ticks of events."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.catalogue import versions_at
from ebb.interests.own import learned
from ebb.interests.point_in_time import features_at
from ebb.language.labelled import labelled_items, labelled_texts
from ebb.language.labels import Labels
from ebb.schema import EVENTS
from ebb.tables import Tables

_KEYS = 8
_STEPS = 240
_JUMPS = 400
_LABEL = 34


def plot_user(tables: Tables, config: Config, user_id: str, as_of: datetime, path: Path) -> None:
    """Draw the measure `rank_by` of a user's strongest keys from their first event to `as_of`.

    One panel a facet, at most eight keys each: those that ever were the strongest. Below the lines
    every event is a tick in the colour of its key.

    Raises
    ------
    RunError
        When no event of the user is known before `as_of`.
    """
    own = tables.read(EVENTS).where(
        (F.col("user_id") == user_id) & (F.col("event_ts") < F.lit(as_of))
    )
    instants = [r[0].astimezone(UTC) for r in own.select("event_ts").distinct().collect()]
    if not instants:
        raise RunError(f"no event of user {user_id} is known before {format_instant(as_of)}")
    entities = tables.spark.createDataFrame(
        [(user_id, at) for at in _moments(sorted(instants), as_of)],
        "user_id string, instant timestamp",
    )
    labels = Labels.of(config, config.facets)
    items, texts = labelled_items(tables, labels, as_of), labelled_texts(tables, labels, as_of)
    half_lives = learned(tables) if config.interests.by_own else None
    rows = features_at(entities, own, items, config, half_lives, texts)
    measure = config.interests.rank_by
    lines = rows.select("instant", "facet", "key", "last_ts", F.col(measure).alias("value"))
    titles = versions_at(items, as_of).select("item_id", "title").where(F.col("title").isNotNull())
    met = titles.join(own.select("item_id").distinct(), on="item_id", how="left_semi")
    named = {row["item_id"]: row["title"] for row in met.collect()}
    figure = _figure(lines.toPandas(), config.facets, named)
    figure.suptitle(f"User {user_id}: {measure} as of each instant", x=0.01, ha="left")
    save_figure(figure, path, f"Interests of user {user_id}")


def _moments(instants: Sequence[datetime], as_of: datetime) -> list[datetime]:
    """Even steps, and each event's instant and the microsecond after, so that jumps are steep."""
    first, tick = instants[0], timedelta(microseconds=1)
    step = max((as_of - first) / _STEPS, tick)
    even = {first + step * n for n in range(1, _STEPS)} | {as_of}
    jumps = {at for instant in instants[-_JUMPS:] for at in (instant, instant + tick)}
    return sorted(at for at in even | jumps if at <= as_of)


def _figure(lines: pd.DataFrame, facets: tuple[str, ...], titles: dict[str, str]) -> Figure:
    shown = [facet for facet in facets if (lines["facet"] == facet).any()]
    figure = Figure(figsize=(11, 1.2 + 2.9 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axis, facet in zip(axes, shown, strict=True):
        _panel(axis, facet, lines[lines["facet"] == facet], titles if facet == "item" else {})
    return figure


def _panel(axis: Any, facet: str, lines: pd.DataFrame, titles: dict[str, str]) -> None:
    peaks = lines.groupby("key")["value"].max().reset_index()
    strongest = peaks.sort_values(["value", "key"], ascending=[False, True])["key"].head(_KEYS)
    top = lines["value"].max()
    for place, key in enumerate(strongest):
        own = lines[lines["key"] == key].sort_values("instant")
        text = str(titles.get(key, key))
        label = text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
        (line,) = axis.plot(own["instant"], own["value"], linewidth=1.4, label=label)
        ticks = own["last_ts"].dropna().unique()
        height = -0.035 * top * (place + 1)
        axis.plot(ticks, [height] * len(ticks), "|", color=line.get_color(), markersize=5)
    # The ticks of events lie below the scale, which has no figures there.
    lowest = min(0.0, lines["value"].min())
    axis.set_yticks([at for at in axis.get_yticks() if lowest <= at <= top * 1.05])
    axis.set_ylabel(facet)
    axis.axhline(0, color="0.8", linewidth=0.8)
    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def save_figure(figure: Figure, path: Path, title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() != ".html":
        figure.savefig(path, dpi=120)
        return
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    svg = drawn.getvalue()
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>\n'
        + svg[svg.index("<svg") :],
        encoding="utf-8",
    )
