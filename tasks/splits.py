"""Features on disk: the rows of a split by memory map, and the order in which an epoch visits them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Split:
    """`x`: (N, *input shape); `y`: (N,) int64 class indices or float32 standardised numbers."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


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
