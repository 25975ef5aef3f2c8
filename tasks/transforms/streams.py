"""Token files: a split's tokens in one flat file, documents parted by the end of text, of which training takes windows. T tokens of a window.

`tokens.bin`: the ids, uint16 or int32 as they lie on this machine, filled up with the end of text to whole windows and one more;
`tokens.json`: how to read them; `segments.npy` (S, 3), where documents are packed: a window, and the first token and the length of a stretch
that is in it. Each token but the first is a target exactly once; what is filled up is no target.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from tasks.transforms.windows import DOCUMENT, IGNORED, TOKENS, Windows

TOKENS_FILE, FACTS_FILE, SEGMENTS_FILE = "tokens.bin", "tokens.json", "segments.npy"
PACKINGS = {"concatenate": (TOKENS_FILE, FACTS_FILE), "best_fit": (TOKENS_FILE, FACTS_FILE, SEGMENTS_FILE)}
"""The files of each way of filling windows: documents one after the other, cut where a window ends; or no cut that can be avoided."""


@dataclass(frozen=True)
class TokenStream:
    """Windows over a token file. `count`: tokens that are not filled up; `segments_S3`: where documents are packed."""

    tokens: np.ndarray
    context: int
    end: int
    count: int
    segments_S3: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tokens) // self.context if self.segments_S3 is None else int(self.segments_S3[-1, 0]) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return (self.context,)

    def batch(self, rows_B: np.ndarray) -> Windows:
        """`x` and `y` (B, T) int32 of these windows."""
        return self._packed(rows_B) if self.segments_S3 is not None else self._following(rows_B)

    def _following(self, rows_B: np.ndarray) -> Windows:
        ids_BU = self._windows_WU[rows_B].astype(np.int32)  # U: T + 1
        x_BT, y_BT = ids_BU[:, :-1], ids_BU[:, 1:]
        last = len(self) - 1
        if (filled_up := rows_B == last).any():
            y_BT = y_BT.copy()  # its memory is that of the inputs
            y_BT[filled_up, self.count - 1 - last * self.context :] = IGNORED
        return x_BT, y_BT

    @cached_property
    def _windows_WU(self) -> np.ndarray:
        size = self.tokens.itemsize
        shape, strides = (len(self), self.context + 1), (self.context * size, size)
        return np.lib.stride_tricks.as_strided(self.tokens, shape, strides, writeable=False)

    def _packed(self, rows_B: np.ndarray) -> Windows:
        x_BT = np.full((len(rows_B), self.context), self.end, np.int32)
        y_BT = np.full_like(x_BT, IGNORED)
        for place, row in enumerate(rows_B):
            at = 0
            for start, length in self._parts_S2[self._firsts[row] : self._firsts[row + 1]].tolist():
                x_BT[place, at : at + length] = self.tokens[start : start + length]
                y_BT[place, at : at + length] = self.tokens[start + 1 : start + length + 1]
                at += length
        return x_BT, y_BT

    @cached_property
    def _parts_S2(self) -> np.ndarray:
        return np.empty((0, 2), np.int64) if self.segments_S3 is None else self.segments_S3[:, 1:]

    @cached_property
    def _firsts(self) -> np.ndarray:
        """The first segment of each window, and the end."""
        windows = [] if self.segments_S3 is None else self.segments_S3[:, 0]
        return np.searchsorted(windows, np.arange(len(self) + 1))


def open_stream(folder: Path) -> TokenStream:
    """The token file in a folder, by memory map."""
    facts = json.loads((folder / FACTS_FILE).read_bytes())
    tokens = np.asarray(np.memmap(folder / TOKENS_FILE, facts["dtype"], "r"))
    segments = np.load(folder / SEGMENTS_FILE) if facts["packing"] == "best_fit" else None
    return TokenStream(tokens, facts["context"], facts["end"], facts["count"], segments)


def write_stream(
    folder: Path, parts: Iterable[tuple[np.ndarray, np.ndarray]], context: int, end: int, packing: str
) -> None:
    """Write the files of `PACKINGS`, from the tokens and `rows_N4` of one part after the other; memory holds one part."""
    count, before, starts, dtype = 0, None, list[np.ndarray](), np.dtype(np.int32)
    with (folder / TOKENS_FILE).open("wb") as file:
        for ids, rows_N4 in parts:
            documents, dtype = rows_N4[:, DOCUMENT], ids.dtype
            places = (np.cumsum(rows_N4[:, TOKENS]) - rows_N4[:, TOKENS])[_begins(documents, before)]
            np.insert(ids, places, end).tofile(file)
            starts.append(count + places + np.arange(len(places)))
            count, before = count + len(ids) + len(places), documents[-1]
        windows = -(-count // context)  # of the tokens so far each is one's input; the end is the last target
        np.full(windows * context + 1 - count, end, dtype).tofile(file)
    count += 1
    facts = {"dtype": dtype.name, "context": context, "end": end, "count": count, "packing": packing}
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    if packing == "best_fit":
        np.save(folder / SEGMENTS_FILE, pack([*np.concatenate(starts).tolist(), count - 1], context))


def pack(starts: Sequence[int], context: int) -> np.ndarray:
    """(S, 3) segments of documents that begin at `starts`, the last of which is the end of all.

    Best fit decreasing, as in Ding 2024 (Fewer Truncations Improve Language Modeling): a document is cut only into whole windows and a rest;
    the longest rest goes first, each to the window that it fills best.
    """
    whole, rests = list[tuple[int, int]](), list[tuple[int, int]]()
    for start, stop in pairwise(starts):
        cut = stop - (stop - start) % context
        whole += [(at, context) for at in range(start, cut, context)]
        rests += [(cut, stop - cut)] * (cut < stop)
    windows, room = (
        [[segment] for segment in whole],
        list[tuple[int, int]](),
    )  # room: free tokens and number of each window
    for start, length in sorted(rests, key=lambda rest: (-rest[1], rest[0])):
        place = bisect_left(room, (length, 0))
        free, window = room.pop(place) if place < len(room) else (context, len(windows))
        if window == len(windows):
            windows.append([])
        windows[window].append((start, length))
        if free > length:
            insort(room, (free - length, window))
    return np.array([(window, *part) for window, parts in enumerate(windows) for part in parts], np.int64)


def _begins(documents: np.ndarray, before: int | None) -> np.ndarray:
    """(N,) whether a row is the first of its document, after a row of `before`."""
    return documents != np.concatenate([[~documents[0] if before is None else before], documents[:-1]])
