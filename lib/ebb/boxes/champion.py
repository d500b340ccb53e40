"""The job `champion`: what ranks now, which rankers there were, and the way back.

A rollback is a new commit of `choices` with the facts of an earlier one; nothing is deleted. It
holds until the next choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table as RichTable

from ebb.boxes.choose import Decision
from ebb.context import Night
from ebb.durations import format_instant
from ebb.errors import RunError
from ebb.recommend.choose import BLEND
from ebb.schema import CHOICES, RANKERS
from ebb.tables import Commit, Stamp

# Facts of a choice that say what is ranked by.
_RANKED_BY = ("strategy", "ranker")


def champion(night: Night, rollback: str | None = None) -> None:
    """List the registry of rankers, after a rollback where one is asked for.

    Parameters
    ----------
    rollback : the version to go back to; empty for what ranked before; None changes nothing.
    """
    if rollback is not None:
        roll_back(night, rollback or None)
    decision = Decision.of(night)
    console = Console(width=None if Console().is_terminal else 140)
    if decision is None:
        console.print(f"No choice holds as of {format_instant(night.as_of)}.", highlight=False)
    else:
        named = f" {decision.ranker}" if decision.ranker else ""
        console.print(
            f"Slates are ranked by {decision.strategy}{named}, since the choice of "
            f"{format_instant(decision.as_of)}.",
            highlight=False,
        )
    console.print(_registry(night, decision.ranker if decision else None))


def roll_back(night: Night, version: str | None) -> None:
    """Make a ranker of the registry, or what ranked before, the choice that holds.

    Parameters
    ----------
    version : of the ranker; None takes what ranked before the present strategy, or the blend of
        the same choice where nothing did.

    Raises
    ------
    RunError
        When no choice holds, or there is no such version.
    """
    decision = Decision.required(night)
    present = _stamp_at(night, decision.version)
    facts = _before(night, decision) if version is None else _of_version(night, present, version)
    made = replace(present, facts={**present.facts, **facts})
    rows = night.tables.read_slice(CHOICES, decision.as_of)
    strategy = facts["strategy"]
    tried = rows.where(F.col("strategy") == strategy).select("ndcg", "users", "weights").first()
    # Its figures are this choice's only where it is the very one that was tried.
    is_same = tried is not None and tried["weights"] == facts["weights"]
    row = (
        decision.as_of,
        strategy,
        True,
        tried["ndcg"] if tried and is_same else None,
        tried["users"] if tried and is_same else 0,
        dict(facts["weights"]),
    )
    own = night.spark.createDataFrame([row], CHOICES.schema)
    others = rows.where(F.col("strategy") != strategy).withColumn("is_chosen", F.lit(False))
    night.tables.write_slice(CHOICES, others.unionByName(own).coalesce(1), made)


def _before(night: Night, decision: Decision) -> Mapping[str, Any]:
    """The facts of the latest choice before that ranked by something else, or the blend's."""
    present = _stamp_at(night, decision.version)
    now = [present.facts.get(name) for name in _RANKED_BY]
    for commit in night.tables.newest_first(CHOICES):
        if commit.version >= decision.version or not _is_choice(commit, present):
            continue
        facts = commit.stamp.facts if commit.stamp else {}
        if [facts.get(name) for name in _RANKED_BY] != now:
            return facts
    weights = (
        night.tables.read_slice(CHOICES, decision.as_of)
        .where(F.col("strategy") == BLEND)
        .select("weights")
        .first()
    )
    if weights is None:
        raise RunError(
            f"nothing ranked before {decision.strategy}, and its choice tried no blend; pin a "
            "strategy by recommend.strategy"
        )
    return {**present.facts, "strategy": BLEND, "weights": weights["weights"], "ranker": None}


def _of_version(night: Night, present: Stamp, version: str) -> Mapping[str, Any]:
    """The facts under which a ranker of the registry ranks."""
    for commit in night.tables.newest_first(RANKERS):
        if commit.stamp and commit.stamp.facts.get("ranker") == version:
            if commit.stamp.config != present.config:
                raise RunError(
                    f"ranker {version} was fitted under another configuration, with other "
                    "features perhaps; put that back first"
                )
            return commit.stamp.facts
    raise RunError(
        f"there is no ranker {version} under {night.tables.root}; "
        "./spark-submit.sh champion lists those that there are"
    )


def _is_choice(commit: Commit, like: Stamp) -> bool:
    """Whether it is a choice made under the same configuration, with the same features."""
    stamp = commit.stamp
    return stamp is not None and (stamp.step, stamp.config) == (like.step, like.config)


def _stamp_at(night: Night, version: int) -> Stamp:
    for commit in night.tables.newest_first(CHOICES):
        if commit.version == version and commit.stamp is not None:
            return commit.stamp
    raise RuntimeError(f"choices has no stamped version {version}")


def _registry(night: Night, present: str | None) -> RichTable:
    table = RichTable(title="rankers, the latest first")
    for heading in ("as_of", "version", "promoted", "ndcg", "other", "why"):
        table.add_column(heading)
    columns = ("as_of", "version", "promoted", "ndcg", "ndcg_other", "other", "reason")
    rows = night.tables.read(RANKERS).select(*columns).orderBy(F.desc("as_of"))
    for row in rows.toLocalIterator():
        table.add_row(
            f"{row['as_of']:%Y-%m-%d}",
            row["version"] + (" ◀ ranks" if row["version"] == present else ""),
            "yes" if row["promoted"] else "no",
            f"{row['ndcg']:.4f}",
            f"{row['other']} {row['ndcg_other']:.4f}",
            row["reason"],
        )
    return table
