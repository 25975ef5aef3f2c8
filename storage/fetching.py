"""Fetching big objects from a store in a cloud: in parts, several at a time, and further where a killed process stopped.

Parts lie in `work/unfinished/fetch-…` of the data root beside a note of which are whole. Nothing is believed of them: the file is looked at as
a whole before it is moved to its place.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from storage.locks import hold
from storage.metering import carried
from storage.objects import ObjectStore
from storage.root import unfinished_folder

BIG_BYTES = 16 << 20  # below that one request is as quick
PART_BYTES = 8 << 20
_PARALLEL = 4  # with the files of an artifact, of which several are fetched at a time, enough to fill a line
Seen = TypeVar("Seen")


def fetch_in_parts(
    store: ObjectStore, key: str, size: int, path: Path, look: Callable[[Path], Seen], wanted: Seen
) -> Seen:
    """Fetch an object of `size` bytes to `path`; what `look` says of the file. It is at its place only if that is what was `wanted`.

    Parts that an earlier process fetched count, unless the whole is wrong: then all are fetched once more. Of several processes one fetches.
    """
    name = f"fetch-{hashlib.sha256(f'{store.url}/{key}'.encode()).hexdigest()[:32]}"
    with hold(name, lambda: None):
        if path.exists() and look(path) == wanted:  # another process was first
            return wanted
        with unfinished_folder(name) as folder:
            parts = _Parts(folder, size)
            taken_up = parts.any_done()
            found = parts.fetched(store, key, look)
            if found != wanted and taken_up:
                parts.discard()
                found = parts.fetched(store, key, look)
            if found == wanted:
                os.replace(parts.file, path)
            return found


class _Parts:
    """A file that is put together of parts. `done`: a byte for each part, 1 where it is whole."""

    def __init__(self, folder: Path, size: int) -> None:
        self.file, self.done, self.size = folder / "parts", folder / "done", size
        self.starts = range(0, size, PART_BYTES)
        if not self.file.exists() or len(self._marks()) != len(self.starts) or self.file.stat().st_size != size:
            self.discard()

    def discard(self) -> None:
        """Begin from nothing. First the marks go: they must never speak of what is not there."""
        self.done.write_bytes(bytes(len(self.starts)))
        with self.file.open("wb") as file:
            file.truncate(self.size)

    def any_done(self) -> bool:
        """Whether somebody fetched some of them before."""
        return any(self._marks())

    def fetched(self, store: ObjectStore, key: str, look: Callable[[Path], Seen]) -> Seen:
        """Fetch the parts that are missing; what `look` says of the whole."""
        marks = self._marks()
        missing = [number for number in range(len(marks)) if not marks[number]]
        with self.file.open("r+b") as file, self.done.open("r+b") as done, ThreadPoolExecutor(_PARALLEL) as pool:

            def fetch(number: int) -> None:
                start = self.starts[number]
                content = store.part(key, start, min(PART_BYTES, self.size - start))
                os.pwrite(file.fileno(), content, start)
                os.pwrite(done.fileno(), b"\1", number)

            for _ in pool.map(carried(fetch), missing):
                pass
        return look(self.file)

    def _marks(self) -> bytes:
        return self.done.read_bytes() if self.done.exists() else b""
