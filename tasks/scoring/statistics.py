"""Bootstrap and bounds. numpy and the standard library only, as the service uses this too.

R resamples, N rows, F columns. `confidence` is one-sided where a single bound is asked for, two-sided for an interval.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

CHUNK_VALUES = 2_000_000  # values held at a time while resampling: 16 MB of float64


def chunks(resamples: int, width: int) -> Iterator[int]:
    """Sizes that add up to `resamples`, each small enough that size × width stays within memory."""
    size = max(1, CHUNK_VALUES // max(1, width))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def resampled_means(rows: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(R, F) means of `rows` (N, F) over R resamples of N rows with replacement (Efron 1979).

    Rows are drawn whole, so columns stay paired: differences of columns are paired differences.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    count, columns = rows.shape
    random, means, done = np.random.default_rng(seed), np.empty((resamples, columns)), 0
    for size in chunks(resamples, count * columns):
        drawn = random.integers(0, count, size=(size, count), dtype=np.int32)
        means[done : done + size] = rows[drawn].mean(axis=1)
        done += size
    return means


def interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Two-sided percentile interval of bootstrap `values` (R,); what is not a number is left out."""
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def bounds(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Lower and upper percentile bound of bootstrap `values` (R,), each one-sided at `confidence`."""
    low, high = np.nanquantile(values, [1 - confidence, confidence])
    return float(low), float(high)


def unseen_share(rows: int, confidence: float) -> float:
    """The greatest share of all cases that can have something none of `rows` has: 1 − (1 − confidence)^(1/N).

    Clopper and Pearson (1934) for zero events; about 3/N at 95 % (Hanley and Lippman-Hand 1983).
    """
    return 1.0 - (1.0 - confidence) ** (1.0 / rows) if rows else 1.0


def rows_for_unseen(share: float, confidence: float) -> int:
    """The fewest rows with `unseen_share` below `share`."""
    return math.floor(math.log(1 - confidence) / math.log1p(-min(share, 1 - 1e-9))) + 1


def rows_for_mean(mean: float, deviation: float, margin: float, confidence: float) -> int | None:
    """Rows after which a mean difference like this has its lower bound above −margin; None if its mean already lies below.

    Normal approximation (z·deviation/√N), and never fewer than would show what happens in a share `margin` of the cases.
    """
    room = mean + margin
    if room <= 0:
        return None
    normal = (NormalDist().inv_cdf(confidence) * deviation / room) ** 2
    return max(math.ceil(normal), rows_for_unseen(margin, confidence))


def binomial_cdf(count: int, rows: int, share: float) -> float:
    """P(X ≤ count) for X binomial(rows, share)."""
    if share <= 0 or count >= rows:
        return 1.0
    if share >= 1:
        return 0.0
    k = np.arange(count + 1)
    logs = log_factorials(rows)
    terms = logs[rows] - logs[k] - logs[rows - k] + k * math.log(share) + (rows - k) * math.log1p(-share)
    return float(min(1.0, np.exp(terms).sum()))


def log_factorials(rows: int) -> np.ndarray:
    """(rows + 1,) log 0!, log 1!, …"""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])


def share_above(count: int, rows: int, confidence: float) -> float:
    """Upper one-sided Clopper–Pearson bound of a share, `count` of `rows` seen."""
    if count >= rows:
        return 1.0
    low, high = count / rows, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_cdf(count, rows, middle) > 1 - confidence else (low, middle)
    return high


def share_below(count: int, rows: int, confidence: float) -> float:
    """Lower one-sided Clopper–Pearson bound of a share."""
    return 1.0 - share_above(rows - count, rows, confidence)
