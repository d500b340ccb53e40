"""Studies made by hand, without Spark, and what the tables might know around them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from ebb.boxes.study import AUTO, JudgedNight, Study
from ebb.evaluate.report.content import (
    Drift,
    Example,
    Examples,
    Shown,
    Surroundings,
    Taken,
)
from ebb.evaluate.splits import Split
from ebb.recommend.choose import Choice, Tried
from ebb.recommend.features import Columns
from ebb.recommend.half_lives import half_lives_for
from ebb.recommend.settings import HalfLifeSettings

AS_OF = datetime(2026, 2, 25, tzinfo=UTC)
WEEK = timedelta(days=7)
MODELS = ("neighbours", "ease", "als")
BY_USER = (
    "ndcg", "recall", "precision", "map", "mrr", "hit_rate", "novelty", "category_diversity",
    "audience_diversity", "serendipity", "calibration",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script> \"quoted\" & $x_1$ \N{CLINKING BEER MUGS}"
LONG = "very long " * 40


def study_of(nights: int = 3, users: int = 40, category: str = "jazz", n: int = 10) -> Study:
    """Every strategy of a small world on some nights; `auto` is the blend, and the best."""
    judged = [_judged(AS_OF - WEEK * (1 + place), users, category, n) for place in range(nights)]
    return Study(judged, n)


def _judged(as_of: datetime, users: int, category: str, n: int) -> JudgedNight:
    draw = np.random.default_rng(as_of.day)
    span = as_of - datetime(2026, 1, 1, tzinfo=UTC)
    lives = half_lives_for(span, HalfLifeSettings())
    columns = Columns(lives, ("category", "tag"), MODELS, repeat=True)
    choice = _choice(columns, draw)
    luck = draw.random(users)
    parts = []
    for place, tried in enumerate(choice.tried):
        skill = 0.7 - 0.04 * place
        for model in (AUTO, "blend") if place == 0 else (tried.strategy,):
            figures = {
                f"{name}@{k}": np.clip(skill * luck + draw.normal(0, 0.05, users), 0, 1)
                for name in BY_USER
                for k in (n, 5)
            }
            ids = [f"u{user:03}" for user in range(users)]
            parts.append(pd.DataFrame({"model": model, "user_id": ids, **figures}))
    by_user = pd.concat(parts, ignore_index=True)
    window = Split(as_of, as_of + WEEK)
    metrics = _metrics(by_user, category, n, draw)
    return JudgedNight(window, choice, columns, "", metrics, by_user, f"{users}-{as_of:%d}abcdef")


def _choice(columns: Columns, draw: np.random.Generator) -> Choice:
    families: dict[str, str] = {}
    for feature in columns.features:
        if feature.family:
            families.setdefault(feature.family, feature.name)
    drawn = draw.normal(0.2, 0.4, len(columns.names)).tolist()
    weights = dict(zip(columns.names, drawn, strict=True))
    tried = [Tried("blend", weights, 0.5, 80)]
    tried += [
        Tried(family, {name: 1.0}, 0.4 - 0.02 * place, 80)
        for place, (family, name) in enumerate(families.items())
    ]
    return Choice(tried[0], tuple(tried))


def _metrics(users: pd.DataFrame, category: str, n: int, draw: np.random.Generator) -> pd.DataFrame:
    names = [name for name in users.columns if "@" in name]
    ids = users["user_id"]
    slices = {
        "all": ids.notna(),
        "activity: few": ids < "u010",
        "activity: some": (ids >= "u010") & (ids < "u025"),
        "activity: many": ids >= "u025",
        f"category: {category}": ids < "u030",
        "category: (others)": ids >= "u030",
    }
    rows = []
    for name, own in slices.items():
        means = users[own].groupby("model")[names].mean()
        counts = users[own].groupby("model").size()
        for model, values in means.iterrows():
            rows += [(model, m, name, v, counts[model]) for m, v in values.items()]
    for model in users["model"].unique():
        rows += [
            (model, f"{metric}@{k}", "all", float(draw.random()), len(users))
            for metric in ("coverage", "gini")
            for k in (n, 5)
        ]
    return pd.DataFrame(rows, columns=["model", "metric", "slice", "value", "users"])


def around(
    title: str = "Blue Train", user_id: str = "u000", root: str = "warehouse"
) -> Surroundings:
    """What the tables of a whole night know."""
    bins = pd.DataFrame(
        [(facet, place, 30 - place) for facet in ("category", "item") for place in range(20)],
        columns=["facet", "bin", "users"],
    )
    summary = pd.DataFrame(
        [("category", 410, 0.31, 0.75), ("item", 410, 0.42, 0.91)],
        columns=["facet", "users", "median", "p90"],
    )
    slate = [Shown(title, "history", [f"You took {title} 4 times.", "Popular now."])] * 3
    took = [Taken(title, "view", AS_OF - timedelta(hours=5))]
    people = [
        Example("few events", user_id, 3, took, slate),
        Example("a usual number of events", "u001", 80, took, slate),
        Example("many events", "u002", 1_400, took, slate),
    ]
    return Surroundings(
        root, AS_OF, "0123456789abcdef", Drift(AS_OF, bins, summary), Examples(AS_OF, people)
    )
