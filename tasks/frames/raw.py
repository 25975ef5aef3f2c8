"""Rows as read: the columns of those that could be taken apart, and the refusals of those that could not."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

FILE, ROW = "_file", "_row"
DOCUMENT = "_document"  # of a passage: the hash of the document that it is part of
ORIGIN = (FILE, ROW, DOCUMENT)
RAW_LIMIT = 2000
UNREADABLE = (
    "unreadable"  # the rule that a file breaks which is damaged, or not like the others; and the format of its piece
)


@dataclass(frozen=True)
class Refusal:
    """A row that is not taken: where it came from, the rule it broke, the reason for people, and its raw text.

    `label`: the rule as limits count it, with its column; empty: as `rule`. Row 0 is a file that is not taken as a whole.
    """

    file: str
    row: int
    rule: str
    reason: str
    raw: str
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """Rows `start` to `stop` of a file of lines, and where they lie in its decompressed bytes.

    `torn`: (row counted from `start`, offset, length) of lines in it that cannot be read as CSV. `kept`: the blob (digest, size, suffix) of
    those bytes, where the file can only be read from its start.
    """

    start: int
    stop: int
    offset: int
    length: int
    torn: tuple[tuple[int, int, int], ...] = ()
    kept: tuple[str, int, str] | None = None


@dataclass(frozen=True)
class Raw:
    """`table`: user columns (texts, or typed where the source has types), `_file` and `_row` (from 1), `_document` where rows are passages; `refused`: the other rows.

    `sparse`: a column that the table lacks is null in all its rows (JSON lines), and no fault of the file.
    `texts`: numbers of rows of the table (from 0) → their cells as they were written, where the table has them typed already.
    """

    table: pa.Table
    refused: list[Refusal] = field(default_factory=list)
    sparse: bool = False
    texts: Callable[[np.ndarray], pa.Table] | None = None


def with_origin(table: pa.Table, file: str, rows: "list[int] | pa.Array", coded: bool = False) -> pa.Table:
    """`table` with its origin columns, all rows from one file (`coded`: in a dictionary). Columns of the file's own that have their names are left out."""
    columns = {name: table.column(name) for name in table.column_names if name not in ORIGIN}
    numbers = rows if isinstance(rows, pa.Array) else pa.array(rows, pa.int64())
    files = pa.repeat(pa.scalar(0 if coded else file), len(rows))
    files = pa.DictionaryArray.from_arrays(files.cast(pa.int32()), pa.array([file])) if coded else files
    return pa.table({**columns, FILE: files, ROW: numbers})


def cut(text: str) -> str:
    """`text`, at most RAW_LIMIT characters of it."""
    return text if len(text) <= RAW_LIMIT else text[:RAW_LIMIT] + "…"


def unprintable(content: bytes) -> str:
    """What quarantine keeps of a file that is no text; its origin names the whole."""
    return f"{len(content)} bytes that begin with {content[:16]!r}"


def decode(content: bytes) -> str | None:
    """`content` as text, or None where it is not UTF-8 or holds a NUL."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def is_text(content: bytes) -> bool:
    """Whether `decode` takes it, found without decoding it."""
    whole = pa.LargeStringArray.from_buffers(1, pa.py_buffer(np.array([0, len(content)])), pa.py_buffer(content))
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return b"\0" not in content
