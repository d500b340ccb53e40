"""Thompson sampling: what is drawn, how often, and whether other policies can be judged by it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from ebb.evaluate.off_policy import value_of
from ebb.recommend.explore import draw, probabilities_of
from ebb.recommend.settings import Explore
from ebb.recommend.slates import Ranking, make_slates
from ebb.recommend.thompson import SAMPLES, _samples, shares_of_best
from recommend.slate_oracle import AS_OF, DAY, Item, SmallWorld
from small import TYPES_SHOWN, Shop

CHANCES = np.array([0.4, 0.2, 0.1, 0.05])
# Decayed times shown and taken, and shown and left.
TRIED = [(1.0, 9.0), (3.5, 20.0), (0.0, 0.0), (2.0, 60.0)]
THOMPSON = Explore(method="thompson", epsilon=0.1, places=2)


def samples(seed: int = 0) -> np.ndarray:
    return np.stack([_samples(seed, 7, f"i{k}", *of) for k, of in enumerate(TRIED)])


def test_an_item_is_the_best_as_often_as_its_beta_says() -> None:
    """X of Beta(2, 1) is above Y of Beta(1, 1) with probability E X = 2/3."""
    found = [
        shares_of_best(
            np.stack([_samples(seed, 7, "x", 1.0, 0.0), _samples(seed, 7, "y", 0.0, 0.0)])
        )
        for seed in range(20)
    ]
    assert np.mean(found, axis=0) == pytest.approx([2 / 3, 1 / 3], abs=4 * (2 / 9 / 20_000) ** 0.5)
    equal = np.zeros((3, SAMPLES), dtype=np.float32)
    assert shares_of_best(equal).tolist() == [1.0, 0.0, 0.0]


def test_samples_hang_on_the_item_the_night_and_the_seed_alone() -> None:
    assert (samples() == samples()).all()
    base = (0, 7, "i0", 1.0, 9.0)
    for other in ((1, 7, "i0", 1.0, 9.0), (0, 8, "i0", 1.0, 9.0), (0, 7, "i1", 1.0, 9.0)):
        assert not (_samples(*base) == _samples(*other)).any()


def test_every_item_keeps_a_floor_and_what_is_unknown_is_tried_most() -> None:
    parts = probabilities_of(CHANCES, THOMPSON, samples())
    assert parts.sum() == pytest.approx(1.0) and parts.min() >= 0.1 / 4
    assert parts.argmax() == 2 and parts[3] < 0.05
    with pytest.raises(ValueError, match="needs samples"):
        probabilities_of(CHANCES, THOMPSON)


def test_items_are_drawn_as_often_as_their_propensity_says_at_each_place() -> None:
    known, users = samples(), 2_500
    drawn = [draw(CHANCES, f"u{user}", 7, THOMPSON, known) for user in range(users)]
    assert drawn[:9] == [draw(CHANCES, f"u{user}", 7, THOMPSON, known) for user in range(9)]
    first = probabilities_of(CHANCES, THOMPSON, known)
    counts = Counter((one.row, other.row) for one, other in drawn)
    for row in range(4):
        left = np.delete(np.arange(4), row)
        second = probabilities_of(CHANCES[left], THOMPSON, known[left])
        for place, other in enumerate(left.tolist()):
            chance = first[row] * second[place]
            noise = 4 * (chance * (1 - chance) / users) ** 0.5
            assert counts[row, other] / users == pytest.approx(chance, abs=noise)
    for one, other in drawn:
        assert one.propensity == first[one.row] and (one.pool, one.pool_rank) == (4, one.row + 1)
        assert other.pool == 3 and 1 <= other.pool_rank <= 3


@pytest.mark.parametrize("policy", ["best", "uniform"])
def test_other_policies_are_judged_without_bias(policy: str) -> None:
    """Logs of many nights, each with samples of its own, against the known truth."""
    taken, one_place = np.array([0.1, 0.3, 0.2, 0.05]), THOMPSON.model_copy(update={"places": 1})
    truth = taken[0] if policy == "best" else taken.mean()
    dice, errors, inside = np.random.default_rng(3), [], 0
    for night in range(40):
        settings = one_place.model_copy(update={"seed": night})
        known = samples(night)
        drawn = [draw(CHANCES, f"u{user}", 7, settings, known)[0] for user in range(300)]
        rewards = dice.random(300) < taken[[one.row for one in drawn]]
        target = [float(one.pool_rank == 1) if policy == "best" else 1 / one.pool for one in drawn]
        logged = [one.propensity for one in drawn]
        found = value_of(rewards, logged, target, np.arange(300), draws=200)
        errors.append(found.ips.value - truth)
        inside += found.ips.low <= truth <= found.ips.high
    noise = np.std(errors) / len(errors) ** 0.5
    assert abs(np.mean(errors)) < 3.5 * noise
    assert inside >= 32


def test_slates_try_what_is_unknown_rather_than_what_was_shown_and_left(
    spark: SparkSession,
) -> None:
    people = [f"u{k:02}" for k in range(40)]
    shelf = {item: Item(item) for item in "afg"}
    taken = [("u00", item, age, 1.0) for item, age in (("a", 40.0), ("a", 30.0), ("f", 1.0))]
    world = SmallWorld(people, shelf, [*taken, ("u00", "g", 1.0, 0.5)])
    left = [(user, "f", AS_OF - DAY / 2) for user in people * 5]
    shown = spark.createDataFrame(left, "user_id string, item_id string, event_ts timestamp")
    settings = Explore(method="thompson", epsilon=0.2, within=4 * DAY)
    users = spark.createDataFrame([(user,) for user in people], "user_id string")
    prepared = world.prepared(spark, True, n=2, shown=shown)
    ranking = Ranking({"popularity_flat": 1.0}, explore=settings)
    rows = make_slates(prepared, world.event_frame(spark), users, ranking, "v").collect()
    drawn = [r for r in rows if r["rank"] == 2]
    # f is scored best, and was left 200 times; g was never shown.
    chances = {(r["item_id"], r["pool_rank"], r["pool"]): r["propensity"] for r in drawn}
    assert chances.keys() <= {("g", 2, 2), ("f", 1, 2)}
    assert chances["g", 2, 2] == pytest.approx(0.9, abs=0.01)
    assert sum(r["item_id"] == "g" for r in drawn) > 28


def test_thompson_needs_impressions_and_a_floor(shop: Shop) -> None:
    explore = {"method": "thompson"}
    assert shop.config(TYPES_SHOWN, recommend={"explore": explore}).recommend.explorations
    with pytest.raises(ValidationError, match="declare an event type with effect: shown"):
        shop.config(recommend={"explore": explore})
    arms = {"control": {}, "treatment": {"explore": explore}}
    with pytest.raises(ValidationError, match="declare an event type with effect: shown"):
        shop.config(recommend={"experiment": {"name": "x", "arms": arms}})
    with pytest.raises(ValidationError, match="needs epsilon above 0"):
        Explore(method="thompson", epsilon=0)


@pytest.fixture
def shop(tables, tmp_path) -> Shop:
    return Shop(tables, tmp_path / "landing")
