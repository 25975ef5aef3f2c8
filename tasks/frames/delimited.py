"""CSV and TSV: where rows lie, and their cells as texts.

A ragged row, one that is not in the file's encoding, or one with an unbalanced quotation mark is refused; the others are read. TSV knows no
quotation (IANA text/tab-separated-values): a quotation mark there is a character like any other.
"""

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError, Unreadable
from storage.objects import ObjectStore
from tasks.frames.encodings import not_text
from tasks.frames.kept_text import content_of
from tasks.frames.long_lines import is_too_long, too_long
from tasks.frames.parsing import Dialect, parse, typed_parser
from tasks.frames.raw import Mark, Raw, Refusal, cut, decode, is_text, with_origin
from tasks.frames.schema import Schema
from tasks.frames.spans import Cut, Spans, csv_cut, spans
from tasks.frames.streams import Entry
from tasks.sections import DataSection

ENDS = b"\n\r"  # bytes that end a line
BOM = b"\xef\xbb\xbf"


def cutting(section: DataSection, format: str) -> Cut:
    """How records are found."""
    return csv_cut(_delimiter(section, format), quoting=format == "csv")


def begin(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], Iterator[Spans]]:
    """The file's column names, and its rows. Blank lines are no rows."""
    found = spans(stream, cutting(section, format), ends=ENDS)
    header = list(section.csv.columns)
    if section.csv.header:
        first = next(found, None)
        header = _header(first, _delimiter(section, format), name, section.encoding)
        found = chain([first.part(1)], found) if first else found
    elif not header:
        raise SchemaError(f"{name}: has no header and data.csv.columns is empty; name its columns there")
    return header, found


def read(
    section: DataSection,
    format: str,
    entry: Entry,
    header: tuple[str, ...],
    part: Mark,
    schema: Schema | None = None,
    store: ObjectStore | None = None,
) -> Raw:
    """The rows of `part`: all columns as text; or those of `schema`, with its types where every cell of a column is of its type."""
    data = content_of(section, entry, part, store)
    if is_too_long(part):
        empty = pa.table({name: pa.array([], pa.string()) for name in header})
        return Raw(with_origin(empty, entry.name, []), [too_long(entry.name, part, data)])
    refused = [_torn(entry.name, part, data, torn) for torn in part.torn]
    numbers = np.delete(np.arange(part.start + 1, part.stop + 1), [row for row, _, _ in part.torn])
    data = _without(data, part.torn)
    plain = is_text(data)
    if not plain:  # each cell is looked at by itself: Latin-1 maps every byte to a character and back
        data = data.removeprefix(BOM).decode("latin-1").encode()
    dialect = Dialect(header, _delimiter(section, format), quoting=format == "csv")
    is_typed = plain and schema is not None and len(data) > 0
    table, ragged = (typed_parser(schema, section.csv.missing).parse if is_typed else parse)(data, dialect)
    if table.num_rows + len(ragged) != len(numbers):
        raise SchemaError(
            f"{entry.name}: rows {part.start + 1} to {part.stop}: counted {len(numbers)}, read {table.num_rows + len(ragged)}; "
            "look for quotation marks that are not doubled within a quoted cell"
        )
    refused += [_ragged(entry.name, int(numbers[row.number - 1]), row) for row in ragged]
    kept = np.delete(np.arange(len(numbers)), [row.number - 1 for row in ragged])
    table = with_origin(table, entry.name, pa.array(numbers[kept]), coded=is_typed)
    if is_typed:
        return Raw(table, refused, texts=lambda rows: _texts(data, dialect, kept[rows]))
    return Raw(table, refused) if plain else _decoded(table, header, refused, not_text(section.encoding))


def _texts(data: bytes, dialect: Dialect, rows: np.ndarray) -> pa.Table:
    """Those of the records in `data` as texts."""
    found = list(spans(io.BytesIO(data), csv_cut(dialect.delimiter, dialect.quoting)))
    starts, stops = (
        np.concatenate([getattr(one, name) for one in found])[rows].tolist() for name in ("starts", "stops")
    )
    return parse(b"".join(data[a:b] for a, b in zip(starts, stops, strict=True)), dialect)[0]


def _torn(file: str, part: Mark, data: bytes, torn: tuple[int, int, int]) -> Refusal:
    row, offset, length = torn
    raw = data[offset : offset + length].decode("utf-8", "replace").strip()
    reason = "a quotation mark opens a cell and none closes it properly; double the quotation marks within quoted cells"
    return Refusal(file, part.start + row + 1, "quote", reason, cut(raw))


def _without(data: bytes, torn: tuple[tuple[int, int, int], ...]) -> bytes:
    kept, start = [], 0
    for _, offset, length in torn:
        kept.append(data[start:offset])
        start = offset + length
    return b"".join([*kept, data[start:]])


def _ragged(file: str, row: int, invalid: Any) -> Refusal:
    reason = f"found {invalid.actual_columns} cells, wanted {invalid.expected_columns}"
    return Refusal(file, row, "ragged", reason, cut(invalid.text))


def _decoded(table: pa.Table, header: tuple[str, ...], refused: list[Refusal], fault: str) -> Raw:
    columns = {name: [decode(cell.encode("latin-1")) for cell in table.column(name).to_pylist()] for name in header}
    files, rows = table.column("_file").to_pylist(), table.column("_row").to_pylist()
    keep = []
    for i in range(table.num_rows):
        bad = next((name for name in header if columns[name][i] is None), None)
        keep.append(bad is None)
        if bad is not None:
            raw = table.column(bad)[i].as_py()
            refused.append(Refusal(files[i], rows[i], "encoding", f"column {bad!r}: {fault}", cut(raw)))
    whole = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    whole = whole.append_column("_file", table.column("_file")).append_column("_row", table.column("_row"))
    return Raw(whole.filter(pa.array(keep, pa.bool_())), refused)


def _header(first: Spans | None, delimiter: str, name: str, encoding: str) -> list[str]:
    text = decode(first.first.removeprefix(BOM)) if first and not first.torn[0] else None
    if text is None or not text.strip():
        raise Unreadable(
            f"{name}: its first line is no header: {not_text(encoding) if first else 'the file is empty'}; "
            "or set data.csv.header to false"
        )
    header = [cell.strip() for cell in next(csv.reader(io.StringIO(text), delimiter=delimiter))]
    repeated = sorted({cell for cell in header if header.count(cell) > 1})
    if repeated:
        raise Unreadable(f"{name}: its header names {repeated[0]!r} twice; every column needs a name of its own")
    return header


def _delimiter(section: DataSection, format: str) -> str:
    return "\t" if format == "tsv" else section.csv.delimiter
