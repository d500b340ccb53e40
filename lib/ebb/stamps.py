"""What a commit of a table says of itself: which step made it, for which as_of, from what.

Pure Python; never imports Spark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ebb.durations import format_instant, parse_instant

# Commits of a few weeks of nights.
LAST_FEW = 30


@dataclass(frozen=True)
class Stamp:
    """What made a commit.

    Attributes
    ----------
    step : name of the step.
    as_of : the as_of it was made for; None for ingests.
    config : hash of the configuration sections that count for the step.
    inputs : input table to the Delta version that was read.
    facts : anything else worth keeping with the commit, e.g. the earliest event inserted.
    """

    step: str
    as_of: datetime | None
    config: str
    inputs: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(
            {
                "ebb": self.step,
                "as_of": format_instant(self.as_of) if self.as_of else None,
                "config": self.config,
                "inputs": dict(self.inputs),
                "facts": dict(self.facts),
            },
            sort_keys=True,
        )

    @staticmethod
    def from_json(text: str | None) -> Stamp | None:
        """Read a commit's userMetadata; None where ebb didn't write it."""
        try:
            content = json.loads(text or "")
        except ValueError:
            return None
        if not isinstance(content, dict) or "ebb" not in content:
            return None
        as_of = content["as_of"]
        return Stamp(
            step=content["ebb"],
            as_of=parse_instant(as_of) if as_of else None,
            config=content["config"],
            inputs=content["inputs"],
            facts=content["facts"],
        )


@dataclass(frozen=True)
class Commit:
    """One commit of a table: its version, when it was made, its stamp (None if not ebb's) and
    Delta's metrics."""

    version: int
    operation: str
    at: datetime
    stamp: Stamp | None
    metrics: Mapping[str, str]

    @property
    def rows_written(self) -> int:
        """Rows that the commit brought; those moved over from a rewritten file don't count."""
        return int(self.metrics.get("numOutputRows", 0)) - int(self.metrics.get("numCopiedRows", 0))


def newest_first(history: Callable[[int | None], list[Commit]]) -> Iterator[Commit]:
    """Commits, newest first, read by and by: what is sought is mostly among the last few.

    Parameters
    ----------
    history : gives the latest commits of a table, newest first: so many, or with None all.
    """
    seen = 0
    for limit in (LAST_FEW, None):
        commits = history(limit)
        yield from commits[seen:]
        seen = len(commits)
        if limit is None or seen < limit:
            return
