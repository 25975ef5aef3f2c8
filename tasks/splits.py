"""Features on disk: the rows of a split by memory map, and the order in which an epoch visits them. B batch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.transforms.streams import FACTS_FILE, TokenStream, open_stream

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """`x`: (N, *input shape); `y`: (N,) int64 class indices or float32 standardised numbers; of windows (N, T) tokens and the next ones."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's x."""
        return self.x.shape[1:]

    def batch(self, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y of these rows."""
        return self.x[rows_B], self.y[rows_B]


Samples = Split | TokenStream
"""What is learnt from: arrays, or windows over a token file, as `len`, `shape` and `batch` know them."""


def some(samples: Samples, share: float, seed: int) -> Samples:
    """This share of the rows, at least one, chosen by `seed`, in their order; all of them as they lie for a share of 1."""
    if share == 1:
        return samples
    rows = np.sort(epoch_order(len(samples), seed, 0)[: max(1, round(share * len(samples)))])
    return Split(*samples.batch(rows))


def open_samples(features: str | Path, name: str) -> Samples:
    """The split `name` in a features folder: arrays, or of a language model's training windows over its token file."""
    folder = Path(features) / name
    return open_stream(folder) if (folder / FACTS_FILE).exists() else open_split(features, name)


def open_split(features: str | Path, name: str) -> Split:
    """The split `name` (train, validation or test) in a features folder, which has it as arrays."""
    return Split(*(_open(Path(features) / name / f"{part}.npy") for part in ("x", "y")))


def epoch_order(rows: int, seed: int, epoch: int) -> np.ndarray:
    """(N,) a permutation of the rows that depends on `seed` and `epoch` only: a position in it is one integer."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)


def _open(path: Path) -> np.ndarray:
    array = (
        np.load(path, mmap_mode="r", allow_pickle=False)
        if path.stat().st_size > 4096
        else np.load(path, allow_pickle=False)
    )
    return array
