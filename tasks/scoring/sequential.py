"""Two arms compared while their outcomes come in: anytime-valid, so that a look after every block costs nothing. numpy alone.

An outcome is bad or it is not. a: the champion's arm, b: the canary's. K pairs of shares.

- Is b worse? An e-process for blocks of two Bernoulli streams: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample
  tests that allow for optional stopping" (2024), the product of their e-variables for the 2x2 case, restricted to alternatives with b
  worse. If both arms' shares are equal, whatever they are and however both change from block to block, then the e-value ever reaches 1/α
  with a probability of at most α (Ville 1939).
  Outcomes of a block count as independent: many of one client, or of one stall of the machine, are fewer than they seem. Margins are there
  for that, too.
- How bad is an arm? Robbins' (1970) beta-binomial mixture as a confidence sequence, as in Howard, Ramdas, McAuliffe and Sekhon (2021): its
  bounds hold at all times at once.
"""

import math
from dataclasses import dataclass

import numpy as np

from storage.errors import ConfigError

# The alternatives: all pairs of these with b's the greater, weighted alike. A mixture of fixed pairs, and not one pair learnt from earlier blocks,
# as then the first block counts too, and a large block is not bet on what a few outcomes seemed to say. 231 pairs cost ln 231 = 5.4 nats at most.
_LADDER = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2)
_LADDER += (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_PAIRS = np.triu_indices(len(_LADDER), 1)
_A_K, _B_K = np.array(_LADDER)[_PAIRS[0]], np.array(_LADDER)[_PAIRS[1]]
_LOG_A_K, _LOG_B_K, _LOG_GOOD_A_K, _LOG_GOOD_B_K = np.log(_A_K), np.log(_B_K), np.log1p(-_A_K), np.log1p(-_B_K)
_HALVINGS = 40


@dataclass(frozen=True)
class Block:
    """`n_a` outcomes of the champion, `bad_a` of them bad; `n_b` and `bad_b` the canary's of the same stretch of time."""

    n_a: int = 0
    bad_a: int = 0
    n_b: int = 0
    bad_b: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.bad_a <= self.n_a and 0 <= self.bad_b <= self.n_b):
            raise ConfigError(
                f"block of outcomes: found {self}, wanted no fewer outcomes than bad ones, and none below 0"
            )

    def __add__(self, other: "Block") -> "Block":
        return Block(self.n_a + other.n_a, self.bad_a + other.bad_a, self.n_b + other.n_b, self.bad_b + other.bad_b)

    @property
    def excess(self) -> float:
        """How much greater the canary's share of bad outcomes is; 0 while one of them has none."""
        return self.bad_b / self.n_b - self.bad_a / self.n_a if self.n_a and self.n_b else 0.0


NONE = Block()


class TwoArms:
    """The evidence for "b is worse", block by block. `total`: all outcomes; `log_e`: the natural logarithm of the e-value, `highest` so far."""

    def __init__(self) -> None:
        self.total = NONE
        self.log_e = self.highest = 0.0
        self._waiting = NONE
        self._log_e_K = np.zeros(len(_A_K))

    def add(self, block: Block) -> None:
        """Take outcomes into account. Those of one arm alone wait for the other's: only what happens beside each other compares."""
        self.total += block
        self._waiting += block
        if self._waiting.n_a and self._waiting.n_b:
            self._log_e_K += _log_e_variables(self._waiting)
            self._waiting = NONE
            self.log_e = _log_mean_exp(self._log_e_K)
            self.highest = max(self.highest, self.log_e)

    def worse(self, alpha: float, margin: float) -> bool:
        """Whether b is surely worse (the e-value has reached 1/`alpha`), and by more than `margin` as far as is seen."""
        return self.highest >= -math.log(alpha) and self.total.excess > margin

    def excess_at_most(self, alpha: float) -> float:
        """b's share of bad outcomes exceeds a's by at most this much, at all times at once but with probability `alpha`."""
        return (
            share_bounds(self.total.bad_b, self.total.n_b, alpha / 2)[1]
            - share_bounds(self.total.bad_a, self.total.n_a, alpha / 2)[0]
        )


def share_bounds(bad: int, count: int, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of a share of which `bad` in `count` were seen: at all times at once but with probability `alpha`.

    Every p against which the mixture's (Jeffreys' prior, Beta(½, ½)) likelihood ratio is below 1/α.
    """
    if not count:
        return 0.0, 1.0
    mixture = _log_beta(bad + 0.5, count - bad + 0.5) - _log_beta(0.5, 0.5)
    limit = mixture + math.log(alpha)
    seen = bad / count
    return (
        _boundary(bad, count, limit, seen, 0.0) if bad else 0.0,
        _boundary(bad, count, limit, seen, 1.0) if bad < count else 1.0,
    )


def _boundary(bad: int, count: int, limit: float, inside: float, outside: float) -> float:
    """The p between, on whose way to `outside` the log-likelihood falls below `limit`; rounded to `outside`."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        likelihood = bad * math.log(middle) + (count - bad) * math.log1p(-middle)
        inside, outside = (middle, outside) if likelihood > limit else (inside, middle)
    return outside


def _log_e_variables(block: Block) -> np.ndarray:
    """(K,) logarithms of the e-variables for the pairs of shares, each against the equal share that is nearest to it."""
    equal_K = (block.n_a * _A_K + block.n_b * _B_K) / (block.n_a + block.n_b)
    log_bad_K, log_good_K = np.log(equal_K), np.log1p(-equal_K)
    good_a, good_b = block.n_a - block.bad_a, block.n_b - block.bad_b
    arm_a_K = block.bad_a * (_LOG_A_K - log_bad_K) + good_a * (_LOG_GOOD_A_K - log_good_K)
    arm_b_K = block.bad_b * (_LOG_B_K - log_bad_K) + good_b * (_LOG_GOOD_B_K - log_good_K)
    return arm_a_K + arm_b_K


def _log_mean_exp(values_K: np.ndarray) -> float:
    greatest = float(values_K.max())
    return greatest + math.log(float(np.exp(values_K - greatest).mean()))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
