from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ebb.recommend.blend import fit_blend
from ebb.recommend.choose import choose, ndcg
from ebb.recommend.features import BESIDE, Feature
from ebb.recommend.views import View

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "b", "constant")


def view(users: list[tuple[np.ndarray, list[int]]], names=NAMES, days: int = 0) -> View:
    """Users as (features of their candidates, which of these they took), so many days on."""
    lengths = [len(features) for features, _ in users]
    is_label = np.concatenate([np.isin(np.arange(len(f)), taken) for f, taken in users])
    as_of = AS_OF + timedelta(days=days)
    return View(
        as_of,
        as_of,
        names,
        tuple(feature.name for feature in BESIDE),
        users=[f"u{k}" for k in range(len(users))],
        starts=np.concatenate(([0], np.cumsum(lengths))),
        places=np.concatenate([np.arange(n) for n in lengths]).astype(np.int32),
        features=np.concatenate([f for f, _ in users]).astype(np.float32),
        beside=np.zeros((sum(lengths), len(BESIDE)), dtype=np.float32),
        is_label=is_label,
        is_shown=np.zeros(len(is_label), dtype=bool),
        labels=np.array([max(1, len(taken)) for _, taken in users]),
        ids=pa.array([f"i{k}" for k in range(max(lengths))]),
    )


def simulated(seed: int, weights: np.ndarray, users: int = 400, most: int = 3) -> View:
    """Users who take what the conditional logit says, without taking a thing twice."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(users):
        features = np.column_stack([draw.normal(size=(20, 2)) * (1.0, 3.0), np.ones(20)])
        chance = np.exp(features @ weights)
        times = int(draw.integers(1, most + 1))
        made.append((features, list(draw.choice(20, times, False, chance / chance.sum()))))
    return view(made)


def test_weights_that_people_choose_by_are_found_again() -> None:
    true = np.array([1.5, -0.5, 0.0])
    blend = fit_blend([simulated(1, true, 600, 1), simulated(2, true, 600, 1)], penalty=0.1)
    assert blend is not None and blend.users == 1200
    found = [blend.weights[name] for name in NAMES]
    assert found == pytest.approx(true, abs=0.12)
    assert blend.weights["constant"] == 0.0


def test_no_step_away_from_the_fitted_weights_is_likelier() -> None:
    one = simulated(3, np.array([0.7, 0.2, 0.0]))

    def penalised(weights: np.ndarray) -> float:
        """The objective as it is written down, a user at a time."""
        features = one.features.astype(float)
        deviations = np.where(features.std(axis=0) < 1e-6, 1.0, features.std(axis=0))
        total = -0.5 * 4.0 * float(((weights * deviations) ** 2)[:2].sum())
        for low, high in zip(one.starts[:-1], one.starts[1:], strict=True):
            scores = features[low:high] @ weights
            log_chance = scores - np.log(np.exp(scores).sum())
            total += log_chance[one.is_label[low:high]].mean()
        return total

    blend = fit_blend([one], penalty=4.0)
    assert blend is not None
    best = np.array([blend.weights[name] for name in NAMES])
    for change in ([1e-2, 0, 0], [-1e-2, 0, 0], [0, 1e-2, 0], [0, -1e-2, 0]):
        assert penalised(best + np.array(change)) < penalised(best)


def test_users_weigh_the_same_however_much_they_took_and_the_order_of_views_does_not_matter() -> (
    None
):
    few, many = (
        simulated(4, np.array([1.0, 0.0, 0.0]), 200, 1),
        simulated(5, np.array([0.0, 1.0, 0.0]), 200, 8),
    )
    one, other = fit_blend([few, many], 1.0), fit_blend([many, few], 1.0)
    assert one is not None and other is not None
    assert one.weights == pytest.approx(other.weights, rel=1e-3)
    doubled = fit_blend([few, few], 2.0)
    alone = fit_blend([few], 1.0)
    assert doubled is not None and alone is not None
    assert doubled.weights == pytest.approx(alone.weights, rel=1e-3)


def test_where_no_candidate_was_taken_there_is_no_blend() -> None:
    nothing = view([(np.ones((3, 3)), [])])
    assert fit_blend([nothing], 1.0) is None
    assert fit_blend([], 1.0) is None


def test_ndcg_by_hand_counts_labels_out_of_reach_and_breaks_ties_by_place() -> None:
    features = np.array([[1.0, 0, 0], [3.0, 0, 0], [3.0, 0, 0], [2.0, 0, 0]])
    one = view([(features, [2, 3])])
    # Ranked 1, 2, 3, 0: hits at ranks 2 and 3 of the best 1 and 2.
    got = ndcg(one, one.column("a"), 3)[0]
    assert got == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3)))
    missing = view([(features, [2])])
    missing.labels[0] = 2
    assert ndcg(missing, missing.column("a"), 3)[0] == pytest.approx(
        (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    )


FEATURES = (Feature("a", "als", "als"), Feature("b", "ease", "ease"), Feature("constant", "new"))


def test_all_strategies_are_told_and_the_blend_serves_where_none_is_clearly_ahead() -> None:
    views = [simulated(seed, np.array([2.0, 0.0, 0.0])) for seed in (6, 7, 8)]
    choice = choose(views, FEATURES, 10, 3.0)
    assert choice is not None
    by_name = {tried.strategy: tried for tried in choice.tried}
    assert set(by_name) == {"als", "ease", "blend"}
    assert by_name["als"].weights == {"a": 1.0}
    # Judged on all windows but the earliest, on which nothing could have been fitted.
    assert by_name["als"].users == by_name["blend"].users == 800
    scored = np.concatenate([ndcg(v, v.column("a"), 10) for v in views[:2]])
    assert by_name["als"].ndcg == pytest.approx(scored.mean())
    # People go by `a` alone: the blend learns as much, up to noise.
    assert abs((by_name["blend"].ndcg or 0.0) - (by_name["als"].ndcg or 0.0)) < 0.01
    assert choice.chosen.strategy == "blend"


def test_a_source_that_is_clearly_ahead_of_the_blend_on_every_window_is_chosen() -> None:
    # What else people went by at first turned round later, so that blends mislead.
    turned = [np.array([2.0, -0.5, 0.0]), np.array([2.0, -0.5, 0.0]), np.array([1.0, 4.0, 0.0])]
    views = [simulated(seed, by) for seed, by in zip((6, 7, 8), turned, strict=True)]
    choice = choose(views, FEATURES, 10, 3.0)
    assert choice is not None and choice.chosen.strategy == "als"
    assert choice.chosen.ndcg == max(tried.ndcg or 0.0 for tried in choice.tried)
    # Were they to turn back, the source would be ahead by far on one window and by little on the
    # other: two windows that differ so much prove nothing.
    turning = [turned[2], turned[0], turned[2]]
    views = [simulated(seed, by) for seed, by in zip((6, 7, 8), turning, strict=True)]
    choice = choose(views, FEATURES, 10, 3.0)
    assert choice is not None and choice.chosen.strategy == "blend"


def test_the_blend_is_judged_on_windows_after_those_it_was_fitted_on() -> None:
    # What people choose by turns round: a blend that had seen the last window would know.
    before, after = np.array([3.0, 0.0, 0.0]), np.array([-3.0, 0.0, 0.0])
    views = [simulated(9, after), simulated(10, before), simulated(11, before)]
    choice = choose(views, FEATURES, 10, 3.0)
    assert choice is not None
    blend = choice.of("blend")
    assert blend is not None and blend.ndcg is not None
    fitted = fit_blend(views[1:], 3.0)
    assert fitted is not None
    assert ndcg(views[0], fitted.score(views[0]), 10).mean() < 0.2
    assert blend.ndcg < 0.6


def test_a_single_window_is_judged_half_by_half_and_none_gives_no_choice() -> None:
    choice = choose([simulated(12, np.array([2.0, 0.0, 0.0]))], FEATURES, 10, 3.0)
    assert choice is not None and choice.of("blend").users == 400  # type: ignore[union-attr]
    assert choose([], FEATURES, 10, 3.0) is None
