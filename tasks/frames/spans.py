"""Where the records of a file of lines lie, found block by block with numpy.

CSV whose quotation marks are regular (RFC 4180: one opens a cell, one closes it, within a cell they are doubled) is cut by counting
them. A block in which one stands elsewhere goes through `records`, line by line, which decides alike and can tell what is torn.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tasks.frames.long_lines import LONGEST_LINE, past
from tasks.frames.raw import RAW_LIMIT, Mark
from tasks.frames.records import LONGEST, records

BLOCK = 1 << 19
LF, CR, QUOTE = b'\n\r"'
SPACES = b" \t\n\r\v\f"


class Spans(NamedTuple):
    """Records that follow one another: their `starts` and `stops` in the file, and which are `torn`. `data`: bytes from `at` on."""

    starts: np.ndarray
    stops: np.ndarray
    torn: np.ndarray
    at: int
    data: bytes

    @property
    def first(self) -> bytes:
        """The content of the first one."""
        return self.data[self.starts[0] - self.at : self.stops[0] - self.at]

    def part(self, start: int, stop: int | None = None) -> "Spans":
        """Some of them, by number."""
        some = slice(start, stop)
        return self._replace(starts=self.starts[some], stops=self.stops[some], torn=self.torn[some])


Cut = Callable[[bytes, bool], tuple[np.ndarray, np.ndarray, np.ndarray, int]]
"""Bytes from a record's start, and whether they go to the file's end → starts, stops and torn of the records in them, and the bytes decided."""


def csv_cut(delimiter: str, quoting: bool) -> Cut:
    """Records of CSV; blank lines are none. Without `quoting` each line is one."""

    def cut(data: bytes, final: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        ends = _regular_ends(data, final, delimiter, quoting)
        if ends is None:
            return _line_by_line(data, final, delimiter)
        return _between(data, ends, lambda first: (first != LF) & (first != CR))

    return cut


def line_cut(data: bytes, final: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Lines with something in them but white space."""
    starts, stops, torn, used = _between(
        data, _line_feeds(np.frombuffer(data, np.uint8), final), lambda first: first != LF
    )
    first = np.frombuffer(data, np.uint8)[starts]
    kept = ~np.isin(first, np.frombuffer(SPACES, np.uint8))
    for index in np.flatnonzero(~kept):
        kept[index] = bool(data[starts[index] : stops[index]].strip())
    return starts[kept], stops[kept], torn[kept], used


def spans(stream: Any, cut: Cut, at: int = 0, ends: bytes = b"\n") -> Iterator[Spans]:
    """The records of what is left of `stream`, which is at byte `at` of the file, where a record starts.

    `ends`: bytes that end a line. Of a line longer than `long_lines.LONGEST_LINE` the memory holds no more than that; it is a record by itself.
    """
    held = b""
    while True:
        block = stream.read(max(BLOCK, len(held)))  # a long record is looked at again a few times only
        data = held + block
        starts, stops, torn, used = cut(data, not block)
        if len(starts):
            yield Spans(starts + at, stops + at, torn, at, data)
        if not block:
            return
        held, at = data[used:], at + used
        last = max(held.rfind(end) for end in (bytes([one]) for one in ends)) + 1
        if len(held) - last > LONGEST_LINE:
            starts, stops, torn, _ = cut(
                held[:last], True
            )  # a quotation that is open before such a line is never closed
            if len(starts):
                yield Spans(starts + at, stops + at, torn, at, held)
            rest, beyond = past(stream, ends)
            start, stop = at + last, at + len(held) + rest
            yield Spans(np.array([start]), np.array([stop]), np.array([True]), start, held[last : last + RAW_LIMIT])
            held, at = beyond, stop


def marks(found: Iterable[Spans], shard_rows: int) -> Iterator[Mark]:
    """The records in marks of so many rows; one that is too long in a mark of its own."""
    start, count, offset, end, torn = 0, 0, 0, 0, list[tuple[int, int, int]]()
    for block in found:
        index = 0
        for stop in (*np.flatnonzero(block.stops - block.starts > LONGEST_LINE).tolist(), len(block.starts)):
            while index < stop:
                offset = offset if count else int(block.starts[index])
                taken = min(shard_rows - count, stop - index)
                for one in (np.flatnonzero(block.torn[index : index + taken]) + index).tolist():
                    a, b = int(block.starts[one]), int(block.stops[one])
                    torn.append((count + one - index, a - offset, b - a))
                count, index = count + taken, index + taken
                end = int(block.stops[index - 1])
                if count == shard_rows:
                    yield Mark(start, start + count, offset, end - offset, tuple(torn))
                    start, count, torn = start + count, 0, []
            if index < len(block.starts):  # a long one
                if count:
                    yield Mark(start, start + count, offset, end - offset, tuple(torn))
                    start, count, torn = start + count, 0, []
                yield Mark(start, start + 1, int(block.starts[index]), int(block.stops[index] - block.starts[index]))
                start, index = start + 1, index + 1
    if count:
        yield Mark(start, start + count, offset, end - offset, tuple(torn))


def _between(
    data: bytes, ends: np.ndarray, is_record: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What lies between `ends`, but for what its first byte shows to be blank."""
    if not len(ends):
        return ends, ends, np.zeros(0, bool), 0
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    kept = is_record(np.frombuffer(data, np.uint8)[starts])
    whole = kept.all()
    starts, stops = (starts, ends) if whole else (starts[kept], ends[kept])
    return starts, stops, np.zeros(len(starts), bool), int(ends[-1])


def _line_feeds(found: np.ndarray, final: bool) -> np.ndarray:
    ends = np.flatnonzero(found == LF) + 1
    return _with_last(ends, len(found)) if final else ends


def _with_last(ends: np.ndarray, size: int) -> np.ndarray:
    """The file's end ends its last line too."""
    return np.append(ends, size) if size and (not len(ends) or ends[-1] != size) else ends


def _regular_ends(data: bytes, final: bool, delimiter: str, quoting: bool) -> np.ndarray | None:
    """Where records end; None where that needs a closer look."""
    found, returns = np.frombuffer(data, np.uint8), b"\r" in data
    if not quoting or b'"' not in data:
        return _line_ends(found, final) if returns else _line_feeds(found, final)
    quotes, ends, within = (_among_returns if returns else _among_line_feeds)(found, final)
    if not _are_regular(found, quotes, delimiter):
        return None
    if not within.any():
        return ends
    closed = ends[~within]
    undecided = len(data) - (int(closed[-1]) if len(closed) else 0)
    longest = max(undecided, int(np.diff(closed, prepend=0).max(initial=0)))
    return None if longest > LONGEST or (final and within[-1]) else closed


def _among_line_feeds(found: np.ndarray, final: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where quotation marks stand, where lines end, and whether there were odd many before each end; in one pass."""
    marked = np.flatnonzero((found == QUOTE) | (found == LF))
    are_quotes = found[marked] == QUOTE
    odd = (np.cumsum(are_quotes) & 1).astype(bool)
    ends, within = marked[~are_quotes] + 1, odd[~are_quotes]
    if final and len(whole := _with_last(ends, len(found))) > len(ends):
        ends, within = whole, np.append(within, odd[-1])
    return marked[are_quotes], ends, within


def _among_returns(found: np.ndarray, final: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same where a carriage return may end a line."""
    quotes, ends = np.flatnonzero(found == QUOTE), _line_ends(found, final)
    return quotes, ends, (np.searchsorted(quotes, ends) & 1).astype(bool)


def _line_ends(found: np.ndarray, final: bool) -> np.ndarray:
    """A lone carriage return ends a line too; the last byte's fellow may come yet."""
    returns = np.flatnonzero(found[: None if final else -1] == CR)
    alone = returns[(returns + 1 == len(found)) | (found[np.minimum(returns + 1, len(found) - 1)] != LF)]
    ends = np.sort(np.concatenate([np.flatnonzero(found == LF), alone])) + 1
    return _with_last(ends, len(found)) if final else ends


def _are_regular(found: np.ndarray, quotes: np.ndarray, delimiter: str) -> bool:
    """Whether each quotation mark opens a cell, closes one, or is one of two within; counted from a record's start."""
    code = delimiter.encode()
    if len(code) != 1 or code == b'"':
        return False
    borders = np.zeros(256, bool)
    borders[[LF, CR, QUOTE, code[0]]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = found[np.maximum(opening - 1, 0)]  # the first byte of all is its own border, as it is a quotation mark
    after = found[np.minimum(closing + 1, len(found) - 1)]  # and so is the last
    return bool(borders[before].all() and borders[after].all())


def _line_by_line(data: bytes, final: bool, delimiter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    lines, used = _Lines(data), 0
    found: list[tuple[int, int, bool]] = []
    for record in records(lines, delimiter, quoting=True):
        if lines.ended and not final:  # what follows may decide about it
            break
        found.append((record.start, record.stop, record.torn))
        used = record.stop
    starts, stops, torn = np.array(found, np.int64).reshape(-1, 3).T
    return starts, stops, torn.astype(bool), used


class _Lines:
    """Lines, and whether the last one was given away."""

    def __init__(self, data: bytes) -> None:
        self._data, self.ended = data, False

    def __iter__(self) -> Iterator[bytes]:
        left = len(self._data)
        for line in io.BytesIO(self._data):
            left -= len(line)
            self.ended = not left
            yield line
