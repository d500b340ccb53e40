"""Every measure on random streams against the oracle, and by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

import interests.interest_oracle as oracle
from ebb.interests.measures import Interests
from interests.streams import (
    ALWAYS,
    AS_OF,
    MICROSECOND,
    assert_agree,
    computed,
    days_ago,
    event,
    fit,
    random_events,
    utc,
    version,
)

CURVES: dict[str, dict[str, Any]] = {
    "exponential": {"half_life": "7d"},
    "own": {"half_life": "11d"},
    "ewma_time": {"rate": 0.1},
    "mixture": {
        "parts": [{"half_life": "1d", "weight": 3}, {"half_life": "90d", "weight": 0.5}],
    },
    "linear": {"horizon": "30d"},
    "window": {"length": "14d"},
    "power": {"half_life": "3d", "exponent": 1.5},
    "sigmoid": {"midpoint": "10d", "steepness": 0.8},
    "ewma_events": {"rate": 0.2},
}
DAYS = ("active_days", "last")
AGGREGATES = ("sum", "count", "average", *DAYS)
FACETS = ("item", "category", "tag", "brand")
VERSIONS = [
    version("a", "x", tag=["old", "new"], brand=["acme"], until=AS_OF),
    version("a", "late", since=AS_OF + MICROSECOND),
    version("b", "early", until=days_ago(9)),
    version("b", "x", "x > y", tag=["new"], brand=["acme"], since=days_ago(9) + MICROSECOND),
    version("c", "z", "z", tag=[]),
    version("d"),
    version("e", "future", since=AS_OF, tag=["future"]),
]


def measure(curve: str, aggregate: str = "sum", **more: Any) -> dict[str, Any]:
    plain = {"name": f"{curve}_{aggregate}", "curve": curve, "aggregate": aggregate}
    return {**plain, **CURVES[curve], **more}


def settings(*measures: dict[str, Any], **more: Any) -> Interests:
    """Of these measures, ranked by the first."""
    return Interests.model_validate(
        {"measures": measures, "rank_by": measures[0]["name"], **more},
    )


EVERY = [
    measure(curve, aggregate)
    for curve in CURVES
    for aggregate in AGGREGATES
    if not (curve in ("ewma_events", "own") and aggregate in DAYS)
]
CHOSEN = [
    measure("exponential", name="bought", event_types=["buy"]),
    measure("exponential", "average", name="mean_bought", event_types=["buy", "view"]),
    measure("window", "active_days", name="days_viewed", event_types=["view"]),
    measure("linear", "last", name="last_bought", event_types=["buy"]),
    measure("linear", "count", name="of_items", facets=["item"]),
    measure("ewma_events", name="buys_by_event", event_types=["buy"]),
    measure("own", name="own_views", event_types=["view"], facets=["brand", "item"]),
]
RATIOS = [
    {"name": "pace", "of": "window_count", "to": "exponential_count"},
    {"name": "bought_to_all", "of": "bought", "to": "exponential_sum"},
    {"name": "items_only", "of": "exponential_sum", "to": "of_items"},
]
# As steep and as flat as can be: the most that ages of fifty years can do to them.
EXTREME = [
    measure("exponential", name="minute", half_life="1min"),
    measure("exponential", "average", name="minute_average", half_life="1min"),
    measure("exponential", "active_days", name="minute_days", half_life="1min"),
    measure("ewma_time", name="second", rate=0.999, step="1s"),
    measure(
        "mixture",
        name="minute_and_age",
        parts=[{"half_life": "1min", "weight": 1e-6}, {"half_life": "50y", "weight": 1e6}],
    ),
    measure("linear", name="brief", horizon="1min"),
    measure("window", "average", name="brief_average", length="1min"),
    measure("power", name="steep", half_life="1min", exponent=100),
    measure("power", "average", name="flat", half_life="50y", exponent=0.02),
    measure("sigmoid", name="cliff", midpoint="1min", steepness=1e6),
    measure("sigmoid", "average", name="slope", midpoint="50y", steepness=1e-6),
    measure("ewma_events", "count", name="forgetful", rate=0.999),
    measure("ewma_events", "average", name="faithful", rate=1e-6),
]


# Of some users, of others in the facets of most, and of the brand of none.
FITS = [
    fit(AS_OF, {"item": 3.0, "category": 40.0, "tag": 0.2},
        {(f"s{seed}_{n}", facet): 0.5 + 9.0 * seed * n for seed in range(3) for n in range(3)
         for facet in ("item", "category")}),
    fit(AS_OF + MICROSECOND, {"item": 500.0}, {("s0_0", "item"): 600.0}),
]  # fmt: skip


def streams(seeds: range) -> list[oracle.Event]:
    """A random stream a seed, each of its own users."""
    return [e for seed in seeds for e in random_events(seed, users=f"s{seed}_")]


@pytest.mark.parametrize(
    "chosen",
    [
        settings(
            *(measure("exponential"), *EVERY[1:], *CHOSEN),
            ratios=RATIOS,
            drift={"long": "power_sum", "short": "window_sum"},
        ),
        settings(*EXTREME, share="softmax", temperature=0.05),
        settings(
            *(measure("ewma_events", "average"), measure("linear", "active_days"), CHOSEN[4]),
            drift={"long": "linear_active_days", "short": "of_items", "threshold": 0.3},
        ),
    ],
    ids=["every measure", "extreme measures", "other ranks"],
)
def test_random_streams_agree_with_the_oracle(spark: SparkSession, chosen: Interests) -> None:
    events = streams(range(5))
    expected = oracle.interests(events, VERSIONS, FACETS, chosen, AS_OF, FITS)
    found = computed(spark, events, chosen, VERSIONS, FACETS, fits=FITS)
    assert_agree(found, expected, chosen)
    numbers = [row[name] for row in found.values() for name in (*chosen.columns, "share", "drift")]
    assert all(math.isfinite(x) for x in numbers if isinstance(x, float))
    # The streams are no lottery: each facet, trend and column has something to be wrong about.
    assert {facet for _, facet, _ in found} == set(FACETS)
    for name in chosen.columns:
        assert len({row[name] for row in found.values()}) > 2, name


def test_neither_the_order_of_events_nor_what_comes_later_changes_anything(
    spark: SparkSession,
) -> None:
    kinds = [measure("power", aggregate) for aggregate in AGGREGATES]
    drift = {"long": "exponential_sum", "short": "window_sum"}
    chosen = settings(*(measure(curve) for curve in CURVES), *kinds[1:], drift=drift)
    known = [e for e in streams(range(3)) if e["ts"] < AS_OF]
    later = [
        event(e["user"], item, kind, AS_OF + wait, 5)
        for e in known[::10]
        for item, kind in (("a", "buy"), ("a", "return"), ("new", "dislike"), (None, "search"))
        for wait in (timedelta(0), MICROSECOND, timedelta(days=400))
    ]

    def of(name: str, events: list[oracle.Event]) -> list[oracle.Event]:
        return [{**e, "user": f"{name}/{e['user']}"} for e in events]

    backwards = of("as known", known) + of("other", [*later, *known[::-1]])
    found = computed(spark, backwards, chosen, VERSIONS, FACETS)
    other = {place: row for place, row in found.items() if place[0].startswith("other/")}
    assert len(other) * 2 == len(found)
    # What the oracle says of the known events alone, in their order.
    expected = oracle.interests(of("other", known), VERSIONS, FACETS, chosen, AS_OF)
    assert_agree(other, expected, chosen)


def test_each_aggregate_is_in_its_own_units(spark: SparkSession) -> None:
    chosen = settings(*(measure("exponential", aggregate) for aggregate in AGGREGATES))
    events = [
        event("u", "a", "buy", days_ago(7), math.e**3 - 1),  # a = 2, v = 3, g = 1/2
        event("u", "a", "view", days_ago(14)),  # a = 1, v = 1, g = 1/4
        event("u", "a", "view", days_ago(14) + timedelta(hours=1)),
        event("u", "b", "buy", days_ago(400), 6.5),
        event("u", "b", "buy", days_ago(300), 6.5),
    ]
    found = computed(spark, events, chosen)
    a, b = found["u", "item", "a"], found["u", "item", "b"]
    hour = 2.0 ** (1 / 24 / 7)
    assert a["exponential_sum"] == pytest.approx(2 * 3 / 2 + 1 / 4 + hour / 4)
    assert a["exponential_count"] == pytest.approx(1 / 2 + 1 / 4 + hour / 4)
    assert a["exponential_average"] == pytest.approx(
        a["exponential_sum"] / (2 / 2 + 1 / 4 + hour / 4)
    )
    # Two days: a week ago, and a fortnight ago as of its later event.
    assert a["exponential_active_days"] == pytest.approx(1 / 2 + hour / 4)
    assert utc(a["exponential_last"]) == days_ago(7)
    # An average of equal values never fades.
    assert b["exponential_average"] == pytest.approx(math.log1p(6.5), rel=1e-12)


def test_repeating_every_event_doubles_sums_and_counts_alone(spark: SparkSession) -> None:
    chosen = settings(
        *(
            measure(curve, aggregate)
            for curve in ("exponential", "linear", "power")
            for aggregate in AGGREGATES
        )
    )
    once = [e for e in random_events(99, users="once") if e["kind"] != "return"]
    twice = [
        {**e, "user": e["user"].replace("once", "twice"), "event_id": f"{e['event_id']}/{copy}"}
        for e in once
        for copy in "12"
    ]
    found = computed(spark, once + twice, chosen)
    for (user, facet, key), row in found.items():
        if not user.startswith("once"):
            continue
        double = found[user.replace("once", "twice"), facet, key]
        assert (double["n"], double["rank"]) == (2 * row["n"], row["rank"])
        for name in chosen.columns:
            if name.endswith(("_sum", "_count")):
                assert double[name] == pytest.approx(2 * row[name], rel=1e-9)
            elif name.endswith("_last") or row[name] is None:
                assert double[name] == row[name]
            else:
                assert double[name] == pytest.approx(row[name], rel=1e-9)


def test_active_days_count_a_day_in_utc_once_at_its_latest_event(spark: SparkSession) -> None:
    chosen = settings(measure("linear", "active_days"))
    minute = timedelta(minutes=1)
    events = [
        event("u", "a", "view", days_ago(3) - minute),  # 23:59
        event("u", "a", "view", days_ago(3)),  # 00:00 of the next day
        event("u", "a", "view", days_ago(2) - minute),  # 23:59 of that day
        event("u", "a", "view", days_ago(40)),
    ]
    found = computed(spark, events, chosen)["u", "item", "a"]["linear_active_days"]
    ages = 3 + 1 / 1440, 2 + 1 / 1440
    assert found == pytest.approx(sum(1 - age / 30 for age in ages), rel=1e-12)


def test_the_last_event_is_forgotten_once_its_curve_is_zero(spark: SparkSession) -> None:
    chosen = settings(
        *(measure("exponential"), measure("exponential", "last", half_life="1min")),
        *(measure("window", "last"), measure("linear", "last")),
    )
    ages = {
        "window edge": timedelta(days=14),
        "beyond window": timedelta(days=14) + MICROSECOND,
        "before horizon": timedelta(days=30) - MICROSECOND,
        "at horizon": timedelta(days=30),
    }
    events = [event(user, "a", "view", AS_OF - age) for user, age in ages.items()]
    found = {place[0]: row for place, row in computed(spark, events, chosen).items()}
    lasts = {user: (row["window_last"], row["linear_last"]) for user, row in found.items()}
    given = {user: [last is not None for last in both] for user, both in lasts.items()}
    assert given == {
        "window edge": [True, True],
        "beyond window": [False, True],
        "before horizon": [False, True],
        "at horizon": [False, False],
    }
    # An exponential is never 0, even where no float can say so any more.
    assert all(utc(row["exponential_last"]) == AS_OF - ages[u] for u, row in found.items())


def test_an_ewma_over_events_is_the_papers_recurrence_in_the_order_of_time_then_id(
    spark: SparkSession,
) -> None:
    kinds = ["view", "buy", "search", "view", "dislike", "view"]
    items = ["a", "b", None, "b", "a", "a"]
    moments = [9, 8, 8, 8, 2, 1]
    events = [
        {**event("u", item, kind, days_ago(days)), "event_id": str(number)}
        for number, (kind, item, days) in enumerate(zip(kinds, items, moments, strict=True))
    ]
    # Neither a purchase that was given back, nor the giving back, is a step.
    events.append(event("u", "c", "buy", days_ago(4), 2))
    events.append(event("u", "c", "return", days_ago(3), 2))
    x = {"a": 0.0, "b": 0.0}
    for e in events[:6]:
        for key in x:
            x[key] = 0.8 * x[key] + 0.2 * (oracle.weight(e["kind"], None) * (e["item"] == key))
    found = computed(spark, events[::-1], settings(measure("ewma_events")))
    assert {key: row["ewma_events_sum"] for (_, _, key), row in found.items()} == pytest.approx(x)


_PLACES = (("item", "a"), ("item", "b"), ("category", "x"))


def test_a_measure_of_some_types_or_facets_ignores_the_others(spark: SparkSession) -> None:
    chosen = settings(measure("window"), *CHOSEN[:1], *CHOSEN[2:5])
    events = [
        event("u", "a", "view", days_ago(7)),
        event("u", "a", "buy", days_ago(14)),
        event("u", "b", "view", days_ago(15)),
    ]
    versions = [version("a", "x"), version("b", "x")]
    found = computed(spark, events, chosen, versions, ("item", "category"))
    a, b, x = (found["u", facet, key] for facet, key in _PLACES)
    assert [row["bought"] for row in (a, b, x)] == [0.5, 0.0, 0.5]
    assert [row["days_viewed"] for row in (a, b, x)] == [1.0, 0.0, 1.0]
    assert [row["last_bought"] and utc(row["last_bought"]) for row in (a, b, x)] == [
        *(days_ago(14), None, days_ago(14)),
    ]
    assert x["of_items"] is None
    assert b["of_items"] == pytest.approx(0.5)


def test_a_ratio_is_empty_over_nothing(spark: SparkSession) -> None:
    ratio = {"name": "rising", "of": "window_sum", "to": "linear_sum"}
    chosen = settings(measure("window"), measure("linear"), ratios=[ratio])
    events = [event("u", "a", "view", days_ago(10)), event("u", "b", "view", days_ago(50))]
    found = computed(spark, events, chosen)
    assert found["u", "item", "a"]["rising"] == pytest.approx(1 / (2 / 3))
    assert found["u", "item", "b"]["rising"] is None


def test_next_to_nothing_is_nothing(spark: SparkSession) -> None:
    aggregates = ("sum", "count", "active_days", "average")
    chosen = settings(*(measure("exponential", name, half_life="1d") for name in aggregates))
    # 2^-929 is 2.2e-280 and 2^-932 is 2.8e-281.
    events = [event(str(age), "a", "view", days_ago(age)) for age in (929, 932, 5000)]
    found = {
        place[0]: [row[name] for name in chosen.columns]
        for place, row in computed(spark, events, chosen).items()
    }
    assert found.pop("929") == pytest.approx([2.0**-929] * 3 + [1.0], rel=1e-9, abs=0)
    assert found == {"932": [0.0, 0.0, 0.0, None], "5000": [0.0, 0.0, 0.0, None]}


def test_drift_is_the_short_share_minus_the_long_one(spark: SparkSession) -> None:
    measures = [measure("power", half_life="1y"), measure("window")]
    drift = {"long": "power_sum", "short": "window_sum"}
    events = [
        *(event("u", "old", "view", days_ago(100 + hour / 24)) for hour in range(3)),
        *(event("u", "new", "view", days_ago(1 + hour / 24)) for hour in range(2)),
        *(event("u", item, "view", days_ago(13)) for item in ("new", "old")),
        event("loyal", "old", "view", days_ago(1)),
        event("asleep", "old", "view", days_ago(100)),
        event("cross", "old", "dislike", days_ago(1)),
    ]
    row = computed(spark, events, settings(*measures, drift=drift))
    new, old = row["u", "item", "new"], row["u", "item", "old"]
    total = new["power_sum"] + old["power_sum"]
    assert new["drift"] == pytest.approx(3 / 4 - new["power_sum"] / total)
    assert old["drift"] == pytest.approx(-new["drift"])
    assert (new["trend"], old["trend"]) == ("rising", "fading")
    loyal = row["loyal", "item", "old"]
    assert (loyal["drift"], loyal["trend"]) == (0.0, "steady")
    for nobody in ("asleep", "cross"):
        lost = row[nobody, "item", "old"]
        assert (lost["drift"], lost["trend"]) == (None, None)


def test_sharp_softmax_shares_of_many_equal_keys_are_equal(spark: SparkSession) -> None:
    events = [event("u", key, "view", days_ago(1)) for key in "abcdefgh"]
    chosen = settings(measure("window"), share="softmax", temperature=0.001)
    assert [row["share"] for row in computed(spark, events, chosen).values()] == [0.125] * 8


def test_the_item_version_that_holds_just_before_as_of_gives_the_keys(spark: SparkSession) -> None:
    versions = [
        version("ends then", "kept", until=AS_OF),
        version("ended", "lost", until=AS_OF - MICROSECOND),
        version("begins then", "lost", since=AS_OF),
        version("begun", "kept", since=AS_OF - MICROSECOND),
        version("replaced", "before", since=ALWAYS, until=days_ago(5)),
        version("replaced", "after", since=days_ago(5)),
    ]
    names = {v["item"] for v in versions}
    # Even events before a version began count by it: it says what the item is taken for now.
    events = [event("u", name, "view", days_ago(9)) for name in sorted(names)]
    found = computed(spark, events, settings(measure("window")), versions, ("item", "category"))
    counts = {key: row["n"] for (_, facet, key), row in found.items() if facet == "category"}
    assert counts == {"kept": 2, "after": 1}
    assert {key for _, facet, key in found if facet == "item"} == names
