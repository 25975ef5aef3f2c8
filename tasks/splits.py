"""Features on disk: the rows of a split by memory map, and the order in which an epoch visits them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """`x`: (N, *input shape); `y`: (N,) int64 class indices or float32 standardised numbers; of windows (N, T) tokens and the next ones."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def some(self, share: float, seed: int) -> "Split":
        """This share of the rows, at least one, chosen by `seed`, in their order; all of them as they lie for a share of 1."""
        if share == 1:
            return self
        rows = np.sort(epoch_order(len(self), seed, 0)[: max(1, round(share * len(self)))])
        return Split(self.x[rows], self.y[rows])


def open_split(features: str | Path, name: str) -> Split:
    """The split `name` (train, validation or test) in a features folder."""
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
