"""What a half-life of one's own is worth: held-out likelihood, ranking, recovery of the truth.

    .venv/bin/python benchmarks/forgetting.py [--sets online_retail ...] [--root FOLDER]

Needs $EBB_DATA. For each public set and facet, at several as_of a horizon apart: half-lives are
learned on what was known a horizon before as_of and foresee the returns of that horizon, beside one
tuned half-life for all (global), no forgetting (constant) and waiting times; the differences come
with 95 % intervals of a paired bootstrap over users. Then the keys that each user knows at as_of
are ordered by interest under the user's own half-life and under the tuned one, and NDCG@10 of what
they come back to in the horizon after it is compared. On the demo world, whose half-lives are
known, the estimates are held against them. Prints tables, and all of it as JSON on the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from ebb.config_file import load_config
from ebb.context import Night
from ebb.evaluate.significance import Interval, compare_models, sampled_users
from ebb.evaluate.slates import user_metrics
from ebb.events.catalogue import versions_at
from ebb.events.world_truth import WORLD_USERS
from ebb.forgetting.comparison import Comparison
from ebb.forgetting.fits import Fit
from ebb.forgetting.forgetters import MODELS
from ebb.forgetting.learn import Learned, Stretch, learn_half_lives
from ebb.forgetting.settings import Forgetting
from ebb.interests.counted import counted
from ebb.interests.keys import with_keys
from ebb.interests.measures import Interests, OwnMeasure
from ebb.interests.own import OwnHalfLives
from ebb.interests.snapshot import interests_from_events
from ebb.night import ingest
from ebb.progress import Progress
from ebb.schema import EVENTS, ITEMS
from ebb.session import start_session
from ebb.storage import stored
from ebb.tables import Tables

NDCG = "ndcg@10"
MOST_RANKED = 5_000
BY_RETURNS = ((0, 5), (5, 20), (20, 50), (50, 100), (100, None), (20, None))
DEMO = "local"


@dataclass(frozen=True)
class PublicSet:
    """A set's latest as_of, the horizon, how many as_of, and the facets that it has."""

    as_of: datetime
    horizon: timedelta
    nights: int
    facets: tuple[str, ...] = ("item", "category")


SETS = {
    "online_retail": PublicSet(
        datetime(2011, 11, 19, tzinfo=UTC), timedelta(days=20), 3, ("item",)
    ),
    "globo_news_20pct": PublicSet(datetime(2017, 10, 15, tzinfo=UTC), timedelta(days=1), 2),
    "deskdrop": PublicSet(datetime(2016, 12, 13, tzinfo=UTC), timedelta(days=30), 3, ("item",)),
    "foursquare_nyc": PublicSet(datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=30), 3),
    "lastfm_hetrec": PublicSet(datetime(2011, 1, 15, tzinfo=UTC), timedelta(days=90), 3),
    "movielens_latest_head": PublicSet(datetime(2022, 1, 1, tzinfo=UTC), timedelta(days=365), 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=[*SETS, DEMO], default=[*SETS, DEMO])
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ebb-forgetting-") as folder:
        for name in options.sets:
            night = night_of(name, options.root or folder)
            if name == DEMO:
                found[name] = recovered(night)
                continue
            for facet in SETS[name].facets:
                found[f"{name} {facet}"] = judged(night, facet, SETS[name])
    print(json.dumps(found), flush=True)


def night_of(name: str, root: str) -> Night:
    """The set's tables; what isn't there yet is taken in."""
    os.environ["EBB_ROOT"] = root
    os.environ.setdefault("EBB_LANDING", f"{root}/landing")
    config = load_config(Path(f"conf/{name}.yaml"))
    spark = start_session("benchmark of forgetting", config.spark)
    tables = Tables(spark, config.root)
    as_of = SETS[name].as_of if name in SETS else datetime(2026, 2, 25, tzinfo=UTC)
    night = Night(spark, tables, config, as_of, Progress(terminal=False), "benchmark", "benchmark")
    ingest(night)
    return night


# ------------------------------------------------------------------------ public sets
def judged(night: Night, facet: str, public: PublicSet) -> dict[str, Any]:
    """Likelihood and ranking of one facet over the set's as_of."""
    likelihood: Comparison | None = None
    ranks, priors = [], []
    for place in range(public.nights):
        as_of = public.as_of - place * public.horizon
        with stored(counted(night.tables.read(EVENTS), night.config.events, as_of)) as events:
            items = versions_at(night.tables.read(ITEMS), as_of)
            learned = learned_at(events, items, facet, as_of, public.horizon)
            with stored(learned.rows) as rows:
                one = Comparison.of(rows)
                likelihood = likelihood + one if likelihood else one
                labels = come_back(night, items, facet, as_of, public.horizon)
                ranks.append(ranked(night, events, items, rows, labels, facet, learned, as_of))
        priors.append(learned.prior.kind)
    assert likelihood is not None
    return told(f"{night.tables.root.rpartition('/')[2]} {facet}", likelihood, ranks, priors)


def learned_at(
    events: DataFrame, items: DataFrame, facet: str, as_of: datetime, horizon: timedelta
) -> Learned:
    first = events.agg(F.min("event_ts")).collect()[0][0].astimezone(UTC)
    stretch = Stretch(first, as_of, horizon)
    learned = learn_half_lives(events, items, facet, stretch, Forgetting())
    if learned is None:
        raise RuntimeError(f"nobody came back to any {facet} before {as_of}")
    return learned


def come_back(
    night: Night, items: DataFrame, facet: str, as_of: datetime, horizon: timedelta
) -> DataFrame:
    """user_id, key of what was met in the horizon after as_of."""
    then = counted(night.tables.read(EVENTS), night.config.events, as_of + horizon)
    later = then.where((F.col("event_ts") >= F.lit(as_of)) & (F.col("weight") > 0))
    keyed = with_keys(later.select("user_id", "item_id"), items, (facet,))
    return keyed.select("user_id", "key").distinct()


def ranked(
    night: Night,
    events: DataFrame,
    items: DataFrame,
    rows: DataFrame,
    labels: DataFrame,
    facet: str,
    learned: Learned,
    as_of: datetime,
) -> pd.DataFrame:
    """NDCG@10 of a sample of users under both orders of the keys that they know, as pandas."""
    users = sampled_users(labels, MOST_RANKED).select("user_id").distinct()
    past = events.join(users, on="user_id", how="left_semi")
    own = rows.select(
        F.lit(as_of).alias("as_of"), "user_id", F.lit(facet).alias("facet"), "half_life_days"
    )
    lives = {"adaptive": own, "global": own.limit(0)}
    settings = Interests(measures=(OwnMeasure(name="own", curve="own"),), rank_by="own")
    fit, types = Fit(as_of, 0, {facet: learned.tuned}), night.config.events.types
    orders = {
        model: interests_from_events(
            past, items, (facet,), settings, types, as_of, OwnHalfLives((fit,), half_lives)
        )
        for model, half_lives in lives.items()
    }
    slates = [
        order.where("rank <= 10").select(
            F.lit(model).alias("model"), "user_id", "rank", F.col("key").alias("item_id")
        )
        for model, order in orders.items()
    ]
    known = orders["global"].select("user_id", "key")
    wanted = labels.join(known, on=["user_id", "key"], how="left_semi")
    metrics = user_metrics(
        slates[0].unionByName(slates[1]),
        wanted.select("user_id", F.col("key").alias("item_id")),
        (10,),
        models=list(lives),
    )
    return metrics.select("model", "user_id", NDCG).toPandas().assign(as_of=as_of)


def told(
    title: str, found: Comparison, ranks: list[pd.DataFrame], priors: list[str]
) -> dict[str, Any]:
    table = Table(title=f"{title}: {found.count:,} returns; prior {', '.join(priors)}")
    for heading in ("model", "a return", "ahead of global", "95 % interval", "expected"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    result: dict[str, Any] = {"returns": found.count, "priors": priors}
    for model in MODELS:
        ahead = found.ahead(model)
        table.add_row(
            model, f"{found.per_return(model):.4f}", f"{ahead.value:+.4f}",
            f"{ahead.low:+.4f} to {ahead.high:+.4f}", f"{found.total(model):,.0f}",
        )  # fmt: skip
        result[model] = {"loglik": round(found.per_return(model), 4), "ahead": numbers(ahead)}
    Console(width=110).print(table)
    deciles = {m: found.calibration(m) for m in ("adaptive", "global")}
    for model, pairs in deciles.items():
        print(f"  {model}, expected/observed by decile: "
              + " ".join(f"{e:.0f}/{o:.0f}" for e, o in pairs))  # fmt: skip
    result["calibration"] = {m: [[round(x, 1) for x in p] for p in v] for m, v in deciles.items()}
    lift = compare_models(pd.concat(ranks), NDCG, "adaptive", "global")
    base = float(pd.concat(ranks).query("model == 'global'")[NDCG].mean())
    print(f"  {NDCG} of known keys: global {base:.4f}, adaptive {lift.value:+.4f} "
          f"[{lift.low:+.4f}, {lift.high:+.4f}], {lift.users:,} users", flush=True)  # fmt: skip
    result["ndcg"] = {"global": round(base, 4), "lift": numbers(lift)}
    return result


def numbers(one: Interval) -> list[float]:
    return [round(float(x), 4) for x in (one.value, one.low, one.high)]


# ------------------------------------------------------------------------- demo world
def recovered(night: Night) -> dict[str, Any]:
    """Estimates against the half-lives that events were drawn with, by number of returns.

    The world's intensity is of leaf categories and of views, likes and purchases alone.
    """
    as_of = night.as_of
    whole = counted(night.tables.read(EVENTS), night.config.events, as_of)
    events = whole.where(F.col("event_type").isin("view", "like", "purchase"))
    leaves = F.filter("categories", lambda path: path.contains(">"))
    items = versions_at(night.tables.read(ITEMS), as_of).withColumn("categories", leaves)
    learned = learned_at(events, items, "category", as_of, timedelta(days=7))
    truth = night.tables.read(WORLD_USERS).select("user_id", F.col("half_life_days").alias("true"))
    pairs = learned.rows.join(truth, on="user_id", how="inner").toPandas()
    table = Table(title=f"demo world, prior {learned.prior.kind}")
    for heading in ("returns", "users", "Spearman", "median relative error", "same, tuned for all"):
        table.add_column(heading, justify="right")
    result: dict[str, Any] = {}
    for low, high in BY_RETURNS:
        own = pairs[(pairs["returns"] >= low) & (pairs["returns"] < (high or np.inf))]
        figures = (
            own["half_life_days"].corr(own["true"], method="spearman"),
            (own["half_life_days"] / own["true"] - 1.0).abs().median(),
            (learned.tuned / own["true"] - 1.0).abs().median(),
        )
        name = f"{low} to {high - 1}" if high else f"{low} or more"
        table.add_row(name, str(len(own)), *(f"{figure:.3f}" for figure in figures))
        result[name] = [len(own), *(round(float(figure), 3) for figure in figures)]
    Console(width=110).print(table)
    return result


if __name__ == "__main__":
    main()
