"""Parquet: rows by number, with the types they have."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import Unreadable
from tasks.frames.raw import Raw, with_origin
from tasks.frames.streams import Entry, open_entry


def count_rows(entry: Entry) -> int:
    """Rows, from the file's footer."""
    with opened_file(entry) as file:
        return file.metadata.num_rows


def read(entry: Entry, start: int, stop: int, columns: Sequence[str] | None = None) -> Raw:
    """Rows `start` to `stop`, of `columns` only where they are given; reads only the row groups that hold them."""
    with opened_file(entry) as file:
        groups, first, before = [], 0, 0
        for index in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(index).num_rows
            if before < stop and before + rows > start:
                first = before if not groups else first
                groups.append(index)
            before += rows
        table = (
            file.read_row_groups(groups, columns=columns and list(columns))
            .slice(start - first, stop - start)
            .replace_schema_metadata(None)
        )
    return Raw(with_origin(table, entry.name, pa.array(np.arange(start + 1, stop + 1))))


@contextmanager
def opened_file(entry: Entry) -> Iterator[pq.ParquetFile]:
    """The file behind `entry`, to be read in parts. Unreadable where it is no Parquet, or damaged."""
    with open_entry(entry) as stream:
        # Parquet is read from its end: what is no seekable file is taken into memory
        source = stream if stream.seekable() and not entry.member else io.BytesIO(stream.read())
        try:
            yield pq.ParquetFile(source)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Unreadable(f"{entry.name}: is no readable Parquet file ({error}); write it again") from error
