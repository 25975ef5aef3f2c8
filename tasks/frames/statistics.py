"""What the training rows look like, gathered shard by shard in bounded memory: moments and counts exact, quantiles by a sample."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.arrow import pc
from tasks.frames.schema import Column
from tasks.frames.stored_rows import arrays, split_rows
from tasks.transforms.waves import MAXIMUM

SAMPLE = 100_000  # values kept a column; which ones, their rows' content decides


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of numbers, merged batch by batch (Chan, Golub, LeVeque 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        if not len(values):
            return
        count, mean = len(values), float(values.mean())
        gap, total = mean - self.mean, self.count + count
        self.squares += float(((values - mean) ** 2).sum()) + gap * gap * self.count * count / total
        self.mean += gap * count / total
        self.count = total

    @property
    def std(self) -> float:
        """Population standard deviation; 1 for values that do not vary, so that they can be divided by it."""
        deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
        return deviation if deviation > 1e-12 * max(abs(self.mean), 1e-300) else 1.0


@dataclass
class Summary:
    """One column of the training rows. `sample`: numbers; of a text its length in characters, of an image its mean from 0 to 1,
    of a recording its loudness.
    """

    column: Column
    rows: int = 0
    missing: int = 0
    moments: Moments = field(default_factory=Moments)
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[np.ndarray] = field(default_factory=list)
    channels: np.ndarray | None = None  # image: pixel count, sum and sum of squares of each channel, exact integers
    first: Any = None

    @property
    def sample(self) -> np.ndarray:
        return np.concatenate(self.samples) if self.samples else np.empty(0)

    def add(self, values: pa.ChunkedArray, sampled: np.ndarray) -> None:
        """Take in one shard's values, of which the rows in the mask `sampled` belong to the sample."""
        if self.rows == 0:
            self.first = values[0].as_py()
        self.rows += len(values)
        self.missing += values.null_count
        if self.column.type == "category":
            for entry in pc.value_counts(values.drop_null()):
                self.counts[entry["values"].as_py()] += entry["counts"].as_py()
            return
        numbers = self._numbers(values)
        present = ~np.isnan(numbers)
        self.moments.add(numbers[present])
        self.samples.append(numbers[present & sampled])

    def _numbers(self, values: pa.ChunkedArray) -> np.ndarray:
        if self.column.type in ("text", "passage"):
            return pc.utf8_length(values).cast(pa.float64()).to_numpy()
        if self.column.type == "image":
            return self._intensities(arrays(values))
        if self.column.type == "audio":
            return np.array([np.sqrt(np.square(row / MAXIMUM).mean()) for row in arrays(values)])
        return values.cast(pa.float64(), safe=False).to_numpy()

    def _intensities(self, x_BP: np.ndarray) -> np.ndarray:
        channels = (self.column.shape or (1, 1, 1))[2]
        flat_NC = x_BP.reshape(-1, channels).astype(np.int64)
        sums = np.stack([np.full(channels, len(flat_NC)), flat_NC.sum(axis=0), (flat_NC**2).sum(axis=0)])
        self.channels = sums if self.channels is None else self.channels + sums
        return x_BP.mean(axis=1) / (self.column.maximum or 1.0)


def summarise(store: ObjectStore, manifest: Manifest, columns: tuple[Column, ...]) -> dict[str, Summary]:
    """A summary of each of `columns` over the training rows."""
    summaries = {column.name: Summary(column) for column in columns}
    train = manifest.meta["splits"]["train"]
    limit = np.uint64(min(SAMPLE / train, 1.0) * float(2**64 - 2**12))
    for table, hashes in split_rows(store, manifest, "train", list(summaries)):
        sampled = (hashes <= limit) if train > SAMPLE else np.ones(len(hashes), dtype=bool)
        for name, summary in summaries.items():
            summary.add(table.column(name), sampled)
    return summaries
