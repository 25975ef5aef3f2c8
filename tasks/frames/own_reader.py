"""A user's own reader: a function that makes tables of a file that nobody else can read.

It is given the file's decompressed bytes as a stream, and returns a pandas.DataFrame or a pyarrow.Table, or yields several of them. A file of
more than one shard is read once for each, so files of about a shard's size are best.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.raw import Raw, with_origin
from tasks.frames.streams import Entry, open_entry
from tasks.own_code import load_function, told
from tasks.sections import DataSection


def count_rows(section: DataSection, entry: Entry) -> int:
    """Rows of all tables that the reader makes of the file."""
    return sum(table.num_rows for table in _tables(section, entry))


def read(section: DataSection, entry: Entry, start: int, stop: int) -> Raw:
    """Rows `start` to `stop` of what the reader makes of the file. SchemaError, naming it, where it raises or returns anything else."""
    kept, before = list[pa.Table](), 0
    for table in _tables(section, entry):
        first, last = max(start - before, 0), min(stop - before, table.num_rows)
        if first < last or not kept:
            kept.append(table.slice(first, max(0, last - first)))
        before += table.num_rows
        if before >= stop:
            break
    try:
        rows = pa.concat_tables(kept, promote_options="permissive")
    except pa.ArrowException as error:
        raise _wrong(section, entry, f"tables that do not fit together ({told(error)})") from error
    return Raw(with_origin(rows, entry.name, pa.array(np.arange(start + 1, start + 1 + rows.num_rows))))


def _tables(section: DataSection, entry: Entry) -> Iterator[pa.Table]:
    function = load_function(section.reader, "data.reader")
    with open_entry(entry) as stream:
        try:
            made = function(stream)
            parts = made if isinstance(made, Iterable) and not _is_table(made) else [made]
            for part in parts:
                yield _table(section, entry, part)
        except SchemaError:
            raise
        except Exception as error:
            raise SchemaError(
                f"data.reader {section.reader}, {entry.name}: raised {told(error)}; correct the reader"
            ) from error


def _is_table(made: Any) -> bool:
    return isinstance(made, pa.Table) or hasattr(made, "iloc")


def _table(section: DataSection, entry: Entry, part: Any) -> pa.Table:
    if isinstance(part, pa.Table):
        return part.replace_schema_metadata(None)
    if not _is_table(part):
        raise _wrong(section, entry, type(part).__name__)
    try:
        return pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError) as error:
        raise _wrong(section, entry, f"a column of mixed values ({told(error)})") from error


def _wrong(section: DataSection, entry: Entry, found: str) -> SchemaError:
    return SchemaError(
        f"data.reader {section.reader}, {entry.name}: returned {found}, wanted a pandas.DataFrame or a pyarrow.Table, or several of "
        "these with the same columns; correct the reader"
    )
