"""What the training rows look like: gathered in each shard, merged in the shards' order, so that nobody reads all rows again.

Moments and counts are exact. Of numbers with many different values there are `POINTS` of each shard, evenly spread by rank: a quantile of the whole is
off by a point's share of the rows at most, 1/128.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.frames.arrow import pc
from tasks.frames.schema import Column
from tasks.frames.stored_rows import arrays
from tasks.transforms.waves import MAXIMUM

POINTS = 128  # values kept of a column of a shard, where it has more different ones
MERGED_POINTS = 1024  # … and of the whole data set
RANKS_HELD = 2048  # shards whose points are held while they are merged


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of numbers, merged part by part (Chan, Golub, LeVeque 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        with np.errstate(over="ignore"):
            mean = _finite(values.mean()) if len(values) else 0.0
            return cls(len(values), mean, _finite(((values - mean) ** 2).sum()))

    def add(self, other: "Moments") -> None:
        if not other.count:
            return
        gap, total = other.mean - self.mean, self.count + other.count
        self.squares = _finite(self.squares + other.squares + gap * gap * self.count * other.count / total)
        self.mean = _finite(self.mean + gap * other.count / total)
        self.count = total

    @property
    def std(self) -> float:
        """Population standard deviation; 1 for values that do not vary, so that they can be divided by it."""
        deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
        return deviation if deviation > 1e-12 * max(abs(self.mean), 1e-300) else 1.0


@dataclass
class Ranks:
    """Numbers in order, each standing for so many: `values` ascending and different, `weights` whole numbers."""

    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    weights: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray | None = None) -> "Ranks":
        if weights is None:  # a sort of values alone takes a tenth of one that tells their places
            return cls(*np.unique(values, return_counts=True))
        different, place = np.unique(values, return_inverse=True)
        counts = np.bincount(place, weights, minlength=len(different)).astype(np.int64)
        return cls(different, counts)

    def thinned(self, points: int) -> "Ranks":
        """At most so many values, evenly spread by rank, least and greatest among them; each stands for its neighbours too."""
        if len(self.values) <= points:
            return self
        ends = np.cumsum(self.weights)
        part = ((ends - self.weights / 2) * (points - 2) / ends[-1]).astype(np.int64) + 1
        part[0], part[-1] = 0, points - 1
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        weights = np.add.reduceat(self.weights, starts)
        middles = np.searchsorted(ends, ends[starts] - self.weights[starts] + (weights + 1) // 2)
        return Ranks(self.values[middles], weights)

    def quantiles(self, shares: Sequence[float]) -> np.ndarray:
        """The values below which those shares lie, between two neighbours by a straight line; there must be some."""
        ends = np.cumsum(self.weights)
        places = np.asarray(shares, dtype=np.float64) * (ends[-1] - 1)
        low, high = (
            self.values[np.searchsorted(ends, np.clip(rounded(places), 0, ends[-1] - 1), side="right")]
            for rounded in (np.floor, np.ceil)
        )
        return low + (high - low) * (places - np.floor(places))


@dataclass
class Statistics:
    """One column of training rows. `ranks`: numbers; of a text its length in characters, of an image its mean from 0 to 1,
    of a recording its loudness. `channels`: of an image pixel count, sum and sum of squares of each channel, exact integers.
    """

    rows: int = 0
    missing: int = 0
    moments: Moments = field(default_factory=Moments)
    ranks: Ranks = field(default_factory=Ranks)
    counts: Counter[str] = field(default_factory=Counter)
    channels: list[list[int]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "missing": self.missing,
            "moments": [self.moments.count, self.moments.mean, self.moments.squares],
            "ranks": [self.ranks.values.tolist(), self.ranks.weights.tolist()],
            "counts": dict(self.counts),
            "channels": self.channels,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Statistics":
        values, weights = data["ranks"]
        ranks = Ranks(np.array(values, np.float64), np.array(weights, np.int64))
        moments, counts = Moments(*data["moments"]), Counter(data["counts"])
        return cls(data["rows"], data["missing"], moments, ranks, counts, data["channels"])


def describe(column: Column, values: pa.ChunkedArray) -> Statistics:
    """The statistics of a column's values in one shard."""
    found = Statistics(len(values), values.null_count)
    if column.type == "category":
        for entry in pc.value_counts(values.drop_null()):
            found.counts[entry["values"].as_py()] += entry["counts"].as_py()
        return found
    if column.type == "image":
        found.channels = _channels(column, arrays(values)).tolist()
    numbers = _numbers(column, values)
    numbers = numbers[~np.isnan(numbers)]
    found.moments, found.ranks = Moments.of(numbers), Ranks.of(numbers).thinned(POINTS)
    return found


class Merging:
    """One column's statistics over all shards, added in their order. Beyond 2,048 shards it holds no more than these have."""

    def __init__(self) -> None:
        self._merged, self._ranks = Statistics(), [Ranks()]

    def add(self, part: Statistics) -> None:
        merged = self._merged
        merged.rows += part.rows
        merged.missing += part.missing
        merged.moments.add(part.moments)
        merged.counts.update(part.counts)
        merged.channels = _summed(merged.channels, part.channels)
        self._ranks.append(part.ranks)
        if len(self._ranks) > RANKS_HELD:
            self._ranks = [self._joined().thinned(POINTS * RANKS_HELD // 4)]

    def merged(self) -> Statistics:
        """The statistics of all that was added."""
        self._merged.ranks = self._joined()
        return self._merged

    def _joined(self) -> Ranks:
        values, weights = (
            np.concatenate([getattr(one, name) for one in self._ranks]) for name in ("values", "weights")
        )
        return Ranks.of(values, weights)


def merge(parts: Iterable[Statistics]) -> Statistics:
    """One column's statistics over all shards, given in their order."""
    merging = Merging()
    for part in parts:
        merging.add(part)
    return merging.merged()


def _finite(value: Any) -> float:
    """`value`, or the greatest float where it is too large for one: JSON has no infinity."""
    return float(np.nan_to_num(value))


def _summed(a: list[list[int]], b: list[list[int]]) -> list[list[int]]:
    return [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)] if a and b else a or b


def _numbers(column: Column, values: pa.ChunkedArray) -> np.ndarray:
    if column.type in ("text", "passage"):
        return pc.utf8_length(values).cast(pa.float64()).to_numpy()
    if column.type == "image":
        return arrays(values).mean(axis=1) / (column.maximum or 1.0)
    if column.type == "audio":
        return np.array([np.sqrt(np.square(row / MAXIMUM).mean()) for row in arrays(values)])
    return values.cast(pa.float64(), safe=False).to_numpy()


def _channels(column: Column, x_BP: np.ndarray) -> np.ndarray:
    channels = (column.shape or (1, 1, 1))[2]
    flat_NC = x_BP.reshape(-1, channels).astype(np.int64)
    return np.stack([np.full(channels, len(flat_NC)), flat_NC.sum(axis=0), (flat_NC**2).sum(axis=0)])
