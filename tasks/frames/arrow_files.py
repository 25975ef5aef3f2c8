"""Arrow IPC files and streams, and Feather (which is Arrow's file format): rows by number, with the types they have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.raw import Raw, with_origin
from tasks.frames.streams import Entry, open_entry

MAGIC = b"ARROW1"  # https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
FEATHER_1 = b"FEA1"


def count_rows(entry: Entry) -> int:
    """Rows of all batches. SchemaError where it is no Arrow file."""
    with _batches(entry) as (_, batches):
        return sum(batch.num_rows for batch in batches)


def read(entry: Entry, start: int, stop: int) -> Raw:
    """Rows `start` to `stop`; batches that hold none of them are not kept. Dictionaries become plain values."""
    kept, before = [], 0
    with _batches(entry) as (schema, batches):
        for batch in batches:
            first, last = max(start - before, 0), min(stop - before, batch.num_rows)
            if first < last:
                kept.append(batch.slice(first, last - first))
            before += batch.num_rows
            if before >= stop:
                break
        table = pa.Table.from_batches(kept, schema).replace_schema_metadata(None)
    return Raw(with_origin(_plain(table), entry.name, pa.array(np.arange(start + 1, stop + 1))))


def _plain(table: pa.Table) -> pa.Table:
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(column.type.value_type))
    return table


@contextmanager
def _batches(entry: Entry) -> Iterator[tuple[pa.Schema, Iterator[Any]]]:
    """Schema and record batches, one at a time."""
    with open_entry(entry) as stream:
        head = stream.read(len(MAGIC))
        if head.startswith(FEATHER_1):
            raise SchemaError(f"{entry.name}: is Feather of version 1; write it again with version 2, or as Parquet")
        try:
            if head == MAGIC:
                yield _file(stream)
            else:
                stream = pa.PythonFile(_Again(head, stream), "r")
                reader = pa.ipc.open_stream(stream)
                yield reader.schema, iter(reader)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SchemaError(f"{entry.name}: is no readable Arrow file ({error}); write it again") from error


def _file(stream: Any) -> tuple[pa.Schema, Iterator[Any]]:
    """Arrow's file format is read from its end: what cannot seek is taken into memory."""
    source = stream
    if stream.seekable():
        stream.seek(0)
    else:
        source = pa.BufferReader(MAGIC + stream.read())
    reader = pa.ipc.open_file(source)
    return reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))


class _Again:
    """A stream whose first bytes were read already."""

    closed = False

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head, self._stream = head, stream

    def read(self, count: int = -1) -> bytes:
        if not self._head:
            return self._stream.read(count)
        found, self._head = (
            (self._head, b"") if count < 0 or count >= len(self._head) else (self._head[:count], self._head[count:])
        )
        return found + (self._stream.read(count - len(found) if count >= 0 else -1))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        pass
