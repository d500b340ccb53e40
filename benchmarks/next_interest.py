"""Next-period interest in the keys that users know: small networks against the decayed past.

    .venv/bin/python benchmarks/next_interest.py [--sets foursquare_nyc ...] [--kinds "bce mlp" ...]
        [--root FOLDER] [--set KEY=VALUE]

Needs $EBB_DATA and the extra deep. For each public set, at two as_of: networks of each kind and the
decayed baseline learn from the periods before the three latest and are judged on these, as a night
does it. Prints the mean loss of both, how far the network is ahead over the six periods with the
90 % interval, and the seconds of learning, and all of it as JSON on the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from ebb.boxes.foretell import foretelling
from ebb.config_file import load_config
from ebb.context import Night
from ebb.foretell.contest import Judged, verdict
from ebb.foretell.learn import judge
from ebb.foretell.pasts import Pasts
from ebb.foretell.settings import Foretell
from ebb.night import ingest
from ebb.progress import Progress
from ebb.session import start_session
from ebb.tables import Tables

NIGHTS = 2
KINDS: dict[str, dict[str, Any]] = {
    "bce linear": {"layers": 0},
    "bce mlp": {"layers": 1},
    "bce gru": {"kind": "gru"},
    "bce lstm": {"kind": "lstm"},
    "softmax(W F + b)": {"loss": "softmax", "layers": 0},
    "softmax mlp": {"loss": "softmax", "layers": 1},
    "mse mlp": {"loss": "mse", "layers": 1},
}


@dataclass(frozen=True)
class PublicSet:
    """A set's latest as_of, the period, and the facet."""

    as_of: datetime
    period: timedelta
    facet: str


DAY = timedelta(days=1)
SETS = {
    "foursquare_nyc": PublicSet(datetime(2013, 1, 31, tzinfo=UTC), 7 * DAY, "category"),
    "globo_news_20pct": PublicSet(datetime(2017, 10, 16, tzinfo=UTC), DAY, "category"),
    "lastfm_hetrec": PublicSet(datetime(2011, 1, 15, tzinfo=UTC), 30 * DAY, "item"),
    "movielens_latest_head": PublicSet(datetime(2022, 1, 1, tzinfo=UTC), 30 * DAY, "category"),
    "deskdrop": PublicSet(datetime(2017, 1, 12, tzinfo=UTC), 7 * DAY, "item"),
    "online_retail": PublicSet(datetime(2011, 12, 9, tzinfo=UTC), 7 * DAY, "item"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ebb-next-interest-") as folder:
        for name in options.sets:
            night = night_of(name, options.root or folder, options.set)
            found[name] = compared(name, night, options.kinds)
    print(json.dumps(found), flush=True)


def night_of(name: str, root: str, overrides: list[str]) -> Night:
    """The set's tables; what isn't there yet is taken in."""
    os.environ["EBB_ROOT"] = root
    public = SETS[name]
    own = [
        f"foretell.period={public.period // DAY}d",
        f"foretell.facet={public.facet}",
        # All kinds look at one gathering of pasts.
        "foretell.kind=lstm",
    ]
    config = load_config(f"conf/{name}.yaml", sets=[*own, *overrides])
    spark = start_session("benchmark of next interests", config.spark)
    tables, progress = Tables(spark, config.root), Progress(terminal=False)
    night = Night(spark, tables, config, public.as_of, progress, "benchmark", "benchmark")
    ingest(night)
    return night


def compared(name: str, night: Night, kinds: list[str]) -> dict[str, Any]:
    """Some kinds on the pasts of some nights."""
    settings = night.config.foretell
    assert settings is not None
    apart = SETS[name].period * settings.judged
    nights = [replace(night, as_of=night.as_of - place * apart) for place in range(NIGHTS)]
    pasts = [gathered(one, settings) for one in nights]
    rows = sum(len(part) for part in pasts[0])
    table = Table(title=f"{name}, {settings.facet}: {rows:,} rows at the latest as_of")
    for heading in ("kind", "loss", "decayed", "ahead", "90 % interval", "of it", "seconds"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    result: dict[str, Any] = {"rows": rows}
    for kind in kinds:
        started = time.monotonic()
        judged = judged_on(pasts, settings.model_copy(update={"kind": "dense", **KINDS[kind]}))
        seconds = (time.monotonic() - started) / NIGHTS
        found = verdict(judged)
        if found is None:
            raise RuntimeError(f"nobody met any {settings.facet} of {name} again")
        ahead = found.ahead
        table.add_row(
            kind, f"{found.network:.5f}", f"{found.decayed:.5f}", f"{ahead.value:+.5f}",
            f"{ahead.low:+.5f} to {ahead.high:+.5f}", f"{ahead.value / found.decayed:+.1%}",
            f"{seconds:.1f}",
        )  # fmt: skip
        figures = (found.network, found.decayed, ahead.value, ahead.low, ahead.high, seconds)
        result[kind] = [round(float(figure), 6) for figure in figures]
    Console(width=110).print(table)
    return result


def gathered(night: Night, settings: Foretell) -> list[Pasts]:
    with foretelling(night, settings) as one:
        return one.pasts(one.windows(settings.judged + settings.periods))


def judged_on(nights: list[list[Pasts]], settings: Foretell) -> list[Judged]:
    return [one for pasts in nights for one in judge(pasts, settings)]


if __name__ == "__main__":
    main()
