"""Places in a buffer of texts: runs of bytes, and windows around them that end where their text ends."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """Some bytes of one text; `start`: where they begin in the buffer; `head`: bytes before what is looked at."""

    start: int
    text: bytes
    head: int

    def place(self, match: re.Match[bytes], kind: str, group: int = 0) -> tuple[int, int, str]:
        """Where the match stands in the buffer, as a thing of that kind."""
        return self.start + match.start(group), self.start + match.end(group), kind


def runs_of(mask: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of true begins, and where it has ended; none goes over the end of a text."""
    inner = offsets[(offsets > 0) & (offsets < len(mask))]
    inner = inner[mask[inner] & mask[inner - 1]]
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    outer = [edge for edge, there in ((0, mask[0]), (len(mask), mask[-1])) if there]
    if len(inner) or outer:
        edges = np.sort(np.concatenate([edges, outer, inner, inner]).astype(np.intp))
    return edges[::2], edges[1::2]


def windows(
    buffer: np.ndarray, offsets: np.ndarray, starts: np.ndarray, stops: np.ndarray, before: int, after: int
) -> Iterator[Window]:
    """For each run the bytes around it, so many before and after at most, of the text that it begins in."""
    texts = np.searchsorted(offsets, starts, "right")
    left = np.maximum(starts - before, offsets[texts - 1])
    right = np.minimum(stops + after, offsets[texts])
    for begin, start, end in zip(left.tolist(), starts.tolist(), right.tolist(), strict=True):
        yield Window(begin, buffer[begin:end].tobytes(), start - begin)
