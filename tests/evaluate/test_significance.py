import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, norm, t

from ebb.evaluate import significance
from ebb.evaluate.significance import (
    across_windows,
    bootstrap_mean,
    compare_models,
    paired_bootstrap,
    sampled_users,
)

PAIRS = "user_id string, item_id string"


def test_a_steady_difference_is_significant_and_luck_is_not() -> None:
    draw = np.random.default_rng(1)
    second = draw.uniform(size=2_000)
    ahead = paired_bootstrap(second + 0.01 + draw.normal(0, 0.05, 2_000), second)
    assert ahead.is_significant and 0.005 < ahead.low < ahead.value < ahead.high < 0.015
    level = paired_bootstrap(second + np.tile([0.05, -0.05], 1_000), second)
    assert not level.is_significant and level.value == pytest.approx(0)
    assert (level.users, level.level) == (2_000, 0.95)


def test_the_interval_is_as_wide_as_theory_and_scipy_have_it() -> None:
    values = np.random.default_rng(2).exponential(size=900)
    found = bootstrap_mean(values, draws=8_000)
    assert found.value == pytest.approx(values.mean())
    width = 2 * 1.96 * values.std() / np.sqrt(900)
    assert found.high - found.low == pytest.approx(width, rel=0.03)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=8_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_windows_that_differ_count_each_as_one() -> None:
    # Four windows of means that lie far apart, whose users are alike: the variance of the mean is
    # that of the means, a fourth of it, and users' luck is no part of it.
    means = np.array([0.03, 0.01, -0.02, 0.04])
    noise = np.tile([-0.01, 0.01], 200)
    found = across_windows([mean + noise for mean in means])
    assert found.users == 1_600 and found.value == pytest.approx(means.mean())
    reach = t.ppf(0.975, 3) * means.std(ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((0.015 - reach, 0.015 + reach))


def test_windows_that_are_alike_are_as_sure_as_their_users() -> None:
    # The means' variances are .01 and .04, so that they weigh 100 and 25.
    found = across_windows([[1.0, 1.2], [0.9, 1.3], [7.0]])
    assert (found.value, found.users) == (pytest.approx(1.1), 4)
    assert found.high - found.value == pytest.approx(norm.ppf(0.975) / np.sqrt(125))
    alone = across_windows([[1.0, 1.2]])
    assert alone.high - alone.value == pytest.approx(norm.ppf(0.975) * 0.1)


def test_three_windows_that_happen_to_agree_are_no_surer_than_their_users() -> None:
    # Three means that are the same to the last digit, each of a variance of .01.
    found = across_windows([[1.0, 1.2]] * 3)
    assert found.high - found.value == pytest.approx(t.ppf(0.975, 2) * 0.1 / np.sqrt(3))


def test_windows_without_users_or_differences_prove_nothing() -> None:
    for nothing in (across_windows([np.zeros(9), np.zeros(5)]), across_windows([[1.0]])):
        assert nothing.low < nothing.value == 0.0 < nothing.high


def test_rows_of_the_same_user_are_drawn_together() -> None:
    values = np.random.default_rng(4).normal(size=300)
    once = bootstrap_mean(values, seed=5)
    # Each user four times over is no more evidence, though rows drawn singly would make it so.
    users = np.tile(np.arange(300), 4)
    nights = bootstrap_mean(np.tile(values, 4), users, seed=5)
    assert (nights.low, nights.high, nights.users) == pytest.approx((once.low, once.high, 300))
    singly = bootstrap_mean(np.tile(values, 4), seed=5)
    assert singly.high - singly.low == pytest.approx((once.high - once.low) / 2, rel=0.1)


def test_users_with_more_nights_weigh_by_them() -> None:
    found = bootstrap_mean([1.0, 1.0, 1.0, 0.0], users=["u", "u", "u", "v"])
    assert found.value == 3 / 4 and (found.low, found.high) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_interval_in_blocks_of_any_size(monkeypatch) -> None:
    first, second = np.random.default_rng(6).uniform(size=(2, 50))
    whole = paired_bootstrap(first, second, seed=7)
    monkeypatch.setattr(significance, "_AT_ONCE", 170)
    assert paired_bootstrap(first, second, seed=7) == whole
    assert paired_bootstrap(first, second, seed=8) != whole


def test_users_without_a_figure_in_either_model_are_left_out() -> None:
    found = paired_bootstrap([1.0, np.nan, 0.5, 2.0], [0.0, 0.0, np.nan, 1.0])
    assert (found.value, found.users) == (1.0, 2)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="equally long rows"):
        paired_bootstrap([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="no row has a figure"):
        bootstrap_mean([np.nan])
    sample = pd.DataFrame({"model": ["m"], "user_id": ["u"], "ndcg@1": [1.0]})
    with pytest.raises(ValueError, match="no rows of \\['n'\\]"):
        compare_models(sample, "ndcg@1", "m", "n")


def test_models_are_compared_on_the_nights_and_users_that_both_have() -> None:
    rows = [
        ("m", "u", 1, 0.5),
        ("n", "u", 1, 0.25),
        ("m", "u", 2, 1.0),
        ("n", "u", 2, 1.0),
        ("m", "v", 1, 0.75),
        ("n", "v", 1, 0.25),
        ("m", "alone", 1, 1.0),
        ("third", "v", 1, 0.0),
    ]
    sample = pd.DataFrame(rows, columns=["model", "user_id", "as_of", "ndcg@1"])
    found = compare_models(sample, "ndcg@1", "m", "n")
    assert (found.value, found.users) == (pytest.approx((0.25 + 0 + 0.5) / 3), 2)


def test_a_sample_holds_the_same_users_in_every_model(spark) -> None:
    rows = [(model, f"u{k}", float(k)) for model in ("m", "n") for k in range(40)]
    judged = spark.createDataFrame(rows, "model string, user_id string, `ndcg@1` double")
    sample = sampled_users(judged, most=10).toPandas()
    of_m, of_n = (set(sample[sample["model"] == m]["user_id"]) for m in ("m", "n"))
    assert len(of_m) == 10 and of_m == of_n
    again = sampled_users(judged.where("model = 'n'").orderBy("ndcg@1"), most=10).toPandas()
    assert set(again["user_id"]) == of_m
    assert set(sampled_users(judged, most=10, seed=1).toPandas()["user_id"]) != of_m


def test_the_hash_of_a_test_set_hangs_on_its_pairs_and_not_on_their_order(spark) -> None:
    def named(*pairs: tuple[str, str]) -> str:
        return significance.test_set_hash(spark.createDataFrame(list(pairs), PAIRS))

    pairs = [("u", "a"), ("u", "b"), ("v", "a")]
    # Kept, so that a change of the hash, which would part old figures from new ones, is seen.
    assert named(*pairs) == named(*reversed(pairs)) == "3-fcb8a0a0d82679e3fab39fc38f00f47c"
    others = [named(*pairs[:2]), named(("ua", ""), *pairs[1:]), named(("a", "u"), *pairs[1:])]
    assert len({named(*pairs), *others}) == 4
    assert named() == "0-" + "0" * 32
