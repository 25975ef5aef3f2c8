"""CSV and TSV: where rows lie, and their cells as texts.

A ragged row or one that is not UTF-8 is refused; the others are read.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from storage.errors import SchemaError
from tasks.frames.raw import Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.streams import Entry, open_entry, skip
from tasks.sections import DataSection

BOM = b"\xef\xbb\xbf"
CLOSING = re.compile(rb'(?:[^"]|"")*"(?!")')


def mark(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], list[Mark]]:
    """The file's column names and its rows in marks of `data.shard_rows`. Blank lines are no rows."""
    delimiter = _delimiter(section, format)
    records = _records(stream, delimiter)
    offset, header = 0, list(section.csv.columns)
    if section.csv.header:
        offset, first = next(records, (0, b""))
        header = _header(first, delimiter, name)
    elif not header:
        raise SchemaError(f"{name}: has no header and data.csv.columns is empty; name its columns there")
    marks, start, row = [], offset, 0
    for offset, _ in records:
        row += 1
        if row % section.shard_rows == 0:
            marks.append(Mark(row - section.shard_rows, row, start, offset - start))
            start = offset
    if row % section.shard_rows:
        marks.append(Mark(row - row % section.shard_rows, row, start, offset - start))
    return header, marks


def read(section: DataSection, format: str, entry: Entry, header: tuple[str, ...], part: Mark) -> Raw:
    """The rows of `part`: all columns as text."""
    with open_entry(entry) as stream:
        skip(stream, part.offset)
        data = stream.read(part.length)
    plain = decode(data) is not None
    if not plain:  # each cell is looked at by itself: Latin-1 maps every byte to a character and back
        data = data.removeprefix(BOM).decode("latin-1").encode()
    table, ragged = _parse(data, header, _delimiter(section, format))
    rows = part.stop - part.start
    if table.num_rows + len(ragged) != rows:
        raise SchemaError(
            f"{entry.name}: rows {part.start + 1} to {part.stop}: counted {rows}, read {table.num_rows + len(ragged)}; "
            "look for a quotation mark that is opened and never closed"
        )
    refused = [_ragged(entry.name, part.start, invalid) for invalid in ragged]
    skipped = {invalid.number for invalid in ragged}
    numbers = [part.start + n for n in range(1, rows + 1) if n not in skipped]
    table = with_origin(table, entry.name, numbers)
    return Raw(table, refused) if plain else _decoded(table, header, refused)


def _parse(data: bytes, header: tuple[str, ...], delimiter: str) -> tuple[pa.Table, list[Any]]:
    ragged: list[Any] = []

    def keep(row: Any) -> str:
        ragged.append(row)
        return "skip"

    table = arrow_csv.read_csv(
        io.BytesIO(data),
        # one block and one thread: only then does Arrow number the rows that it refuses
        read_options=arrow_csv.ReadOptions(column_names=list(header), use_threads=False, block_size=len(data) + 1),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    return table, ragged


def _ragged(file: str, start: int, invalid: Any) -> Refusal:
    reason = f"found {invalid.actual_columns} cells, wanted {invalid.expected_columns}"
    return Refusal(file, start + invalid.number, "ragged", reason, cut(invalid.text))


def _decoded(table: pa.Table, header: tuple[str, ...], refused: list[Refusal]) -> Raw:
    columns = {name: [decode(cell.encode("latin-1")) for cell in table.column(name).to_pylist()] for name in header}
    files, rows = table.column("_file").to_pylist(), table.column("_row").to_pylist()
    keep = []
    for i in range(table.num_rows):
        bad = next((name for name in header if columns[name][i] is None), None)
        keep.append(bad is None)
        if bad is not None:
            raw = table.column(bad)[i].as_py()
            refused.append(Refusal(files[i], rows[i], "encoding", f"column {bad!r}: not UTF-8 text; convert the file to UTF-8", cut(raw)))
    whole = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    whole = whole.append_column("_file", table.column("_file")).append_column("_row", table.column("_row"))
    return Raw(whole.filter(pa.array(keep, pa.bool_())), refused)


def _records(stream: Any, delimiter: str) -> Iterator[tuple[int, bytes]]:
    """The offset behind each record that is not blank, and its bytes up to the last line break. Quoted line breaks end no record."""
    field = re.escape(delimiter.encode())
    quoted = re.compile(rb'(^|' + field + rb')"(?:[^"]|"")*"(?!")')
    opened = re.compile(rb"(^|" + field + rb')"')
    offset, pending, within = 0, b"", False
    for line in _lines(stream):
        offset += len(line)
        if within or b'"' in line:
            within = _stays_open(line, within, quoted, opened)
        pending += line
        if not within:
            if pending.strip(b"\r\n"):
                yield offset, pending
            pending = b""
    if pending:
        yield offset, pending


def _stays_open(line: bytes, within: bool, quoted: re.Pattern[bytes], opened: re.Pattern[bytes]) -> bool:
    if within:
        closing = CLOSING.match(line)
        if closing is None:
            return True
        line = line[closing.end() :]
    return bool(opened.search(quoted.sub(rb"\1", line)))


def _lines(stream: Any) -> Iterator[bytes]:
    """Lines with their ends; a lone carriage return ends one too, as it does for Arrow."""
    for line in io.BufferedReader(stream, 1 << 20) if not hasattr(stream, "readline") else stream:
        yield from line.splitlines(keepends=True) if b"\r" in line[:-2] else (line,)


def _header(first: bytes, delimiter: str, name: str) -> list[str]:
    text = decode(first.removeprefix(BOM))
    if text is None or not text.strip():
        raise SchemaError(f"{name}: its first line is no header in UTF-8; set data.csv.header to false, or repair the file")
    header = [cell.strip() for cell in next(csv.reader(io.StringIO(text), delimiter=delimiter))]
    repeated = sorted({cell for cell in header if header.count(cell) > 1})
    if repeated:
        raise SchemaError(f"{name}: its header names {repeated[0]!r} twice; every column needs a name of its own")
    return header


def _delimiter(section: DataSection, format: str) -> str:
    return "\t" if format == "tsv" else section.csv.delimiter
