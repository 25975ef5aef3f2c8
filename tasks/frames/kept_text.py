"""The text of a file that can only be read from its start (compressed, recoded, in an archive): kept in the store, shard by shard, by its survey.

Else each shard would decompress all that lies before it: of a file of n shards n/2 times the whole. The survey reads it all anyway, and holds
one shard's bytes at a time; they lie there as blobs of the survey's result, so they are made once, whoever is killed meanwhile, and go as that
does: when no run has wanted the file for a while, or nothing in use names them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, replace
from typing import Any

import zstandard

from storage.blobs import Blob, put_blob, read_blob
from storage.metering import carried
from storage.objects import ObjectStore
from tasks.frames.encodings import open_text
from tasks.frames.long_lines import is_too_long
from tasks.frames.raw import RAW_LIMIT, Mark
from tasks.frames.streams import Entry, skip
from tasks.sections import DataSection

LEVEL = 1  # of zstd: it is written and read once or twice
WRITERS, WAITING = 4, 8  # at once, and shards held in memory for them at most, as object stores answer slowly


class Teed:
    """A stream that holds what was read of it until it is taken, or forgotten."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._read = stream, 0
        self._blocks = deque[tuple[int, bytes]]()

    def read(self, size: int) -> bytes:
        content: bytes = self._stream.read(size)
        self._blocks.append((self._read, content))
        self._read += len(content)
        return content

    def forget(self) -> None:
        """What was read last is not held."""
        self._blocks.pop()

    def take(self, mark: Mark) -> bytes:
        """The mark's bytes, as far as they are held (of a line that is too long: the beginning); they and all before them are forgotten."""
        taken, stop = list[bytes](), mark.offset + mark.length
        while self._blocks and self._blocks[0][0] < stop:
            at, content = self._blocks.popleft()
            taken.append(content[max(0, mark.offset - at) : stop - at])
            if stop - at < len(content):
                self._blocks.appendleft((stop, content[stop - at :]))
        return b"".join(taken)[: RAW_LIMIT if is_too_long(mark) else None]


def keep(store: ObjectStore, stream: Teed, marks: Iterable[Mark]) -> Iterator[Mark]:
    """The marks, each with the blob of its bytes; a file of one shard is not kept."""
    waiting: deque[tuple[Mark, Future[Blob]]] = deque()
    with ThreadPoolExecutor(WRITERS) as writers:
        put: Callable[[bytes], Blob] = carried(lambda content: put_blob(store, _packed(content), ".zst"))
        for mark, is_only in _told_alone(marks):
            if is_only:
                yield mark
                return
            waiting.append((mark, writers.submit(put, stream.take(mark))))
            if len(waiting) > WAITING:
                yield _kept(*waiting.popleft())
        yield from (_kept(*one) for one in waiting)


def content_of(section: DataSection, entry: Entry, part: Mark, store: ObjectStore | None) -> bytes:
    """The bytes of `part`, in UTF-8, from `store` where they are kept there; of a line that is too long the beginning."""
    if part.kept and store is not None:
        return zstandard.ZstdDecompressor().decompress(read_blob(store, Blob(*part.kept)))
    with open_text(entry, section.encoding) as stream:
        skip(stream, part.offset)
        return stream.read(RAW_LIMIT if is_too_long(part) else part.length)


def _packed(content: Any) -> bytes:
    return zstandard.ZstdCompressor(LEVEL).compress(content)


def _kept(mark: Mark, blob: "Future[Blob]") -> Mark:
    return replace(mark, kept=astuple(blob.result()))


def _told_alone(marks: Iterable[Mark]) -> Iterator[tuple[Mark, bool]]:
    """Each mark, and whether it is the only one: the first waits for the second."""
    found = iter(marks)
    first, second = next(found, None), next(found, None)
    if first is not None:
        yield first, second is None
    if second is not None:
        yield second, False
    yield from ((mark, False) for mark in found)
