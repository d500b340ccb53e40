"""Trainings of networks over sequences on a real set: in one process, in two, and killed.

    EBB_DATA=FOLDER .venv/bin/python benchmarks/sequence_training.py [--as-of 2013-01-01]
        [--seeds 3] [--set 'epochs=3'] [--set …] [--users 200] [--work FOLDER]

Needs the extra `deep`. Rows come from `foursquare_nyc` as a night writes them. `--set` changes
settings of `train.sequences`; `--users` takes the first so many users by id, for a quick look.
What is shown:

- *loss curves*: of each seed in one process and in two, with the same settings. Two processes draw
  otherwise, so that they differ as two seeds do: told are the means over seeds at the last epoch,
  and Welch's interval of their difference (with 0 in it: the same within noise);
- *rows read*: of each process, from the log that it writes; whether no row group was read by two
  and none by nobody;
- *killed*: a training whose process gets SIGKILL once an epoch has ended, and which is then started
  again; whether its curve and weights are those of the unbroken one, to the bit.

`--slates FOLDER` writes the ten best of everybody known, by the network of the first seed in one
process: any.parquet, and new.parquet without what they had; user_id, rank, item_id.

Prints the same as JSON on the last line; exit code 1 where rows are shared or missing, or where the
killed training comes to something else.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from timing import session

from ebb.evaluate.experiments import Group, welch
from ebb.sequences.batches import Rows, row_groups
from ebb.sequences.fit import train_in, write_rows
from ebb.sequences.folder import Folder
from ebb.sequences.foresee import foresee
from ebb.sequences.model import Model, as_bytes
from ebb.sequences.rows import Vocabulary, sequence_rows
from ebb.sequences.settings import Sequences
from ebb.sequences.task import JUDGE, LEARN, ReadRows, Status, Task
from ebb.sequences.training import best_of, train_alone

WINDOW, N = timedelta(days=30), 10
PROCESSES = (1, 2)
# Of each epoch its loss and that of users held out; by number of processes, one a seed.
Curve = list[tuple[float, float | None]]
Runs = dict[int, list[dict[str, Any]]]


def main() -> int:
    options = _options()
    changed = dict(yaml.safe_load(one.replace("=", ": ", 1)).popitem() for one in options.set)
    # Files for as many processes as there are at most; the same rows for fewer.
    settings = Sequences.model_validate({**changed, "workers": max(PROCESSES)})
    spark = session("benchmark of trainings over sequences")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="ebb-training-") as folder:
        work = Path(folder)
        events = _events(spark, options)
        vocabulary = Vocabulary.of(events, settings.items)
        task = _prepared(events, vocabulary, options.as_of, settings, work / "rows")
        runs = {
            processes: [
                _trained(task, work, f"{processes}-{seed}", processes, seed)
                for seed in range(1, options.seeds + 1)
            ]
            for processes in PROCESSES
        }
        found = {
            "curves": {processes: [one["curve"] for one in own] for processes, own in runs.items()},
            "seconds": {
                processes: round(statistics.median(one["seconds"] for one in own), 1)
                for processes, own in runs.items()
            },
            "loss": _compared(runs, 0),
            "loss_held_out": _compared(runs, 1),
            "rows": _read(work / f"{max(PROCESSES)}-1"),
            "killed": _killed(task, work, work / "1-1"),
        }
        if options.slates:
            _write_slates(events, vocabulary, options.as_of, settings, work / "1-1", options.slates)
    print(json.dumps(found))
    is_right = found["rows"]["is_disjoint"] and found["rows"]["is_complete"]
    return 0 if is_right and found["killed"]["is_the_same"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--as-of", type=_day, default=_day("2013-01-01"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--users", type=int)
    parser.add_argument("--slates", type=Path, metavar="FOLDER", help="to be scored elsewhere")
    parser.add_argument("--work", help="folder to work in; the system's temporary one by default")
    return parser.parse_args()


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _events(spark: SparkSession, options: argparse.Namespace) -> DataFrame:
    """What users did before as_of, in the columns of counted events."""
    path = Path(os.environ.get("EBB_DATA", "data")) / "foursquare_nyc" / "events.jsonl.gz"
    events = spark.read.json(str(path)).select(
        # One file, one partition: the number of the line.
        F.format_string("%010d", F.monotonically_increasing_id()).alias("event_id"),
        *("user_id", "item_id", "event_type"),
        F.to_timestamp("ts").alias("event_ts"),
        F.lit(1.0).alias("weight"),
    )
    known = events.where(F.col("event_ts") < F.lit(options.as_of)).persist()
    if options.users is None:
        return known
    some = known.select("user_id").distinct().orderBy("user_id").limit(options.users)
    return known.join(some, on="user_id", how="left_semi")


def _prepared(
    events: DataFrame, vocabulary: Vocabulary, as_of: datetime, settings: Sequences, rows: Path
) -> Task:
    """Write the rows, and say what is to be trained on them in one process."""
    window = settings.window or WINDOW
    folder = Folder(events.sparkSession, rows.as_uri())
    write_rows(events, vocabulary, as_of, settings, window, folder)
    takes = tuple(vocabulary.takes.tolist())
    return Task(settings, takes, len(vocabulary.types), window / timedelta(days=1), ranks=1)


# --------------------------------------------------------------------------- trainings
def _trained(task: Task, work: Path, name: str, processes: int, seed: int) -> dict[str, Any]:
    """Train in a folder of that name below `work`."""
    own = replace(task, settings=task.settings.model_copy(update={"seed": seed}), ranks=processes)
    folder = _folder(work, name)
    start = time.perf_counter()
    train_in(folder, own)
    second = time.perf_counter() - start
    curve = Status.read(folder).curve
    print(f"{name}: {second:.0f} s, {_told(curve)}", flush=True)
    return {"curve": curve, "seconds": second}


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    for part in (LEARN, JUDGE):
        (folder / part).symlink_to(work / "rows" / part)
    return folder


def _told(curve: Curve) -> str:
    return ", ".join(
        f"{loss:.4f}" + ("" if held_out is None else f" ({held_out:.4f})")
        for loss, held_out in curve
    )


def _killed(task: Task, work: Path, unbroken: Path) -> dict[str, Any]:
    """Kill a training once an epoch has ended, start it again, and compare."""
    own = replace(task, settings=task.settings.model_copy(update={"seed": 1}))
    folder = _folder(work, "killed")
    process = multiprocessing.get_context("spawn").Process(
        target=train_alone, args=(str(folder), own)
    )
    process.start()
    while process.is_alive() and not Status.read(folder).curve:
        time.sleep(0.1)
    process.kill()
    process.join()
    then = Status.read(folder)
    train_alone(str(folder), own)
    weights, expected = best_of(folder)[1], best_of(unbroken)[1]
    curves = Status.read(folder).curve, Status.read(unbroken).curve
    is_the_same = curves[0] == curves[1] and all(
        torch.equal(weights[name], one) for name, one in expected.items()
    )
    print(f"killed after epoch {len(then.curve)}: {_told(curves[0])}", flush=True)
    return {
        "exit_code": process.exitcode,
        "epochs_before": len(then.curve),
        "epochs": len(curves[0]),
        "is_the_same": is_the_same,
    }


# --------------------------------------------------------------------------- slates
def _write_slates(
    events: DataFrame,
    vocabulary: Vocabulary,
    as_of: datetime,
    settings: Sequences,
    training: Path,
    folder: Path,
) -> None:
    """Everybody's best items by the network of a training, in both modes."""
    model = Model.of(as_bytes(settings, vocabulary, best_of(training)[1]))
    ids = vocabulary.items.to_numpy(zero_copy_only=False)
    vectors = np.stack(model.item_vectors().column("factors").to_pylist())
    latest = sequence_rows(events, vocabulary, as_of, settings.length, settings.length).toArrow()
    sets = events.groupBy("user_id").agg(F.collect_set("item_id").alias("had")).collect()
    had, rows = {row["user_id"]: row["had"] for row in sets}, Rows.of(latest)
    best: dict[str, list[dict[str, Any]]] = {"any": [], "new": []}
    for row, user in enumerate(latest.column("user_id").to_pylist()):
        state, items, again = foresee(model, rows, row)
        taste = np.exp(vectors @ state)
        chances = taste.copy()
        chances[items - 1] += again
        taste[np.searchsorted(ids, had[user])] = -1.0
        for mode, scores in (("any", chances), ("new", taste)):
            top = ids[np.argsort(-scores, kind="stable")[:N]]
            best[mode] += [
                {"user_id": user, "rank": rank, "item_id": item}
                for rank, item in enumerate(top, start=1)
            ]
    folder.mkdir(parents=True, exist_ok=True)
    for mode, listed in best.items():
        pq.write_table(pa.Table.from_pylist(listed), folder / f"{mode}.parquet")


# --------------------------------------------------------------------------- figures
def _compared(runs: Runs, which: int) -> dict[str, Any]:
    """Last losses, of what is learned from (0) or of users held out (1), over seeds."""
    last = {processes: [one["curve"][-1][which] for one in own] for processes, own in runs.items()}
    groups = {
        processes: Group(len(values), statistics.mean(values), _variance(values))
        for processes, values in last.items()
    }
    ahead = welch(groups[2], groups[1])
    return {
        "means": {processes: round(group.mean, 4) for processes, group in groups.items()},
        "deviations": {
            processes: round(math.sqrt(group.variance), 4) for processes, group in groups.items()
        },
        "difference": ahead and [round(one, 4) for one in (ahead.value, ahead.low, ahead.high)],
    }


def _variance(values: list[float]) -> float:
    """NaN where one seed alone tells nothing of it."""
    return statistics.variance(values) if len(values) > 1 else float("nan")


def _read(folder: Path) -> dict[str, Any]:
    """Who read what, as each process wrote it down, against what there is."""
    read = ReadRows.all_of(folder)
    groups = [group for one in read for group in one.groups]
    there = [(group.path.name, group.number) for group in row_groups(folder / LEARN)]
    return {
        "by_process": {one.rank: one.rows for one in read},
        "in_all": sum(group.rows for group in row_groups(folder / LEARN)),
        "is_disjoint": len(set(groups)) == len(groups),
        "is_complete": set(groups) == set(there),
    }


if __name__ == "__main__":
    sys.exit(main())
