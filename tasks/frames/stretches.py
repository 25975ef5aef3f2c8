"""A big file of lines looked into in stretches, each by itself and all at once: where its records lie comes out as if it were read from its start.

What a stretch begins with, a record or the middle of one that is quoted over lines, is known from its start alone. So each begins to read
some way before, guesses, and tells where its first record starts and where the one after its last does. Where the two of neighbours differ, the
later one is looked into again, from the record that is known to start there.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tasks.frames.records import LONGEST
from tasks.frames.spans import Cut, Spans, spans
from tasks.frames.streams import Entry, is_plain

STRETCH = 256 << 20  # bytes
BEFORE = 2 * LONGEST  # read before a stretch: a record over several lines has half of that at most


def stretches(entry: Entry) -> list[tuple[int, int]]:
    """From and to of each; none where the file is not large, or can only be read from its start."""
    if not is_plain(entry) or entry.size < 2 * STRETCH:
        return []
    starts = range(0, entry.size - STRETCH // 2, STRETCH)
    return list(zip(starts, [*starts[1:], entry.size], strict=True))


class Stretch:
    """Of `found` the records that start from `begin` to `end`. `first`: where the first from `begin` on starts; `following`: the first from `end` on."""

    def __init__(self, found: Iterable[Spans], begin: int, end: int) -> None:
        self._found, self._begin, self._end = found, begin, end
        self.first: int | None = None
        self.following: int | None = None

    def __iter__(self) -> Iterator[Spans]:
        for block in self._found:
            a, b = np.searchsorted(block.starts, [self._begin, self._end]).tolist()
            if self.first is None and a < len(block.starts):
                self.first = int(block.starts[a])
            if a < b:
                yield block.part(a, b)
            if b < len(block.starts):
                self.following = int(block.starts[b])
                return


def records_before(stream: Any, cut: Cut, begin: int, ends: bytes) -> Iterator[Spans]:
    """Records from some way before `begin` on, if the line there starts one."""
    start = max(0, begin - BEFORE)
    stream.seek(start)
    start += len(stream.readline(BEFORE)) if start else 0
    stream.seek(start)
    return spans(stream, cut, start, ends)


def wrongly_begun(found: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int | None]]:
    """Number and true start (None: the file has ended) of each stretch that follows another and does not begin where that ends.

    `found`: (…, `first`, `following`) of each.
    """
    for number in range(1, len(found)):
        if found[number][-2] != found[number - 1][-1]:
            yield number, found[number - 1][-1]
