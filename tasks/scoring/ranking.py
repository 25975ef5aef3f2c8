"""Area under the ROC curve, with resamples weighed instead of sorted again. N rows, K classes, R resamples."""

import numpy as np

from tasks.scoring.statistics import chunks

MOST_WORK = 100_000_000  # rows × classes × resamples: some seconds on one core
FEWEST_RESAMPLES = 100


def ranked_classes(y: np.ndarray, classes: int) -> list[int]:
    """The classes that are ranked against the rest: the second of two; else each that occurs. Empty: only one class occurs."""
    present = np.unique(y)
    if len(present) < 2:
        return []
    return [1] if classes == 2 else [int(index) for index in present]


def roc_auc(y: np.ndarray, outputs: np.ndarray, classes: list[int]) -> float:
    """One-versus-rest area, macro mean over `classes`."""
    weights = np.ones((1, len(y)))
    return float(np.mean([_Ranking(y == index, outputs[:, index]).areas(weights)[0] for index in classes]))


def resamples_for(rows: int, classes: int, wanted: int) -> int:
    """How many resamples fit the work allowed."""
    return min(wanted, max(FEWEST_RESAMPLES, MOST_WORK // max(1, rows * classes)))


def resampled_auc(y: np.ndarray, outputs: np.ndarray, classes: list[int], resamples: int, seed: int) -> np.ndarray:
    """(R,) areas of resamples; NaN where a resample has only one class."""
    rankings = [_Ranking(y == index, outputs[:, index]) for index in classes]
    random, parts, count = np.random.default_rng(seed), [], len(y)
    for size in chunks(resamples, 3 * count):
        drawn = random.integers(0, count, size=(size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
        parts.append(np.mean([ranking.areas(weights) for ranking in rankings], axis=0))
    return np.concatenate(parts)


class _Ranking:
    """One class against the rest, sorted once by score."""

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        self.order = np.argsort(scores, kind="stable")
        self.positive = positive[self.order]
        ranked = scores[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))  # of runs of equal scores

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """(R,) areas for row weights (R, N); ties count half (Mann and Whitney 1947)."""
        weights = weights[:, self.order]
        above = np.add.reduceat(weights * self.positive, self.starts, axis=1)
        below = np.add.reduceat(weights * ~self.positive, self.starts, axis=1)
        wins = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
        pairs = above.sum(axis=1) * below.sum(axis=1)
        return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
