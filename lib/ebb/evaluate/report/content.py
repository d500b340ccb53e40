"""What a report is made of: the facts around a study, and the blocks that sections consist of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from markupsafe import Markup

# Bins of a distance from 0 to 1.
BINS = 20


@dataclass(frozen=True)
class Drift:
    """How far short-term interests are from long-term ones, of everybody with both.

    Attributes
    ----------
    as_of : of the slice of `user_features` that says so.
    bins : facet, bin (from 0, each `1 / BINS` wide), users.
    summary : facet, users, median, p90 of the Jensen-Shannon distance, 0 to 1.
    """

    as_of: datetime
    bins: pd.DataFrame
    summary: pd.DataFrame


@dataclass(frozen=True)
class Taken:
    """An item that somebody took: its title, or its id where it has none."""

    item: str
    event_type: str
    at: datetime


@dataclass(frozen=True)
class Shown:
    """A place of a slate: what speaks most for the item, and the reasons as sentences."""

    item: str
    source: str
    reasons: Sequence[str]


@dataclass(frozen=True)
class Example:
    """A person: how many events they had, the last items they took, their slate.

    Attributes
    ----------
    kind : what they are an example of, e.g. ``few events``.
    took : the latest first. slate : the best first.
    """

    kind: str
    user_id: str
    events: int
    took: Sequence[Taken]
    slate: Sequence[Shown]


@dataclass(frozen=True)
class Examples:
    """Some people and the slates published for them at an as_of."""

    as_of: datetime
    people: Sequence[Example]


@dataclass(frozen=True)
class Surroundings:
    """What the tables know around a study.

    Attributes
    ----------
    fingerprint : of the configuration that counts for it.
    drift, examples : None where their tables hold nothing up to the as_of.
    """

    root: str
    as_of: datetime
    fingerprint: str
    drift: Drift | None
    examples: Examples | None


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Chart:
    """A drawing under a caption; `svg` holds nothing that isn't escaped."""

    caption: str
    svg: Markup
    kind: str = "chart"


@dataclass(frozen=True)
class Table:
    """Figures under a caption.

    Attributes
    ----------
    words : so many columns from the left hold words, the others figures.
    folded : shown when asked for.
    strong : the first cell of rows that stand out.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    folded: bool = False
    strong: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class People:
    """Examples."""

    people: Sequence[Example]
    kind: str = "people"


Block = Text | Chart | Table | People


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block]
