"""Two arms compared while outcomes come in: the e-process and the confidence sequences, by formula and by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from storage.errors import ConfigError
from tasks.scoring.sequential import Block, TwoArms, share_bounds

ALPHA = 0.01


def equal_arms(random: np.random.Generator, share: float, canary: int, low: int, high: int) -> list[Block]:
    """Blocks of random size with a tenth of the requests for the canary, until it had `canary` of them; both arms' bad share is `share`."""
    sizes = random.integers(low, high, size=2 * canary // (low + high) + 50)
    sizes = sizes[np.cumsum(sizes) <= canary]
    beside = random.negative_binomial(sizes, 0.1)  # of the champion's, until so many of the canary's came
    bad_a, bad_b = random.binomial(beside, share), random.binomial(sizes, share)
    return [
        Block(*counts) for counts in zip(beside.tolist(), bad_a.tolist(), sizes.tolist(), bad_b.tolist(), strict=True)
    ]


def ever_worse(blocks: list[Block], margin: float) -> bool:
    arms = TwoArms()
    for block in blocks:
        arms.add(block)
        if arms.worse(ALPHA, margin):
            return True
    return False


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_of_1000_equal_canaries_at_most_one_in_a_hundred_is_ever_found_worse(share: float):
    random = np.random.default_rng(5)
    trials = [equal_arms(random, share, canary=20_000, low=1, high=400) for _ in range(1000)]
    assert sum(ever_worse(blocks, margin=0.0) for blocks in trials) <= 10


def test_also_when_both_arms_have_a_bad_hour_at_once():
    random = np.random.default_rng(6)
    found = 0
    for _ in range(1000):
        shares = random.choice([0.0, 0.01, 0.3], size=30)
        found += ever_worse([block for one in shares for block in equal_arms(random, one, 200, 1, 100)], margin=0.0)
    assert found <= 10


@pytest.mark.parametrize(("n_a", "n_b", "share"), [(3, 1, 0.2), (9, 2, 0.01), (1, 4, 0.5), (40, 10, 0.05)])
def test_a_block_of_equal_arms_is_worth_at_most_one_on_average(n_a: int, n_b: int, share: float):
    """The definition of an e-variable, over every outcome of the block."""
    mean = 0.0
    for bad_a, bad_b in itertools.product(range(n_a + 1), range(n_b + 1)):
        arms = TwoArms()
        arms.add(Block(n_a, bad_a, n_b, bad_b))
        mean += binom.pmf(bad_a, n_a, share) * binom.pmf(bad_b, n_b, share) * math.exp(arms.log_e)
    assert 0.3 < mean <= 1 + 1e-9


def test_a_better_canary_is_never_found_worse_and_a_worse_one_only_beyond_the_margin():
    better, worse = TwoArms(), TwoArms()
    for _ in range(100):
        better.add(Block(90, 9, 10, 0))
        worse.add(Block(90, 0, 10, 1))
    assert better.log_e < -10
    assert not better.worse(ALPHA, 0.0)
    assert worse.log_e > 100
    assert worse.worse(ALPHA, 0.09)
    assert not worse.worse(ALPHA, 0.11)


def test_evidence_that_was_reached_stays_reached():
    arms = TwoArms()
    arms.add(Block(90, 0, 10, 9))
    reached = arms.highest
    arms.add(Block(9000, 4500, 1000, 500))
    assert reached == arms.highest > -math.log(ALPHA) > arms.log_e


def test_outcomes_of_one_arm_wait_for_the_others():
    apart, together = TwoArms(), TwoArms()
    apart.add(Block(n_a=90, bad_a=1))
    assert apart.log_e == 0.0
    apart.add(Block(n_b=10, bad_b=4))
    together.add(Block(90, 1, 10, 4))
    assert apart.total == together.total
    assert apart.log_e == together.log_e > 0


def test_blocks_of_any_size_and_any_share_have_an_e_value():
    for block in (Block(9_000_000, 0, 1_000_000, 1_000_000), Block(10**8, 10**8, 10**8, 0), Block(1, 1, 1, 1)):
        arms = TwoArms()
        arms.add(block)
        assert math.isfinite(arms.log_e)


@pytest.mark.parametrize("counts", [(1, 2, 1, 0), (1, -1, 1, 0), (1, 0, 1, 2), (-1, 0, 0, 0)])
def test_a_block_with_more_bad_outcomes_than_outcomes_is_refused(counts: tuple[int, int, int, int]):
    with pytest.raises(ConfigError, match="block of outcomes"):
        Block(*counts)


@pytest.mark.parametrize(
    ("bad", "count"), [(0, 10), (1, 10), (10, 10), (3, 2000), (0, 1_000_000), (700_000, 1_000_000)]
)
def test_bounds_are_where_the_mixture_is_worth_one_in_alpha(bad: int, count: int):
    def log_worth(share: float) -> float:
        mixture = math.lgamma(bad + 0.5) + math.lgamma(count - bad + 0.5) - math.lgamma(count + 1) - math.log(math.pi)
        return mixture - bad * math.log(share) - (count - bad) * math.log1p(-share)

    low, high = share_bounds(bad, count, ALPHA)
    assert low <= bad / count <= high
    assert low == 0 if bad == 0 else log_worth(low) == pytest.approx(-math.log(ALPHA), abs=1e-3)
    assert high == 1 if bad == count else log_worth(high) == pytest.approx(-math.log(ALPHA), abs=1e-3)


def test_bounds_of_nothing_are_everything():
    assert share_bounds(0, 0, ALPHA) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_bounds_hold_at_all_times_at_once(share: float):
    random = np.random.default_rng(7)
    looks = np.unique(np.geomspace(1, 3000, 40).astype(int))
    left_out = 0
    for _ in range(400):
        seen = np.cumsum(random.random(3000) < share)[looks - 1]
        bounds = [share_bounds(int(bad), int(count), ALPHA) for bad, count in zip(seen, looks, strict=True)]
        left_out += any(not low <= share <= high for low, high in bounds)
    assert left_out <= 4
