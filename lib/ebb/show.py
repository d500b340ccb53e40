"""A person's interests and slate, readable on a terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table as RichTable

from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.events.catalogue import versions_at
from ebb.interests.reader import interests_at
from ebb.language.portraits_at import portraits_at
from ebb.plot import plot_user
from ebb.recommend.reader import recommendations_for
from ebb.schema import ITEMS, PORTRAITS, RECOMMENDATIONS

_KEYS_A_FACET = 10


def show(night: Night, user_id: str, plot: Path | None = None) -> None:
    """Print the strongest interests of a user and their slate with its reasons.

    The as_of is the night's, or the latest before it that has slates.

    Parameters
    ----------
    plot : where to draw the user's interests over time; None draws nothing.
    """
    as_of = _latest(night)
    titles = versions_at(night.tables.read(ITEMS), as_of).select("item_id", "title")
    console = Console(width=None if Console().is_terminal else 140)
    console.print(f"\nUser {user_id} as of {format_instant(as_of)}\n", highlight=False)
    console.print(_interests_table(night, user_id, as_of, titles))
    if words := words_of(night, user_id, as_of):
        console.print(f"In a few words: {', '.join(words)}.\n", highlight=False)
    console.print(_slate_table(night, user_id, as_of, titles))
    if plot is not None:
        plot_user(night.tables, night.config, user_id, as_of, plot)
        console.print(f"Drawn: {plot}", highlight=False)


def _latest(night: Night) -> datetime:
    latest = night.tables.latest_as_of(RECOMMENDATIONS, night.as_of)
    if latest is None:
        raise RunError(
            f"there are no slates as of {format_instant(night.as_of)} or before under "
            f"{night.tables.root}; run: ./spark-submit.sh nightly"
        )
    return latest


def _interests_table(night: Night, user_id: str, as_of: datetime, titles: DataFrame) -> RichTable:
    user = night.tables.spark.createDataFrame([(user_id,)], "user_id string")
    own = interests_at(night.tables, as_of, user).where(F.col("rank") <= _KEYS_A_FACET)
    item_titles = titles.select(
        F.lit("item").alias("facet"), F.col("item_id").alias("key"), "title"
    )
    rows = own.join(item_titles, on=["facet", "key"], how="left").orderBy("facet", "rank").collect()
    names = [name for name in night.config.interests.columns if name in own.columns]
    table = RichTable(title="Interests", title_justify="left")
    for heading in ("facet", "rank", "key", "share", "events", "last", *names):
        table.add_column(heading, justify="left" if heading in ("facet", "key") else "right")
    for row in rows:
        share = "" if row["share"] is None else f"{row['share']:.1%}"
        key = f"{row['title']} ({row['key']})" if row["title"] else row["key"]
        figures = [_figure(row[name]) for name in names]
        last = f"{row['last_ts']:%Y-%m-%d}"
        table.add_row(row["facet"], str(row["rank"]), key, share, f"{row['n']:,}", last, *figures)
    if not rows:
        table.caption = "No interests: no event of this user is known."
    return table


def words_of(night: Night, user_id: str, as_of: datetime) -> list[str]:
    """The tags of a user's portrait, the strongest first; none where nobody made one."""
    if not night.tables.exists(PORTRAITS):
        return []
    user = night.tables.spark.createDataFrame([(user_id,)], "user_id string")
    rows = portraits_at(night.tables, as_of, user).orderBy("rank").collect()
    return [row["tag"] for row in rows]


def _figure(value: float | datetime | None) -> str:
    if value is None:
        return ""
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else f"{value:.3f}"


def _slate_table(night: Night, user_id: str, as_of: datetime, titles: DataFrame) -> RichTable:
    slate = recommendations_for(night.tables, [user_id], as_of)
    rows = slate.join(titles, on="item_id", how="left").orderBy("rank").collect()
    table = RichTable(title="Slate", title_justify="left", show_lines=True)
    for heading in ("rank", "item", "score", "source", "why"):
        table.add_column(heading, justify="right" if heading in ("rank", "score") else "left")
    for row in rows:
        item = f"{row['title']} ({row['item_id']})" if row["title"] else row["item_id"]
        why = "\n".join(reason["sentence"] for reason in row["reasons"])
        table.add_row(str(row["rank"]), item, f"{row['score']:.4f}", row["source"], why)
    return table
