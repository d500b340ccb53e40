from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from ebb.boxes.ranker import examples_of_views
from ebb.ranker.contest import Judged, Verdict, verdict
from ebb.ranker.fit import fit_trees
from ebb.ranker.rolling import FittedRanker, Fitting, fit_ranker
from ebb.ranker.sampling import kept_candidates
from ebb.ranker.settings import Ranker
from ebb.ranker.trees import Trees
from ebb.recommend.blend import fit_blend, score_by
from ebb.recommend.choose import choose, ndcg
from ebb.recommend.features import BESIDE, Feature
from ebb.recommend.views import View
from recommend.test_blend import AS_OF, NAMES, view

FEATURES = (Feature("a", "als", "als"), Feature("b", "ease", "ease"), Feature("constant", "new"))
SETTINGS = Ranker(trees=12, depth=3, eta=0.3, min_child_weight=1.0, least_users=50, windows=4)


def bent(seed: int, days: int, users: int = 150) -> View:
    """Users who like what is in the middle of feature a: no weighted sum can say so."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(users):
        features = np.column_stack([draw.normal(size=(20, 2)), np.ones(20)])
        chance = np.exp(4.0 - 4.0 * np.abs(features[:, 0] - 0.3))
        made.append((features, list(draw.choice(20, 2, False, chance / chance.sum()))))
    return view(made, days=days)


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [bent(1, 4), bent(2, 3), bent(3, 2), bent(4, 1)]


def test_what_was_taken_is_kept_and_the_others_by_a_hash_that_ignores_their_order() -> None:
    hashes = np.arange(50, dtype=np.uint64) * np.uint64(2654435761)
    items, taken = np.arange(50), np.isin(np.arange(50), [3, 40])
    unseen = np.zeros(50, dtype=bool)
    rows, weights = kept_candidates(hashes, "u", items, taken, unseen, 12)
    assert len(rows) == 14 and {3, 40} <= set(rows.tolist()) and list(rows) == sorted(rows)
    assert weights.sum() == pytest.approx(50) and weights[taken[rows]].tolist() == [1.0, 1.0]
    backwards, _ = kept_candidates(hashes, "u", items[::-1].copy(), taken[::-1].copy(), unseen, 12)
    assert set(items[::-1][backwards]) == set(items[rows])
    other, _ = kept_candidates(hashes, "v", items, taken, unseen, 12)
    assert set(other.tolist()) != set(rows.tolist())
    everything, ones = kept_candidates(hashes, "u", items, taken, unseen, None)
    assert len(everything) == 50 and (ones == 1.0).all()


def test_what_was_shown_and_not_taken_is_kept_before_anything_else() -> None:
    hashes = np.arange(50, dtype=np.uint64) * np.uint64(2654435761)
    items, taken = np.arange(50), np.isin(np.arange(50), [3, 40])
    shown = np.isin(items, [3, 7, 8, 9, 30])
    rows, weights = kept_candidates(hashes, "u", items, taken, shown, 12)
    of = dict(zip(rows.tolist(), weights.tolist(), strict=True))
    # Four were shown and left; 8 places remain for the other 44.
    assert len(rows) == 14 and {3, 40, 7, 8, 9, 30} <= of.keys()
    assert {of[item] for item in (3, 40, 7, 8, 9, 30)} == {1.0}
    assert {of[item] for item in of.keys() - {3, 40, 7, 8, 9, 30}} == {44 / 8}
    few, standing = kept_candidates(hashes, "u", items, taken, shown, 2)
    assert {3, 40} < set(few.tolist()) < {3, 40, 7, 8, 9, 30} and len(few) == 4
    # Two of the four stand for all of them, and nothing for what wasn't shown.
    assert sorted(standing.tolist()) == [1.0, 1.0, 2.0, 2.0]


@given(st.permutations(range(30)), st.integers(6, 30), st.text(max_size=5))
def test_whatever_the_order_the_same_candidates_are_kept(
    order: list[int], most: int, user: str
) -> None:
    hashes = np.array([zlib.crc32(f"i{k}".encode()) for k in range(30)], dtype=np.uint64)
    items = np.array(order)
    rows, weights = kept_candidates(hashes, user, items, items % 7 == 0, items % 8 == 0, most)
    plain = np.arange(30)
    straight, _ = kept_candidates(hashes, user, plain, plain % 7 == 0, plain % 8 == 0, most)
    assert set(items[rows].tolist()) == set(straight.tolist())
    assert weights.sum() == pytest.approx(30)


def test_two_fits_give_the_same_bytes_whatever_the_order_of_rows(
    spark: SparkSession, views: list[View]
) -> None:
    blend = fit_blend(views[1:], 3.0)
    assert blend is not None
    two = SETTINGS.model_copy(update={"workers": 2, "trees": 4})
    rows = examples_of_views(spark, two)(views[1:])
    one = fit_trees(rows, NAMES, blend.weights, two)
    assert one == fit_trees(rows.orderBy("item_id").repartition(5), NAMES, blend.weights, two)


def test_trees_learn_what_the_blend_cannot_and_are_promoted(
    spark: SparkSession, views: list[View]
) -> None:
    choice = choose(views, FEATURES, 5, 3.0)
    assert choice is not None
    found = fit_ranker(views, choice, examples_of_views(spark, SETTINGS), Fitting(SETTINGS, 5, 3.0))
    assert isinstance(found, FittedRanker)
    assert found.verdict.promoted and found.verdict.reason.startswith("promoted: +")
    assert found.verdict.ndcg > found.verdict.ndcg_other + 0.05
    assert found.verdict.users == 450 and found.windows == 4
    assert max(found.importance, key=lambda name: found.importance[name]) == "a"
    assert sum(found.importance.values()) == pytest.approx(1.0, abs=1e-4)
    again = choice.beside(found.tried, is_chosen=True)
    assert again.chosen.score(views[0]) == pytest.approx(
        score_by(found.tried.weights, views[0]) + Trees.of(found.raw).sums(views[0].matrix)
    )
    parts = Trees.of(found.raw).contributions(views[0].matrix[:7])
    sums = Trees.of(found.raw).sums(views[0].matrix[:7])
    assert parts.shape == (7, len(NAMES) + len(BESIDE))
    # What the trees give on average is the same for every row.
    assert sums - parts.sum(axis=1) == pytest.approx(np.full(7, sums[0] - parts[0].sum()), abs=1e-4)


def test_with_too_few_users_before_the_held_out_windows_there_is_no_ranker(
    views: list[View],
) -> None:
    choice = choose(views, FEATURES, 5, 3.0)
    assert choice is not None
    strict = Fitting(SETTINGS.model_copy(update={"least_users": 451}), 5, 3.0)

    def nothing(views: object) -> object:
        raise AssertionError("nothing is to be fitted")

    said = fit_ranker(views, choice, nothing, strict)  # type: ignore[arg-type]
    assert (
        said == "no ranker: 450 users of windows before the latest, train.ranker.least_users is 451"
    )


def judged(view: View, ranker: float, other: float, noise: int = 0) -> Judged:
    draw = np.random.default_rng(noise)
    users = len(view.users)
    return Judged(ranker + draw.normal(0, 0.05, users), {"blend": np.full(users, other)})


def test_a_challenger_is_promoted_only_when_clearly_ahead_and_on_three_windows(
    views: list[View],
) -> None:
    def against(*means: float) -> Verdict:
        return verdict([judged(views[k], by, 0.5, k) for k, by in enumerate(means)])

    clear = against(0.6, 0.6, 0.6)
    assert clear.promoted and clear.ahead.value == pytest.approx(0.1, abs=0.01)
    assert not against(0.5, 0.5, 0.5).promoted
    on_two = against(0.6, 0.6)
    assert on_two.ahead.low > 0 and not on_two.promoted and "ahead on 2 of 2" in on_two.reason


def test_windows_that_disagree_prove_nothing_however_many_users_they_have(
    views: list[View],
) -> None:
    # Far beyond the luck of 150 users on each window, and on average well ahead.
    wide = verdict([judged(views[k], by, 0.5) for k, by in enumerate((0.55, 0.9, 0.51))])
    assert wide.ahead.value > 0.1 and not wide.promoted and "more than noise" in wide.reason
    # Ahead on each by many deviations, but by .05 on one and .01 on another: a fourth may differ.
    news = verdict([judged(views[k], by, 0.5) for k, by in enumerate((0.53, 0.55, 0.51))])
    assert news.ahead.value > 0.02 and not news.promoted and "more than noise" in news.reason


def test_without_trees_the_ranker_is_the_blend(views: list[View]) -> None:
    choice = choose(views, FEATURES, 5, 3.0)
    assert choice is not None
    blend = choice.of("blend")
    assert blend is not None and blend.trees is None
    assert (blend.score(views[0]) == score_by(blend.weights, views[0])).all()
    assert ndcg(views[0], blend.score(views[0]), 5).shape == (150,)
    assert AS_OF < views[2].as_of < views[0].as_of and len({f.name for f in BESIDE}) == len(BESIDE)
