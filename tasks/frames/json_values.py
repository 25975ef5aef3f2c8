"""Values of JSON objects as columns of texts, nested ones by their path."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa

from tasks.frames.raw import Raw, Refusal, cut, with_origin
from tasks.sections import DataSection

PART = re.compile(r"\[(-?\d+)\]|([^.\[\]]+)")


def at_path(value: Any, path: str) -> Any:
    """What lies at `path`, as `address.city` or `tags[0].name`; the value itself where the path is empty, None where nothing lies there."""
    for index, name in PART.findall(path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= int(index) < len(value):
            value = value[int(index)]
        else:
            value = None
    return value


def rows_of(
    section: DataSection, file: str, kept: Sequence[tuple[int, dict[str, Any]]], refused: Sequence[Refusal]
) -> Raw:
    """Numbered objects as rows. Their keys are the columns, or those of `data.json_fields`; a key that one lacks is null.

    An object with a NUL in a text is refused.
    """
    fields = section.json_fields
    rows = [(number, _chosen(fields, row) if fields else row) for number, row in kept]
    found = {number: _with_nul(row) for number, row in rows}
    spoiled = {number: name for number, name in found.items() if name is not None}
    refusals = [_spoiled(file, number, spoiled[number], row) for number, row in rows if number in spoiled]
    rows = [(number, row) for number, row in rows if number not in spoiled]
    names = list(fields) or sorted({name for _, row in rows for name in row})
    table = pa.table({name: pa.array([_text(row.get(name)) for _, row in rows], pa.string()) for name in names})
    return Raw(with_origin(table, file, [number for number, _ in rows]), [*refused, *refusals], sparse=True)


def _chosen(fields: dict[str, str], row: dict[str, Any]) -> dict[str, Any]:
    return {name: at_path(row, path) for name, path in fields.items()}


def _with_nul(row: dict[str, Any]) -> str | None:
    return next((name for name, value in row.items() if isinstance(value, str) and "\0" in value), None)


def _spoiled(file: str, number: int, name: str, row: dict[str, Any]) -> Refusal:
    reason = f"column {name!r}: a NUL in the text"
    return Refusal(file, number, "encoding", reason, cut(orjson.dumps(row).decode()))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
