"""The training loader: which rows each step learns from, and those rows. B batch.

All rows lie in one order, a permutation that follows from (seed, epoch) alone, and batches are taken from it one after the other, epoch after
epoch. So where a training is in its data is one integer, the rows that it has consumed; ranks that share a batch share the order, whatever their
number: rank r of R has each R-th row of it from the r-th on.
"""

from dataclasses import dataclass

import numpy as np

from tasks.splits import Samples, epoch_order

WHOLE = 1 << 24  # an epoch's order of up to so many rows is drawn as a whole: 128 MB
PLACES = 1 << 14  # of more rows so many places at a time
ROUNDS = 8
_MIX = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)  # SplitMix64 (Steele 2014)


class Sampler:
    """`rows` in batches of equal size, `batch_size` at most (sizes differ by one where they must), in an order of each epoch's own."""

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.steps = -(-rows // batch_size)
        """Batches in an epoch."""
        self._drawn = (-1, 0, np.empty(0, np.int64))  # epoch, first place, rows

    def batch(self, consumed: int) -> np.ndarray:
        """(B,) the batch that begins after `consumed` rows; what is left of it where they end within one."""
        epoch, place = divmod(consumed, self.rows)
        return self._places(epoch, place, self.start(self._step(place) + 1))

    def where(self, consumed: int) -> tuple[int, int]:
        """Epoch, and step in it, that come after `consumed` rows."""
        epoch, place = divmod(consumed, self.rows)
        return epoch, self._step(place)

    def start(self, step: int) -> int:
        """The first place of a step's batch in an epoch's order."""
        size, longer = divmod(self.rows, self.steps)
        return step * size + min(step, longer)

    def _step(self, place: int) -> int:
        size, longer = divmod(self.rows, self.steps)
        return place // (size + 1) if place < longer * (size + 1) else (place - longer) // size

    def _places(self, epoch: int, start: int, stop: int) -> np.ndarray:
        known, first, drawn = self._drawn
        if known != epoch or not first <= start <= stop <= first + len(drawn):
            first = 0 if self.rows <= WHOLE else start
            self._drawn = epoch, first, self._draw(epoch, first, stop)
        return self._drawn[2][start - first : stop - first]

    def _draw(self, epoch: int, first: int, stop: int) -> np.ndarray:
        if self.rows <= WHOLE:
            return epoch_order(self.rows, self.seed, epoch)
        places = np.arange(first, min(self.rows, max(stop, first + PLACES)))
        return scattered(places, self.rows, self.seed, epoch)


@dataclass
class Loader:
    """Batches of `samples` without end: (B,) rows, and their x and y. `consumed` is all of its state: with it another loader goes on.

    Of `ranks` loaders with the same sampler, each has its own part of every batch.
    """

    samples: Samples
    sampler: Sampler
    consumed: int = 0
    rank: int = 0
    ranks: int = 1

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        batch = self.sampler.batch(self.consumed)
        self.consumed += len(batch)
        rows_B = batch[self.rank :: self.ranks]
        return rows_B, *self.samples.batch(rows_B)


def scattered(places: np.ndarray, rows: int, seed: int, epoch: int) -> np.ndarray:
    """What stands at `places` of a permutation of `rows` that follows from (seed, epoch); nothing else of it is worked out.

    A Feistel network (Luby 1988) over the next power of two, walked along until it is back among the rows (Black 2002).
    """
    bits = max(2, (rows - 1).bit_length())
    keys = np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64)
    found = _rounds(places.astype(np.uint64), bits, keys)
    while len(outside := np.flatnonzero(found >= rows)):
        found[outside] = _rounds(found[outside], bits, keys)
    return found.astype(np.int64)


def _rounds(values: np.ndarray, bits: int, keys: np.ndarray) -> np.ndarray:
    low_bits = np.uint64(bits // 2)
    low_mask, high_mask = (np.uint64((1 << size) - 1) for size in (bits // 2, bits - bits // 2))
    low, high = values & low_mask, values >> low_bits
    for number, key in enumerate(keys):
        if number % 2:
            low ^= _mixed(high + key) & low_mask
        else:
            high ^= _mixed(low + key) & high_mask
    return high << low_bits | low


def _mixed(values: np.ndarray) -> np.ndarray:
    values = (values ^ values >> np.uint64(30)) * _MIX[0]
    values = (values ^ values >> np.uint64(27)) * _MIX[1]
    return values ^ values >> np.uint64(31)
