"""The demo world's log follows its written-down intensity, held against plain Python."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from ebb.config import World
from ebb.errors import ConfigError
from ebb.events.world_clock import DAY, NEVER, Clock
from ebb.events.world_items import catalogue
from ebb.events.world_lines import BROKEN, LATE, REPEATED, event_lines
from ebb.events.world_truth import user_truth
from ebb.events.world_users import SEGMENTS, people

WORLD = World(landing="unused", users=400, items=120, categories=6, days=40)
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
POINTS = {"view", "like", "purchase"}
TYPES = POINTS | {"search", "dislike", "return"}


def numbers(world: World) -> np.ndarray:
    return np.arange(world.users, dtype=np.int64)


def parsed(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def is_whole(row: dict[str, Any] | None) -> bool:
    return bool(
        row
        and row["user_id"]
        and row["event_type"] in TYPES
        and row["ts"][:4] not in ("1901", "2125")
        and (row["item_id"] or row["event_type"] == "search")
    )


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return event_lines(WORLD, numbers(WORLD)).line


@pytest.fixture(scope="module")
def rows(lines: list[str]) -> list[dict[str, Any]]:
    """Whole events, each once, in order of time."""
    whole = [row for row in map(parsed, dict.fromkeys(lines)) if is_whole(row)]
    return sorted(whole, key=lambda row: row["ts"])


def days_since_start(ts: str) -> float:
    return (datetime.fromisoformat(ts) - START).total_seconds() / 86_400


def kolmogorov_smirnov(rows: list[dict[str, Any]], stretch: float = 1.0) -> tuple[float, int]:
    """sqrt(n) * D of the rescaled waiting times against Exp(1), and n.

    By the time-rescaling theorem the integral of the intensity between points is Exp(1). The
    (user, category) sequences are laid end to end, so that the censored ends count too:
    together they are one Poisson process of rate 1. `stretch` multiplies the half-lives.
    """
    path = [c.path for c in catalogue(WORLD).categories]
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["event_type"] in POINTS:
            category = path[int(row["item_id"][1:]) % WORLD.categories]
            times[row["user_id"], category].append(days_since_start(row["ts"]))
    waits, waited = [], 0.0
    for user in user_truth(WORLD, numbers(WORLD)).to_pylist():
        half_life, mu = user["half_life_days"] * stretch, user["mu"]
        begin = (user["active_from"] - START).total_seconds() / 86_400
        for category, floor in user["floors"]:
            excited, last = 0.0, begin
            for t in [*times[user["user_id"], category], float(WORLD.days)]:
                left = 2 ** (-(t - last) / half_life)
                waited += floor * (t - last)
                waited += mu * excited * (1 - left) * half_life / math.log(2)
                if t < WORLD.days:
                    waits.append(waited)
                    waited = 0.0
                excited, last = excited * left + 1, t
    waits.sort()
    n = len(waits)
    expected = [1 - math.exp(-wait) for wait in waits]
    gaps = (max((i + 1) / n - p, p - i / n) for i, p in enumerate(expected))
    return math.sqrt(n) * max(gaps), n


def test_waiting_times_rescaled_by_the_written_down_intensity_are_exponential(
    rows: list[dict[str, Any]],
) -> None:
    distance, n = kolmogorov_smirnov(rows)
    assert n > 15_000
    assert distance < 1.36  # 5 % level


@pytest.mark.parametrize("stretch", [0.5, 2.0])
def test_another_half_life_would_be_found_out(rows: list[dict[str, Any]], stretch: float) -> None:
    assert kolmogorov_smirnov(rows, stretch)[0] > 3


def test_events_per_user_day_is_the_mean_rate(rows: list[dict[str, Any]]) -> None:
    points = sum(row["event_type"] in POINTS for row in rows)
    group = people(WORLD, numbers(WORLD))
    active = (Clock.of(WORLD).end - group.active)[group.mu > 0].sum() / DAY
    assert points / active == pytest.approx(WORLD.events_per_user_day, rel=0.2)


def test_every_user_stays_below_one_event_an_event_and_half_lives_spread() -> None:
    group = people(WORLD, numbers(WORLD))
    assert (group.mu * group.half_life / math.log(2) < 0.86).all()
    assert np.quantile(group.half_life, 0.02) < 0.8
    assert np.quantile(group.half_life, 0.98) > 20
    for index, (median, _) in enumerate(SEGMENTS.values()):
        found = np.median(group.half_life[group.segment == index])
        assert found == pytest.approx(median, rel=0.25)


def test_the_truth_holds_what_the_draws_used() -> None:
    group = people(WORLD, numbers(WORLD))
    truth = user_truth(WORLD, numbers(WORLD)).to_pylist()
    assert [user["half_life_days"] for user in truth] == group.half_life.tolist()
    assert [user["mu"] for user in truth] == group.mu.tolist()
    assert [[floor for _, floor in user["floors"]] for user in truth] == group.floors.tolist()


def test_users_without_events_are_those_whose_intensity_is_zero_or_small(
    rows: list[dict[str, Any]],
) -> None:
    seen = {row["user_id"] for row in rows}
    cold = [u for u in user_truth(WORLD, numbers(WORLD)).to_pylist() if u["mu"] == 0]
    assert 2 <= len(cold) <= 0.08 * WORLD.users
    assert not seen & {user["user_id"] for user in cold}
    assert len(seen) > 0.9 * WORLD.users


def test_every_event_falls_within_the_life_of_its_item(rows: list[dict[str, Any]]) -> None:
    known = catalogue(WORLD)
    about = [row for row in rows if row["item_id"]]
    items = np.array([int(row["item_id"][1:]) for row in about])
    times = np.array([row["ts"][:-1] for row in about], "datetime64[ms]").astype(np.int64)
    assert (known.born[items] <= times).all()
    assert (times < known.died[items]).all()
    inside = (known.born > Clock.of(WORLD).start).sum(), (known.died < NEVER).sum()
    assert min(inside) > 10  # there are births and deaths to be wrong about


def test_popular_items_draw_more_events(rows: list[dict[str, Any]]) -> None:
    counts = Counter(row["item_id"] for row in rows if row["item_id"])
    ordered = sorted(counts.values(), reverse=True)
    assert sum(ordered[:12]) > 0.3 * sum(ordered)


def test_some_users_come_back_to_items_and_others_seldom_do(rows: list[dict[str, Any]]) -> None:
    world = World(landing="unused", users=200, items=6_000, categories=6, days=40)
    had: dict[str, list[str]] = defaultdict(list)
    for row in map(parsed, dict.fromkeys(event_lines(world, numbers(world)).line)):
        if is_whole(row) and row["event_type"] in POINTS:
            had[row["user_id"]].append(row["item_id"])
    often = people(world, numbers(world)).repeats > 0.5
    shares = {True: [], False: []}
    for user, items in had.items():
        if len(items) > 20:
            shares[bool(often[int(user[1:])])].append(1 - len(set(items)) / len(items))
    assert np.mean(shares[True]) > 0.35
    assert np.mean(shares[False]) < 0.15


def test_types_come_in_their_shares_and_only_purchases_and_returns_have_a_value(
    rows: list[dict[str, Any]],
) -> None:
    counts = Counter(row["event_type"] for row in rows)
    assert set(counts) == TYPES
    points = sum(counts[name] for name in POINTS)
    assert counts["view"] / points == pytest.approx(0.80, abs=0.01)
    assert counts["like"] / points == pytest.approx(0.12, abs=0.01)
    assert counts["search"] / points == pytest.approx(0.08, abs=0.01)
    assert 0 < counts["dislike"] < 0.02 * points
    assert 0 < counts["return"] < 0.07 * counts["purchase"]
    assert {row["value"] for row in rows if row["event_type"] in ("purchase", "return")} == {
        1,
        2,
        3,
    }
    assert {row["value"] for row in rows if row["event_type"] not in ("purchase", "return")} == {
        None
    }


def test_a_return_follows_a_purchase_of_the_same_quantity(rows: list[dict[str, Any]]) -> None:
    bought = defaultdict(set)
    for row in rows:
        pair = row["user_id"], row["item_id"]
        if row["event_type"] == "purchase":
            bought[pair].add(row["value"])
        if row["event_type"] == "return":
            assert row["value"] in bought[pair]


def test_a_search_has_words_of_a_category_and_no_item(rows: list[dict[str, Any]]) -> None:
    phrases = {word.lower() for c in catalogue(WORLD).categories for word in c.words}
    words = {word for phrase in phrases for word in phrase.split()}
    found = [row for row in rows if row["event_type"] == "search"]
    assert all(row["item_id"] is None for row in found)
    assert all(set(row["query"].split()) <= words for row in found)
    assert all(row["query"] is None for row in rows if row["event_type"] != "search")


def test_late_repeated_and_broken_rows_come_in_their_shares(lines: list[str]) -> None:
    arrivals = event_lines(WORLD, numbers(WORLD))
    n = len(set(lines))
    assert (len(lines) - n) / n == pytest.approx(REPEATED, rel=0.25)
    whole = [is_whole(parsed(line)) for line in arrivals.line]
    assert whole.count(False) / n == pytest.approx(BROKEN, rel=0.4)
    assert whole.count(False) / len(whole) <= 0.003
    first: dict[str, int] = {}
    for line, arrived, good in zip(arrivals.line, arrivals.arrived.tolist(), whole, strict=True):
        if good:
            first[line] = min(arrived // DAY, first.get(line, NEVER))
    own = {line: int(np.datetime64(json.loads(line)["ts"][:10]).astype(int)) for line in first}
    delays = Counter(first[line] - own[line] for line in first)
    assert set(delays) == {0, 1, 2, 3, 4, 5}
    assert (n - delays[0]) / n == pytest.approx(LATE, rel=0.25)


def test_a_repeat_is_in_the_next_days_file_and_no_file_has_a_line_twice() -> None:
    arrivals = event_lines(WORLD, numbers(WORLD))
    days: dict[str, list[int]] = defaultdict(list)
    for line, arrived in zip(arrivals.line, arrivals.arrived.tolist(), strict=True):
        days[line].append(arrived // DAY)
    assert all(len(set(found)) == len(found) for found in days.values())
    twice = [sorted(found) for found in days.values() if len(found) > 1]
    assert twice
    assert all(later - earlier == 1 for earlier, later in twice)
    assert max(max(found) for found in days.values()) == Clock.of(WORLD).last_day


def test_every_kind_of_damage_occurs_beside_the_whole_event() -> None:
    world = World(landing="unused", users=1_000, items=120, categories=6, days=40)
    lines = event_lines(world, numbers(world)).line
    broken = [
        (line, row) for line, row in ((line, parsed(line)) for line in lines) if not is_whole(row)
    ]
    kinds = Counter(
        "cut" if row is None
        else "user" if row["user_id"] is None
        else row["ts"][:4] if row["ts"][:4] in ("1901", "2125")
        else "type" if row["event_type"] not in TYPES
        else "item"
        for _, row in broken
    )  # fmt: skip
    assert set(kinds) == {"cut", "user", "1901", "2125", "type", "item"}
    whole = set(lines)
    for line, row in broken:
        if row is None:
            assert any(other.startswith(line) for other in whole if len(other) > len(line))


def test_a_user_leaves_the_same_lines_in_any_company() -> None:
    together = event_lines(WORLD, numbers(WORLD))
    apart: list[str] = []
    for some in np.array_split(np.random.default_rng(1).permutation(numbers(WORLD)), 7):
        apart.extend(event_lines(WORLD, some).line)
    assert sorted(apart) == sorted(together.line)


def test_another_seed_is_another_world() -> None:
    other = WORLD.model_copy(update={"seed": WORLD.seed + 1})
    assert not set(event_lines(other, numbers(other)).line) & set(
        event_lines(WORLD, numbers(WORLD)).line
    )


def test_more_users_leave_the_first_ones_as_they_were() -> None:
    more = WORLD.model_copy(update={"users": 2 * WORLD.users})
    assert event_lines(more, numbers(WORLD)).line == event_lines(WORLD, numbers(WORLD)).line


def test_fewer_items_than_categories_are_refused() -> None:
    world = World(landing="unused", items=10, categories=11)
    with pytest.raises(ConfigError, match=r"world\.items is 10.*world\.categories \(11\)"):
        catalogue(world)
