"""What texts are worth to items without history: as they are, projected, and category affinity.

    .venv/bin/python benchmarks/cold_items.py [--sets movielens_latest_head ...] [--root FOLDER]
        [--set KEY=VALUE ...]

Needs $EBB_DATA. At each as_of, people who had something before it are judged by those items that
they took in the label window after it and that nobody had touched before as_of. Items that nobody
had touched are ranked for each of them: by the likeness of their text to what the person had
(`content`), by what the texts of that lead on to, learned before as_of (`projected`), and by the
person's shares of the item's categories (`affinity`), each by the longest half-life of the profile
that isn't flat, and without decay (`_flat`). Ranked are all such items of
the catalogue, and once more (`arriving`) only those that somebody takes in the label window, since
these catalogues hold items of all years and don't say when one came.

Scores are rounded to 5 significant digits; of items that tie for the last places, each counts as
much as its chance of being drawn, so that no order of ids decides. Prints recall@10 and the
difference with its 95 % interval, by a paired bootstrap over users, each with all their as_of; on
the last line all of it as JSON. The catalogues have no history: their texts, and the encoder that
is fitted on them, are the same at each as_of.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.config_file import load_config
from ebb.context import Night
from ebb.evaluate.significance import compare_models
from ebb.evaluate.slates import labels_after
from ebb.interests.counted import counted
from ebb.language.encoders import encoder_of
from ebb.language.settings import Language, Projection
from ebb.language.texts import texts_at
from ebb.models.pairs import pair_weights, taken
from ebb.models.projection import Texts, project
from ebb.night import ingest
from ebb.progress import Progress
from ebb.recommend.catalogue import Booleans, Doubles, Integers
from ebb.recommend.half_lives import HalfLife, half_lives_for
from ebb.rounding import significant_array
from ebb.schema import EVENTS, ITEMS
from ebb.session import start_session
from ebb.tables import Tables

N = 10
METRIC = f"recall@{N}"
POOLS = ("all", "arriving")
PAIRS = (("content", "affinity"), ("projected", "affinity"), ("projected", "content"))
_DAY = timedelta(days=1)
_LATEST = 500
_DIGITS = 5


@dataclass(frozen=True)
class PublicSet:
    """The first as_of, how many, and the length of their label windows, one after the other."""

    first: datetime
    count: int
    horizon: timedelta


SETS = {
    "movielens_latest_head": PublicSet(datetime(2000, 1, 1, tzinfo=UTC), 23, 365 * _DAY),
    "online_retail": PublicSet(datetime(2011, 3, 1, tzinfo=UTC), 9, 30 * _DAY),
    "foursquare_nyc": PublicSet(datetime(2012, 5, 15, tzinfo=UTC), 9, 30 * _DAY),
}


@dataclass(frozen=True)
class Items:
    """Items in the order of their ids.

    Attributes
    ----------
    ids : (m,). texts, categories : (m, r) vectors of their text, and the parts of their categories.
    """

    ids: list[str]
    texts: Doubles
    categories: Doubles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--root", help="where tables are or are made; a temporary folder else")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebb-cold-") as folder:
        found = {name: judged(name, options.root or folder, options.set) for name in options.sets}
    print(json.dumps(found), flush=True)


def judged(name: str, root: str, sets: list[str]) -> dict[str, object]:
    """Figures of one set; prints them."""
    night = night_of(name, root, sets)
    if not night.tables.exists(EVENTS):
        ingest(night)
    started = time.monotonic()
    items = items_of(night)
    seconds = time.monotonic() - started
    rows = pd.concat(
        part
        for place in range(SETS[name].count)
        for part in rows_at(night, items, SETS[name].first + place * SETS[name].horizon)
    )
    result: dict[str, object] = {
        "people": len(rows[rows["model"] == "content"]) // len(POOLS),
        "items": len(items.ids),
        "seconds to encode": round(seconds, 1),
    }
    for pool in POOLS:
        own = rows[rows["pool"] == pool]
        for kind in ("", "_flat"):
            for pair in PAIRS:
                models = [f"{model}{kind}" for model in pair]
                result[" ".join([pool, *models])] = compared(f"{name}, {pool}", own, models)
    return result


def compared(title: str, rows: pd.DataFrame, models: list[str]) -> list[float]:
    """Of two models, and how far the first is ahead with its interval; prints them."""
    means = [float(rows.loc[rows["model"] == model, METRIC].mean()) for model in models]
    ahead = compare_models(rows, METRIC, *models)
    figures = [*means, float(ahead.value), float(ahead.low), float(ahead.high)]
    said = "{:.5f}, {:.5f}; ahead by {:+.5f} [{:+.5f}, {:+.5f}]".format(*figures)
    print(f"{title}: {METRIC} of {', '.join(models)} {said}", flush=True)
    return [round(figure, 6) for figure in figures]


def night_of(name: str, root: str, sets: list[str]) -> Night:
    os.environ["EBB_ROOT"] = root
    config = load_config(f"conf/{name}.yaml", sets=["language={}", *sets])
    spark = start_session("benchmark of cold items", config.spark)
    tables = Tables(spark, config.root)
    last = SETS[name].first + SETS[name].count * SETS[name].horizon
    return Night(spark, tables, config, last, Progress(terminal=False), "evaluate", "benchmark")


def items_of(night: Night) -> Items:
    """Vectors of every item's text, and of its categories, its mass split evenly over them."""
    settings = night.config.language or Language()
    known = night.tables.read(ITEMS)
    texts = texts_at(known, night.as_of, settings).persist()
    encoder = encoder_of(settings.encoder)
    encoded = encoder.encode(texts, encoder.fit(texts))
    columns = known.select("item_id", "categories").join(encoded, on="item_id", how="left")
    found = columns.orderBy("item_id").toPandas()
    texts.unpersist()
    width = len(next(v for v in found["vector"] if v is not None))
    none = np.zeros(width, dtype=np.float32)
    text = np.stack([none if v is None else np.asarray(v) for v in found["vector"]])
    listed = [[] if keys is None else list(keys) for keys in found["categories"]]
    number = {key: place for place, key in enumerate(sorted({k for keys in listed for k in keys}))}
    categories = np.zeros((len(found), max(1, len(number))), dtype=np.float32)
    for row, keys in enumerate(listed):
        for key in keys:
            categories[row, number[key]] = 1.0 / len(keys)
    return Items(found["item_id"].tolist(), text, categories)


def projected_at(night: Night, items: Items, before: DataFrame, as_of: datetime) -> Doubles:
    """(m, r) projected vectors by what people took before as_of; as they are where that is too
    little."""
    named = pd.DataFrame({"item_id": items.ids, "vector": list(items.texts)})
    vectors = night.spark.createDataFrame(named, "item_id string, vector array<float>")
    pairs = taken(pair_weights(before, as_of, {}))
    found = project(pairs, Texts(vectors, Projection()))
    if found is None:
        return items.texts
    rows = found.rows.toPandas()
    projected = np.zeros_like(items.texts)
    place = {item: row for row, item in enumerate(items.ids)}
    projected[[place[item] for item in rows["item_id"]]] = np.stack(rows["factors"])
    return projected


def rows_at(night: Night, items: Items, as_of: datetime) -> Iterator[pd.DataFrame]:
    """pool, model, user_id, as_of and recall@10 of everybody judged at one as_of."""
    until = as_of + SETS[str(night.config.root).rsplit("/", 1)[-1]].horizon
    before = counted(night.tables.read(EVENTS), night.config.events, as_of).persist()
    then = counted(night.tables.read(EVENTS), night.config.events, until)
    touched = before.where(F.col("item_id").isNotNull()).select("item_id").distinct()
    labels = labels_after(then, as_of, until).join(touched, on="item_id", how="left_anti")
    labels = labels.join(before.select("user_id").distinct(), on="user_id", how="left_semi")
    truth, arriving = labels.toPandas(), labels_after(then, as_of, until)
    had = had_by(before, labels, as_of)
    first = before.agg(F.min("event_ts").alias("first")).collect()[0]["first"]
    place = {item: row for row, item in enumerate(items.ids)}
    cold = ~marked(touched, place)
    pools = {"all": cold, "arriving": cold & marked(arriving, place)}
    projected = projected_at(night, items, before, as_of)
    before.unpersist()
    # What speaks of the items of a past, and what of those that are ranked.
    sides = {
        "content": (items.texts, items.texts),
        "projected": (projected, items.texts),
        "affinity": (items.categories, items.categories),
    }
    lives = half_lives_for(as_of - first.astimezone(UTC), night.config.recommend.half_lives).profile
    by_user = truth[truth["item_id"].isin(place)].groupby("user_id")["item_id"]
    wanted = {user: np.array(sorted(place[i] for i in own)) for user, own in by_user}
    pasts = dict(tuple(had[had["item_id"].isin(place)].groupby("user_id")))
    for model, (of_past, vectors) in sides.items():
        for name, life in ((model, lives[-2]), (f"{model}_flat", None)):
            means = [mean_of(of_past, pasts.get(user), place, life) for user in wanted]
            for pool, is_ranked in pools.items():
                known = vectors[is_ranked]
                row = np.cumsum(is_ranked) - 1
                yield pd.DataFrame(
                    {
                        "pool": pool,
                        "model": name,
                        "user_id": list(wanted),
                        "as_of": as_of,
                        METRIC: [
                            recall(known @ mean, row[own])
                            for mean, own in zip(means, wanted.values(), strict=True)
                        ],
                    }
                )


def marked(items: DataFrame, place: dict[str, int]) -> Booleans:
    """(m,) which items a frame holds."""
    found = np.zeros(len(place), dtype=bool)
    ids = items.select("item_id").distinct().toPandas()["item_id"]
    found[[place[item] for item in ids if item in place]] = True
    return found


def had_by(before: DataFrame, labels: DataFrame, as_of: datetime) -> pd.DataFrame:
    """user_id, item_id and age in days of what those to judge had."""
    users = labels.select("user_id").distinct()
    pairs = taken(pair_weights(before.join(users, on="user_id", how="left_semi"), as_of, {}))
    micros = F.unix_micros(F.lit(as_of)) - F.unix_micros("last_ts")
    found: pd.DataFrame = pairs.select(
        "user_id", "item_id", (micros / F.lit(86_400e6)).alias("age")
    ).toPandas()
    return found.sort_values(["user_id", "age", "item_id"])


def mean_of(
    vectors: Doubles, past: pd.DataFrame | None, place: dict[str, int], life: HalfLife
) -> Doubles:
    """The decayed mean of the vectors of the latest items that somebody had."""
    if past is None:
        return np.zeros(vectors.shape[1], dtype=np.float32)
    latest = past.head(_LATEST)
    age = latest["age"].to_numpy()
    spoken = np.ones(len(age)) if life is None else np.exp2(-(age - age.min()) / (life / _DAY))
    mean = (spoken / spoken.sum()) @ vectors[[place[i] for i in latest["item_id"]]]
    return mean.astype(np.float32)


def recall(scores: Doubles, wanted: Integers) -> float:
    """Expected recall at N, ties broken by chance; `wanted` are rows of what was ranked."""
    if len(scores) <= N:
        return 1.0
    rounded = significant_array(scores, _DIGITS)
    least = np.partition(rounded, len(rounded) - N)[len(rounded) - N]
    above, tied = rounded > least, rounded == least
    chance = above + tied * (N - above.sum()) / tied.sum()
    return float(chance[wanted].sum() / len(wanted))


if __name__ == "__main__":
    main()
