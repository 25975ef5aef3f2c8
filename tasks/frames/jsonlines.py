"""JSON lines: where rows lie, and their values. A line that is no JSON object is refused."""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from tasks.frames.encodings import not_text, open_text
from tasks.frames.long_lines import LongLine, is_too_long, lines, too_long
from tasks.frames.raw import RAW_LIMIT, Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.streams import Entry, skip
from tasks.sections import DataSection


def mark(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], list[Mark]]:
    """No column names (each line has its own), and the rows in marks of `data.shard_rows`. Blank lines are no rows."""
    return [], list(_marks(stream, section.shard_rows))


def _marks(stream: Any, shard_rows: int) -> Iterator[Mark]:
    """A line that is too long lies in a mark of its own."""
    first = row = start = end = 0
    for line in lines(stream, returns=False):
        alone = isinstance(line, LongLine)
        if row > first and (alone or (row - first == shard_rows and line.strip())):
            yield Mark(first, row, start, end - start)
            first, start = row, end
        end += line.length if alone else len(line)
        row += alone or bool(line.strip())
        if alone:
            yield Mark(first, row, end - line.length, line.length)
            first, start = row, end
    if row > first:
        yield Mark(first, row, start, end - start)


def read(section: DataSection, entry: Entry, part: Mark) -> Raw:
    """The rows of `part`: all values as text, whatever JSON type they have; a key that a line lacks is null."""
    with open_text(entry, section.encoding) as stream:
        skip(stream, part.offset)
        if is_too_long(part):
            long = too_long(entry.name, part, stream.read(RAW_LIMIT))
            return Raw(with_origin(pa.table({}), entry.name, []), [long], sparse=True)
        filled = [line for line in stream.read(part.length).split(b"\n") if line.strip()]
    refused: list[Refusal] = []
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(filled, part.start + 1):
        row = _parse(section, entry.name, number, line)
        if isinstance(row, Refusal):
            refused.append(row)
        else:
            kept.append((number, row))
    names = sorted({name for _, row in kept for name in row})
    table = pa.table({name: pa.array([_text(row.get(name)) for _, row in kept], pa.string()) for name in names})
    return Raw(with_origin(table, entry.name, [number for number, _ in kept]), refused, sparse=True)


def _parse(section: DataSection, file: str, number: int, line: bytes) -> Refusal | dict[str, Any]:
    text = decode(line)
    if text is None:
        return Refusal(file, number, "encoding", not_text(section.encoding), cut(line.decode("latin-1")))
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Refusal(file, number, "json", f"not JSON: {error}", cut(text))
    if not isinstance(row, dict):
        return Refusal(file, number, "json", f"found a JSON {type(row).__name__}, wanted an object", cut(text))
    bad = next((name for name, value in row.items() if isinstance(value, str) and "\0" in value), None)
    if bad is not None:
        return Refusal(file, number, "encoding", f"column {bad!r}: a NUL in the text", cut(text))
    return row


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
