"""How many bytes of the sources a step reads: counted on the way, as they lie there, before they are decompressed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storage.metering import charge, is_metered


@contextmanager
def counted(raw: Any) -> Iterator[Any]:
    """`raw`, a stream that can seek; what is read of it is charged to the step at hand, where there is one."""
    if not is_metered():
        yield raw
        return
    stream = _Counted(raw)
    try:
        yield io.BufferedReader(stream)
    finally:
        charge({"bytes_in": stream.count})


class _Counted(io.RawIOBase):
    """Another's bytes, counted as they are read. It does not close the other, whose end is its opener's affair."""

    def __init__(self, raw: Any) -> None:
        self._raw, self.count = raw, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._raw.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        content = self._raw.read(len(buffer))
        buffer[: len(content)] = content
        self.count += len(content)
        return len(content)
