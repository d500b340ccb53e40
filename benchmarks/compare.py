"""Are the tables under two roots equal? Read without Spark, floats to 1e-9 relative.

Left out are what names a run rather than its result: clocks, batch and model version ids.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from deltalake import DeltaTable

from ebb.schema import ALL, FILES, MODELS, RUNS, Table

_NAMES_A_RUN = {"ingested_at", "batch_id", "batch", "model_version", "file", "file_id", "source"}
_COMPARED = tuple(table for table in ALL if table not in (FILES, MODELS, RUNS))


def differences(one: str, other: str) -> list[str]:
    """A sentence for each table that differs; none where both roots hold the same."""
    return [text for table in _COMPARED if (text := _difference(table, one, other))]


def _difference(table: Table, one: str, other: str) -> str | None:
    left, right = _rows(table, one), _rows(table, other)
    if len(left) != len(right):
        return f"{table.name}: {len(left)} rows and {len(right)} rows"
    unequal = [(a, b) for a, b in zip(left, right, strict=True) if not _same(a, b)]
    if not unequal:
        return None
    return f"{table.name}: {len(unequal)} of {len(left)} rows differ, first {unequal[0]}"


def _rows(table: Table, root: str) -> list[dict[str, Any]]:
    if not DeltaTable.is_deltatable(f"{root}/{table.name}"):
        return []
    found = DeltaTable(f"{root}/{table.name}").to_pyarrow_table()
    own_source = table.name == "recommendations"
    dropped = [
        c for c in found.schema.names if c in _NAMES_A_RUN and not (own_source and c == "source")
    ]
    rows = found.drop(dropped).to_pylist()
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in table.grain] + [str(row)])


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


if __name__ == "__main__":
    found = differences(sys.argv[1], sys.argv[2])
    print("\n".join(found) or "equal")
    sys.exit(1 if found else 0)
