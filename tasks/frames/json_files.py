"""JSON documents that hold their rows as one list: the document itself, or what lies at `data.json_records` in it.

Such a file is read whole; rows that do not fit in memory are better written as JSON lines.
"""

from typing import Any

import orjson

from storage.errors import SchemaError
from tasks.frames.encodings import open_text
from tasks.frames.json_values import at_path, rows_of
from tasks.frames.raw import Raw, Refusal, cut
from tasks.frames.streams import Entry
from tasks.sections import DataSection


def count_rows(section: DataSection, entry: Entry) -> int:
    """Rows in the list. SchemaError where there is none."""
    return len(_records(section, entry))


def read(section: DataSection, entry: Entry, start: int, stop: int) -> Raw:
    """Items `start` to `stop` of the list: all values as text, as of JSON lines; an item that is no object is refused."""
    kept: list[tuple[int, dict[str, Any]]] = []
    refused: list[Refusal] = []
    for number, item in enumerate(_records(section, entry)[start:stop], start + 1):
        if isinstance(item, dict):
            kept.append((number, item))
        else:
            reason = f"found a JSON {type(item).__name__}, wanted an object"
            refused.append(Refusal(entry.name, number, "json", reason, cut(orjson.dumps(item).decode())))
    return rows_of(section, entry.name, kept, refused)


def _records(section: DataSection, entry: Entry) -> list[Any]:
    with open_text(entry, section.encoding) as stream:
        content = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        lines = "; a file of one object a line is JSON lines: set data.format to jsonl" * (b"\n{" in content)
        raise SchemaError(f"{entry.name}: is no JSON ({error}){lines or '; write it again'}") from error
    found = at_path(document, section.json_records)
    if not isinstance(found, list):
        place = f"at {section.json_records!r} (data.json_records)" if section.json_records else "in it"
        keys = f" with the keys {', '.join(list(document)[:10])}" if isinstance(document, dict) else ""
        raise SchemaError(
            f"{entry.name}: found no list of rows {place}, but {_kind(found)}; the document is {_kind(document)}{keys}: name the "
            "list's place in data.json_records, as in response.items"
        )
    return found


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a JSON {type(value).__name__}"
