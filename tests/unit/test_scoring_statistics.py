"""Bounds and resampling against scipy and against simulation."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from tasks.scoring.discordant import exact_bounds, rows_for_pairs
from tasks.scoring.statistics import (
    binomial_cdf,
    bounds,
    interval,
    resampled_means,
    rows_for_mean,
    rows_for_unseen,
    share_above,
    share_below,
    unseen_share,
)


@pytest.mark.parametrize(("count", "rows"), [(0, 20), (3, 20), (20, 20), (7, 540), (1, 25_000)])
def test_clopper_pearson_bounds_are_scipys(count: int, rows: int) -> None:
    above = 1.0 if count == rows else beta.ppf(0.95, count + 1, rows - count)
    below = 0.0 if count == 0 else beta.ppf(0.05, count, rows - count + 1)
    assert share_above(count, rows, 0.95) == pytest.approx(above, abs=1e-9)
    assert share_below(count, rows, 0.95) == pytest.approx(below, abs=1e-9)


def test_the_binomial_distribution_is_scipys() -> None:
    for count, rows, share in [
        (0, 10, 0.3),
        (4, 10, 0.3),
        (10, 10, 0.3),
        (40, 25_000, 0.001),
        (3, 5, 0.0),
        (3, 5, 1.0),
    ]:
        assert binomial_cdf(count, rows, share) == pytest.approx(binom.cdf(count, rows, share), abs=1e-9)


def test_what_n_rows_did_not_show_can_be_about_three_in_n() -> None:
    assert unseen_share(20, 0.95) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert unseen_share(600, 0.95) == pytest.approx(3 / 600, rel=0.01)
    wanted = rows_for_unseen(0.02, 0.95)
    assert unseen_share(wanted, 0.95) < 0.02 <= unseen_share(wanted - 1, 0.95)


def test_resampled_means_keep_columns_paired_and_repeat_with_the_seed() -> None:
    rows = np.random.default_rng(1).normal(size=(300, 1))
    rows = np.hstack([rows, rows + 0.5])
    means = resampled_means(rows, 400, seed=7)
    assert np.allclose(means[:, 1] - means[:, 0], 0.5)
    assert np.array_equal(means, resampled_means(rows, 400, seed=7))
    assert not np.array_equal(means, resampled_means(rows, 400, seed=8))


def test_the_bootstrap_spreads_like_the_standard_error() -> None:
    rows = np.random.default_rng(2).normal(3, 2, size=(500, 1))
    means = resampled_means(rows, 4000, seed=0)[:, 0]
    assert means.std() == pytest.approx(rows.std() / np.sqrt(500), rel=0.05)
    low, high = interval(means, 0.9)
    assert bounds(means, 0.95) == pytest.approx((low, high))


def test_resampling_many_rows_stays_within_bounded_chunks() -> None:
    assert resampled_means(np.ones((100_000, 1)), 50, seed=0).tolist() == [[1.0]] * 50


def test_without_a_discordant_pair_the_exact_bound_is_the_rule_of_three() -> None:
    low, high = exact_bounds(0, 0, 450, 0.95)
    assert low == pytest.approx(-(1 - 0.05 ** (1 / 450)))
    assert high == -low


def test_a_discordant_pair_hardly_moves_the_exact_bound_from_its_neighbour() -> None:
    # no jump between the closed form at zero and the test's inversion beyond
    assert exact_bounds(0, 1, 450, 0.95)[0] > exact_bounds(0, 0, 450, 0.95)[0] - 5e-4


def test_losing_and_winning_mirror_each_other() -> None:
    low, high = exact_bounds(4, 1, 300, 0.95)
    assert (-high, -low) == pytest.approx(exact_bounds(1, 4, 300, 0.95))


def test_the_exact_bound_holds_as_often_as_it_says() -> None:
    rows, lost_share, won_share, trials = 80, 0.03, 0.01, 1500
    draws = np.random.default_rng(3).multinomial(rows, [lost_share, won_share, 1 - lost_share - won_share], size=trials)
    seen, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    covered = [exact_bounds(int(lost), int(won), rows, 0.9)[0] <= won_share - lost_share for lost, won in seen]
    share = float((np.array(covered) * times).sum()) / trials
    assert share >= 0.88  # 0.9 less three standard errors of 1,500 trials
    assert share < 0.99  # and not by being useless


def test_the_number_of_rows_that_would_do_does() -> None:
    wanted = rows_for_pairs(0, 0, 20, 0.02, 0.95)
    assert wanted == 149
    assert exact_bounds(0, 0, wanted, 0.95)[0] > -0.02
    wanted = rows_for_pairs(4, 3, 200, 0.02, 0.95)
    assert wanted is not None
    assert exact_bounds(round(4 * wanted / 200), round(3 * wanted / 200), wanted, 0.95)[0] > -0.02


def test_no_number_of_rows_would_do_for_a_mean_below_the_margin() -> None:
    assert rows_for_mean(-0.03, 0.1, 0.02, 0.95) is None
    assert rows_for_pairs(2, 0, 20, 0.02, 0.95) is None
