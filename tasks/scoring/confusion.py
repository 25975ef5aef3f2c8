"""Classification metrics from counts of (actual, predicted), resampled as counts.

N rows, C distinct cells, K classes, R resamples. Drawing N rows with replacement and counting cells is the same as drawing the
cells' counts from a multinomial distribution, which costs C and not N a resample.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.scoring.statistics import chunks


@dataclass(frozen=True)
class Tally:
    """Per resample and class, (R, K) each: rows predicted rightly, rows predicted so, rows that are so."""

    right: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray

    def accuracy(self) -> np.ndarray:
        """(R,) share of rows predicted rightly."""
        return self.right.sum(axis=1) / self.actual.sum(axis=1)

    def precision(self) -> np.ndarray:
        """(R,) macro precision; a class never predicted counts as 0."""
        return self._macro(self.right / np.maximum(self.predicted, 1))

    def recall(self) -> np.ndarray:
        """(R,) macro recall."""
        return self._macro(self.right / np.maximum(self.actual, 1))

    def macro_f1(self) -> np.ndarray:
        """(R,) unweighted mean of the classes' F1."""
        return self._macro(2 * self.right / np.maximum(self.predicted + self.actual, 1))

    def _macro(self, by_class: np.ndarray) -> np.ndarray:
        # classes that neither occur nor are predicted have no value (as in scikit-learn)
        present = (self.predicted + self.actual) > 0
        return (by_class * present).sum(axis=1) / present.sum(axis=1)


@dataclass(frozen=True)
class Cells:
    """Distinct combinations of labels, (C, L), and how many rows have each, (C,). Column 0 is the actual class."""

    labels: np.ndarray
    counts: np.ndarray
    classes: int

    @classmethod
    def of(cls, classes: int, *columns: np.ndarray) -> "Cells":
        """The cells of (N,) label columns."""
        labels, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
        return cls(labels, counts, classes)

    def observed(self, column: int = 1) -> Tally:
        """The tally of the rows themselves, R = 1."""
        return self.tally(self.counts[None, :], column)

    def resampled(self, resamples: int, seed: int) -> Iterator[np.ndarray]:
        """Counts of R resamples, (chunk, C) at a time."""
        random, rows = np.random.default_rng(seed), int(self.counts.sum())
        for size in chunks(resamples, max(len(self.counts), self.classes)):
            yield random.multinomial(rows, self.counts / rows, size=size)

    def tally(self, counts: np.ndarray, column: int = 1) -> Tally:
        """Per-class counts of `counts` (R, C), with column `column` as the prediction."""
        actual, predicted = self.labels[:, 0], self.labels[:, column]
        right = actual == predicted
        return Tally(
            _grouped(counts[:, right], actual[right], self.classes),
            _grouped(counts, predicted, self.classes),
            _grouped(counts, actual, self.classes),
        )

    def matrix(self) -> np.ndarray:
        """(K, K) rows by actual and predicted class."""
        matrix = np.zeros((self.classes, self.classes), dtype=np.int64)
        np.add.at(matrix, (self.labels[:, 0], self.labels[:, 1]), self.counts)
        return matrix


def _grouped(counts: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(R, K) sums of the columns of `counts` (R, C) that share a label."""
    sums = np.zeros((len(counts), classes), dtype=np.int64)
    if len(labels):
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(labels[order], return_index=True)
        sums[:, found] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums
