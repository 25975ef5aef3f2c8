"""The words of many texts, as places in their bytes: NumPy over blocks of some hundred kilobytes, which stay in a processor's cache.

A word is what stands between bytes up to the plain space: white space and control characters of ASCII. Other white space is made plain by
the pass `whitespace`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

BLOCK_BYTES = 1 << 17
CONTINUED = 0x80  # of a byte of UTF-8 that begins no character, the two highest bits


@dataclass(frozen=True)
class Words:
    """`first`: number of the first text among all; `buffer`: the block's bytes; `offsets` (N + 1,): where its texts begin and end."""

    first: int
    buffer: np.ndarray
    offsets: np.ndarray

    @cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """(W,) where each word begins, and where it has ended; none goes over the end of a text."""
        solid = self.buffer > ord(" ")
        begins, ends = solid.copy(), solid.copy()
        begins[1:] &= ~solid[:-1]
        ends[:-1] &= ~solid[1:]
        inner = self.offsets[self.offsets < len(solid)]
        begins[inner] = solid[inner]
        last = self.offsets[self.offsets > 0] - 1
        ends[last] = solid[last]
        return np.flatnonzero(begins), np.flatnonzero(ends) + 1

    @cached_property
    def bounds(self) -> np.ndarray:
        """(N + 1,) the first word of each text."""
        return np.searchsorted(self.spans[0], self.offsets)

    @cached_property
    def counts(self) -> np.ndarray:
        """(N,) words of each text."""
        return np.diff(self.bounds)

    @cached_property
    def texts(self) -> np.ndarray:
        """(W,) the text of each word, by its number in the block."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(W,) characters of each word."""
        begins, ends = self.spans
        later = (self.buffer & 0xC0) == CONTINUED
        return ends - begins - (self._within(later) if later.any() else 0)

    @cached_property
    def has_letter(self) -> np.ndarray:
        """(W,) whether there is a letter in it; beyond ASCII by the first byte of its UTF-8: none of U+0080–U+00BF, U+2000–U+2FFF, nor emoji."""
        ascii_letter = (self.buffer | 0x20) - np.uint8(ord("a")) < 26
        other = (self.buffer - np.uint8(0xC3) < 0xF0 - 0xC3) & (self.buffer != 0xE2)
        return self._within(ascii_letter | other) > 0

    def count(self, places: np.ndarray) -> np.ndarray:
        """(N,) how many of some bytes, given by their places in order, each text has."""
        return np.diff(np.searchsorted(places, self.offsets))

    def of_texts(self, values: np.ndarray) -> np.ndarray:
        """(N,) the sums over the words of each text of (W,) values."""
        sums = np.concatenate([[0], np.cumsum(values)])
        return sums[self.bounds[1:]] - sums[self.bounds[:-1]]

    def _within(self, mask: np.ndarray) -> np.ndarray:
        """(W,) bytes of each word for which `mask` is true."""
        begins, ends = self.spans
        sums = np.zeros(len(mask) + 1, np.int32)
        np.cumsum(mask, out=sums[1:])
        return sums[ends] - sums[begins]


def blocks(texts: pa.StringArray) -> Iterator[Words]:
    """All texts in blocks; a text that is larger is a block of its own. What is null has no words."""
    rows = len(texts)
    if not rows:
        return
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + rows + 1]
    data = texts.buffers()[2]
    buffer = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    start = 0
    while start < rows:
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + BLOCK_BYTES, "right")) - 1)
        yield Words(start, buffer[offsets[start] : offsets[stop]], offsets[start : stop + 1] - offsets[start])
        start = stop


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where there is nothing."""
    return part / np.maximum(whole, 1)
