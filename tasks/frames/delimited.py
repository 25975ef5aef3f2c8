"""CSV and TSV: where rows lie, and their cells as texts.

A ragged row, one that is not in the file's encoding, or one with an unbalanced quotation mark is refused; the others are read. TSV knows no
quotation (IANA text/tab-separated-values): a quotation mark there is a character like any other.
"""

import csv
import io
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from storage.errors import SchemaError
from tasks.frames.encodings import not_text, open_text
from tasks.frames.raw import Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.spans import Spans, csv_cut, marks, spans
from tasks.frames.streams import Entry, skip
from tasks.sections import DataSection

BOM = b"\xef\xbb\xbf"


def mark(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], list[Mark]]:
    """The file's column names and its rows in marks of `data.shard_rows`. Blank lines are no rows."""
    delimiter = _delimiter(section, format)
    found = spans(stream, csv_cut(delimiter, quoting=format == "csv"))
    header = list(section.csv.columns)
    if section.csv.header:
        first = next(found, None)
        header = _header(first, delimiter, name, section.encoding)
        found = chain([first.rest], found) if first else found
    elif not header:
        raise SchemaError(f"{name}: has no header and data.csv.columns is empty; name its columns there")
    return header, list(marks(found, section.shard_rows))


def read(section: DataSection, format: str, entry: Entry, header: tuple[str, ...], part: Mark) -> Raw:
    """The rows of `part`: all columns as text."""
    with open_text(entry, section.encoding) as stream:
        skip(stream, part.offset)
        data = stream.read(part.length)
    refused = [_torn(entry.name, part, data, torn) for torn in part.torn]
    numbers = sorted(set(range(part.start + 1, part.stop + 1)) - {refusal.row for refusal in refused})
    data = _without(data, part.torn)
    plain = decode(data) is not None
    if not plain:  # each cell is looked at by itself: Latin-1 maps every byte to a character and back
        data = data.removeprefix(BOM).decode("latin-1").encode()
    table, ragged = _parse(data, header, _delimiter(section, format), quoting=format == "csv")
    if table.num_rows + len(ragged) != len(numbers):
        raise SchemaError(
            f"{entry.name}: rows {part.start + 1} to {part.stop}: counted {len(numbers)}, read {table.num_rows + len(ragged)}; "
            "look for quotation marks that are not doubled within a quoted cell"
        )
    refused += [_ragged(entry.name, numbers[row.number - 1], row) for row in ragged]
    skipped = {row.number for row in ragged}
    table = with_origin(table, entry.name, [n for i, n in enumerate(numbers, 1) if i not in skipped])
    return Raw(table, refused) if plain else _decoded(table, header, refused, not_text(section.encoding))


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


def _parse(data: bytes, header: tuple[str, ...], delimiter: str, quoting: bool) -> tuple[pa.Table, list[Any]]:
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in header}), []
    ragged: list[Any] = []

    def keep(row: Any) -> str:
        ragged.append(row)
        return "skip"

    table = arrow_csv.read_csv(
        io.BytesIO(data),
        # one block and one thread: only then does Arrow number the rows that it refuses
        read_options=arrow_csv.ReadOptions(column_names=list(header), use_threads=False, block_size=len(data) + 1),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoting else False,
            newlines_in_values=quoting,
            invalid_row_handler=keep,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    return table, ragged


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
        raise SchemaError(
            f"{name}: its first line is no header: {not_text(encoding) if first else 'the file is empty'}; "
            "or set data.csv.header to false"
        )
    header = [cell.strip() for cell in next(csv.reader(io.StringIO(text), delimiter=delimiter))]
    repeated = sorted({cell for cell in header if header.count(cell) > 1})
    if repeated:
        raise SchemaError(f"{name}: its header names {repeated[0]!r} twice; every column needs a name of its own")
    return header


def _delimiter(section: DataSection, format: str) -> str:
    return "\t" if format == "tsv" else section.csv.delimiter
