"""CSV and TSV: where rows lie, and their cells as texts.

A ragged row, one that is not in the file's encoding, or one with an unbalanced quotation mark is refused; the others are read. TSV knows no
quotation (IANA text/tab-separated-values): a quotation mark there is a character like any other.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from storage.errors import SchemaError, Unreadable
from tasks.frames.encodings import not_text, open_text
from tasks.frames.long_lines import LONGEST_LINE, is_too_long, too_long
from tasks.frames.raw import RAW_LIMIT, Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.records import Record, records
from tasks.frames.streams import Entry, skip
from tasks.sections import DataSection

BOM = b"\xef\xbb\xbf"


def mark(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], list[Mark]]:
    """The file's column names and its rows in marks of `data.shard_rows`. Blank lines are no rows."""
    delimiter = _delimiter(section, format)
    found = records(stream, delimiter, quoting=format == "csv")
    header = list(section.csv.columns)
    if section.csv.header:
        header = _header(next(found, None), delimiter, name, section.encoding)
    elif not header:
        raise SchemaError(f"{name}: has no header and data.csv.columns is empty; name its columns there")
    return header, list(_marks(found, section.shard_rows))


def _marks(found: Iterator[Record], shard_rows: int) -> Iterator[Mark]:
    """A line that is too long lies in a mark of its own."""
    start, shard = 0, list[tuple[int, int, bool]]()
    for record in found:
        alone = record.stop - record.start > LONGEST_LINE
        if shard and (alone or len(shard) == shard_rows):
            yield _mark(start, shard)
            start, shard = start + len(shard), []
        if alone:
            yield Mark(start, start + 1, record.start, record.stop - record.start)
            start += 1
        else:
            shard.append((record.start, record.stop, record.torn))
    if shard:
        yield _mark(start, shard)


def _mark(start: int, shard: list[tuple[int, int, bool]]) -> Mark:
    offset, end = shard[0][0], shard[-1][1]
    torn = tuple((row, a - offset, b - a) for row, (a, b, is_torn) in enumerate(shard) if is_torn)
    return Mark(start, start + len(shard), offset, end - offset, torn)


def read(section: DataSection, format: str, entry: Entry, header: tuple[str, ...], part: Mark) -> Raw:
    """The rows of `part`: all columns as text."""
    with open_text(entry, section.encoding) as stream:
        skip(stream, part.offset)
        data = stream.read(RAW_LIMIT if is_too_long(part) else part.length)
    if is_too_long(part):
        return Raw(with_origin(_parse(b"", header, ",", True)[0], entry.name, []), [too_long(entry.name, part, data)])
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


def _header(first: Record | None, delimiter: str, name: str, encoding: str) -> list[str]:
    text = decode(first.content.removeprefix(BOM)) if first and not first.torn else None
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
