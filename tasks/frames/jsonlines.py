"""JSON lines: where rows lie (of any file of lines), and their values. A line that is no JSON object is refused."""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from storage.objects import ObjectStore
from tasks.frames.encodings import not_text
from tasks.frames.json_values import rows_of
from tasks.frames.kept_text import content_of
from tasks.frames.long_lines import is_too_long, too_long
from tasks.frames.raw import Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.spans import Cut, Spans, line_cut, spans
from tasks.frames.streams import Entry
from tasks.sections import DataSection

ENDS = b"\n"  # bytes that end a line


def cutting(_section: DataSection, _format: str) -> Cut:
    """How lines are found."""
    return line_cut


def begin(stream: Any, section: DataSection, format: str, name: str) -> tuple[list[str], Iterator[Spans]]:
    """No column names (each line has its own), and the rows. Blank lines are no rows."""
    return [], spans(stream, line_cut)


def read(section: DataSection, entry: Entry, part: Mark, store: ObjectStore | None = None) -> Raw:
    """The rows of `part`: all values as text, whatever JSON type they have; a key that a line lacks is null."""
    content = content_of(section, entry, part, store)
    if is_too_long(part):
        return Raw(with_origin(pa.table({}), entry.name, []), [too_long(entry.name, part, content)], sparse=True)
    lines = [line for line in content.split(b"\n") if line.strip()]
    refused: list[Refusal] = []
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(lines, part.start + 1):
        row = _parse(section, entry.name, number, line)
        if isinstance(row, Refusal):
            refused.append(row)
        else:
            kept.append((number, row))
    return rows_of(section, entry.name, kept, refused)


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
    return row
