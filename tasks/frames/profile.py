"""Reference histograms of the training rows: what later data are held against."""

from typing import Any

import numpy as np

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.statistics import Summary, summarise
from tasks.frames.stored_rows import columns_of

BINS = 20
TOP = 100
UNITS = {
    "text": "characters",
    "passage": "characters",
    "image": "mean of the pixels, 0 to 1",
    "audio": "loudness (root mean square, 0 to 1)",
}


def build_profile(store: ObjectStore, manifest: Manifest) -> dict[str, Any]:
    """A histogram for each column, target included (for classes: their balance), of the data set's training rows.

    Numbers: up to 20 bins of equal counts (`edges`, `counts`), text by length, images by brightness and recordings by loudness likewise; categories: the
    100 most frequent with their counts, and `other`. All have `rows` and `missing`.
    """
    summaries = summarise(store, manifest, columns_of(manifest))
    return {name: _histogram(summary) for name, summary in summaries.items()}


def top_counts(summary: Summary, limit: int) -> dict[str, int]:
    """The most frequent values with their counts; ties in the order of the text."""
    ordered = sorted(summary.counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return dict(ordered[:limit])


def _histogram(summary: Summary) -> dict[str, Any]:
    kind = summary.column.type
    base = {"type": kind, "rows": summary.rows, "missing": summary.missing}
    if kind == "category":
        top = top_counts(summary, TOP)
        return {**base, "counts": top, "other": summary.counts.total() - sum(top.values())}
    if kind in UNITS:
        base["unit"] = UNITS[kind]
    sample = summary.sample
    if not len(sample):
        return {**base, "edges": [], "counts": []}
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        edges = np.array([edges[0], edges[0]])
    counts, _ = np.histogram(sample, bins=edges)
    return {
        **base,
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "mean": summary.moments.mean,
        "std": summary.moments.std,
    }
