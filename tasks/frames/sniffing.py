"""How a delimited file is written: its separator, and whether its first line names the columns. Guessed from its first bytes."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from storage.errors import SchemaError
from tasks.frames.cells import NUMBER

DELIMITERS = (",", ";", "\t", "|")
LINES = 200
LONGEST_NAME = 60  # characters in a column's name; a longer cell is a value


@dataclass(frozen=True)
class Dialect:
    """`columns`: names given to the columns of a file without a header; empty where it has one."""

    delimiter: str
    header: bool
    columns: tuple[str, ...] = ()


def sniff(head: bytes, name: str, wanted: Collection[str] = (), given: Mapping[str, Any] | None = None) -> Dialect:
    """The dialect of a file that begins with `head`. `wanted`: names that the user gave, so a line that has them is the header;
    `given`: what the user has set of data.csv.

    SchemaError for an empty file, and for a text that is no table.
    """
    text, given = _text(head, name), given or {}
    delimiter = given.get("delimiter") or max(DELIMITERS, key=lambda one: _likelihood(_rows(text, one)))
    rows = _rows(text, delimiter)
    if _width(rows) == 1 and any(len(row) > 1 for row in rows):
        raise SchemaError(
            f"{name}: is no table, its lines cannot be cut evenly by , ; | or a tab; wanted a row a line, "
            "or texts as files in label folders"
        )
    if given.get("header", _is_header(rows[0], rows[1:], wanted)):
        return Dialect(delimiter, header=True)
    numbered = tuple(f"column_{n}" for n in range(1, _width(rows) + 1))
    return Dialect(delimiter, header=False, columns=tuple(given.get("columns", numbered)))


def header_names(head: bytes, delimiter: str) -> list[str]:
    """The names in the header of a file that begins with `head`."""
    first = _rows(head.decode("utf-8-sig", errors="replace"), delimiter)[0]
    return [cell.strip() for cell in first]


def _text(head: bytes, name: str) -> str:
    text = head.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise SchemaError(f"{name}: the file is empty; wanted rows: check the file")
    return text


def _rows(text: str, delimiter: str) -> list[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=_quoting(delimiter))
    try:
        return [row for row in islice(reader, LINES) if any(cell.strip() for cell in row)]
    except csv.Error:
        return [line.split(delimiter) for line in islice(text.splitlines(), LINES) if line.strip()]


def _quoting(delimiter: str) -> Literal[0, 3]:
    return csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL


def _width(rows: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _likelihood(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """How regular the rows are when cut like this; what cuts nothing, or the first line otherwise than the rest, is unlikely."""
    width = _width(rows)
    if width == 1:
        return (0.0, 0)
    regular = sum(len(row) == width for row in rows) / len(rows)
    return (round(regular if len(rows[0]) == width else regular / 2, 1), width)


def _is_header(first: Sequence[str], body: Sequence[Sequence[str]], wanted: Collection[str]) -> bool:
    cells = [cell.strip() for cell in first]
    if wanted and any(name in cells for name in wanted):
        return True
    if not body or any(_is_number(cell) for cell in cells):
        return not body
    below = list(zip(*(row for row in body if len(row) == len(first)), strict=False))
    if any(sum(map(_is_number, column)) * 2 > len(column) for column in below):
        return True
    repeated = any(name in {cell.strip() for cell in column} for name, column in zip(cells, below, strict=False))
    return not repeated and len(set(cells)) == len(cells) and max(map(len, cells)) <= LONGEST_NAME


def _is_number(cell: str) -> bool:
    return bool(re.match(NUMBER, cell.strip()))
