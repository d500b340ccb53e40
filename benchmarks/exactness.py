"""Every measure of online_retail's interests against plain Python straight from the raw file.

    EBB_DATA=… .venv/bin/python benchmarks/exactness.py ROOT 2011-11-20T00:00:00Z

Reads the raw Parquet with pyarrow and the interests under ROOT (made by the night of that as_of
with conf/online_retail.yaml) with deltalake; shares none of the package's code but the schema.
Prints the rows compared and the largest relative difference of each measure.
"""

from __future__ import annotations

import math
import os
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable

DAY = 86_400.0
MEASURES = {
    "exp_7d": lambda age: 2 ** (-age / 7),
    "exp_30d": lambda age: 2 ** (-age / 30),
    "win_30d": lambda age: 1.0 if age <= 30 else 0.0,
    "lin_30d": lambda age: max(0.0, 1 - age / 30),
}
Row = tuple[datetime, bool, float]


def raw_events(path: Path, as_of: datetime) -> dict[tuple[str, str], list[Row]]:
    """(user, item) to its (time, is a return, pieces) before as_of, users known only."""
    columns = ["user_id", "item_id", "event_type", "value", "ts"]
    histories: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in pq.read_table(path, columns=columns).to_pylist():
        kind = row["event_type"]
        if row["user_id"] is None or row["ts"] >= as_of or kind == "adjustment":
            continue
        pieces = abs(row["value"])
        histories[row["user_id"], row["item_id"]].append((row["ts"], kind == "return", pieces))
    return histories


def net(history: list[Row]) -> list[tuple[datetime, float]]:
    """What is left of each purchase: a return takes from the latest before it, until it is done.

    Purchases of one instant count before the returns of that instant. Which of two purchases of
    one instant is taken from first has to be settled by event id, which only the table knows:
    such pairs are skipped by the caller.
    """
    stack: list[list[float | datetime]] = []
    for ts, is_return, pieces in sorted(history, key=lambda row: (row[0], row[1])):
        if not is_return:
            stack.append([ts, pieces])
            continue
        for bought in reversed(stack):
            taken = min(bought[1], pieces)
            bought[1] -= taken
            pieces -= taken
    return [(ts, pieces) for ts, pieces in stack if pieces > 1e-9]


def ambiguous(history: list[Row]) -> bool:
    """Has returns, and two purchases of different size at one instant."""
    bought = [(ts, pieces) for ts, is_return, pieces in history if not is_return]
    distinct = len({ts for ts, _ in bought}) < len(set(bought))
    return distinct and any(is_return for _, is_return, _ in history)


def main() -> int:
    root, as_of = sys.argv[1], datetime.fromisoformat(sys.argv[2])
    path = Path(os.environ.get("EBB_DATA", "data")) / "online_retail" / "events.parquet"
    table = DeltaTable(f"{root}/interests_now").to_pyarrow_table(partitions=None)
    stored = {
        (row["user_id"], row["key"]): row
        for row in table.to_pylist()
        if row["as_of"] == as_of and row["facet"] == "item"
    }
    worst, compared, skipped, missing = dict.fromkeys(MEASURES, 0.0), 0, 0, 0
    for pair, history in raw_events(path, as_of).items():
        left = net(history)
        if ambiguous(history):
            skipped += 1
            stored.pop(pair, None)
            continue
        row = stored.pop(pair, None)
        if row is None or not left:
            missing += (row is None) != (not left)
            continue
        compared += 1
        missing += row["n"] != len(left) or row["last_ts"] != max(ts for ts, _ in left)
        for name, curve in MEASURES.items():
            terms = [
                math.log1p(pieces) * curve((as_of - ts).total_seconds() / DAY)
                for ts, pieces in left
            ]
            expected = math.fsum(terms)
            gap = abs(row[name] - expected) / expected if expected else abs(row[name])
            worst[name] = max(worst[name], gap)
    missing += len(stored)
    print(
        f"{compared} interests compared, {skipped} skipped (ties among returned), {missing} wrong"
    )
    for name, gap in worst.items():
        print(f"{name}: largest relative difference {gap:.2e}")
    return 1 if missing or max(worst.values()) > 1e-9 else 0


if __name__ == "__main__":
    sys.exit(main())
