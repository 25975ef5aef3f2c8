"""Reference histograms of the training rows: what later data are held against."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.frames.schema import Column
from tasks.frames.statistics import Statistics

BINS = 20
TOP = 100
UNITS = {
    "text": "characters",
    "passage": "characters",
    "image": "mean of the pixels, 0 to 1",
    "audio": "loudness (root mean square, 0 to 1)",
}


def build_profile(columns: Sequence[Column], statistics: Mapping[str, Statistics]) -> dict[str, Any]:
    """A histogram for each column, target included (for classes: their balance), of the data set's training rows.

    Numbers: up to 20 bins of equal counts (`edges`, `counts`), text by length, images by brightness and recordings by loudness likewise; categories: the
    100 most frequent with their counts, and `other`. All have `rows` and `missing`.
    """
    return {column.name: _histogram(column.type, statistics[column.name]) for column in columns}


def top_counts(counts: Counter[str], limit: int) -> dict[str, int]:
    """The most frequent values with their counts; ties in the order of the text."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return dict(ordered[:limit])


def _histogram(kind: str, found: Statistics) -> dict[str, Any]:
    base = {"type": kind, "rows": found.rows, "missing": found.missing}
    if kind == "category":
        top = top_counts(found.counts, TOP)
        return {**base, "counts": top, "other": found.counts.total() - sum(top.values())}
    if kind in UNITS:
        base["unit"] = UNITS[kind]
    if not len(found.ranks.values):
        return {**base, "edges": [], "counts": []}
    edges = np.unique(found.ranks.quantiles(np.linspace(0, 1, BINS + 1).tolist()))
    if len(edges) == 1:
        edges = np.array([edges[0], edges[0]])
    counts, _ = np.histogram(found.ranks.values, bins=edges, weights=found.ranks.weights)
    return {
        **base,
        "edges": edges.tolist(),
        "counts": counts.astype(np.int64).tolist(),
        "mean": found.moments.mean,
        "std": found.moments.std,
    }
