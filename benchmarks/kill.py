"""Kill the night with SIGKILL at five moments, run it again, compare with one left alone.

    .venv/bin/python benchmarks/kill.py [FOLDER]

A moment is the appearance of a commit: the process group dies right after it, before whatever
would have come next (a ledger, a registry row, the log of runs). Prints a line a moment; exit
code 1 if any table differs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import differences

_CHECKOUT = Path(__file__).parents[1]
# Table whose first commit with data is the signal, and what hasn't happened yet by then.
_MOMENTS = {
    "events": "events are in, their users and the ledger are not",
    "ingested_files": "the ledger is written, the log of runs is not",
    "interest_state": "the stored sums are in, interests_now is not",
    "interests_now": "interests are in, nothing is trained",
    "neighbours": "half of the models are in, the registry is not",
    "recommendations": "slates are in, the hot list is not",
}
_USERS = 100


def command(root: Path) -> list[str]:
    return [
        *(str(_CHECKOUT / "spark-submit.sh"), "nightly", "--root", str(root)),
        *("--set", f"world.users={_USERS}"),
    ]


def run(root: Path, landing: Path, until: str | None) -> None:
    """Run a night; with `until`, kill it when that table has its first commit of rows."""
    environment = {**os.environ, "EBB_LANDING": str(landing)}
    process = subprocess.Popen(
        command(root),
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if until is None:
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(errors)
        return
    # Version 0 makes the table, version 1 is the first that holds rows.
    commit = root / until / "_delta_log" / f"{1:020d}.json"
    while not commit.exists():
        if process.poll() is not None:
            raise RuntimeError(f"the night ended before {commit} was there")
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="ebb-kill-"))
    landing = folder / "landing"
    print(f"an uninterrupted night under {folder} …", flush=True)
    run(folder / "whole", landing, until=None)
    failed = False
    for table, state in _MOMENTS.items():
        root = folder / f"killed-after-{table}"
        run(root, landing, until=table)
        run(root, landing, until=None)
        found = differences(str(root), str(folder / "whole"))
        failed = failed or bool(found)
        print(f"killed when {state}: {'; '.join(found) or 'equal tables'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
