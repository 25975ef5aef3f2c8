"""Items to predict, from a file as people have it: a JSON list, JSON lines, or CSV."""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import ConfigError


def read_text(path: str) -> str:
    """The file's text (`-`: standard input). Raises ConfigError naming it."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"input {path}: cannot be read: {error.strerror}; give a JSON, JSON lines or CSV file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"input {path}: byte {error.start} is no UTF-8; save it as UTF-8") from None


def read_items(path: str, text: str, description: Mapping[str, Any]) -> list[Any]:
    """The items in `text`. `description`: what the model says of its items, by which CSV cells become numbers."""
    if path.endswith(".csv"):
        return _from_csv(text, description)
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return _from_lines(path, text)
    return value if isinstance(value, list) else [value]


def _from_lines(path: str, text: str) -> list[Any]:
    items = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            items += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"input {path}: line {number}: {error.msg}; wanted a JSON list, or one JSON value a line"
            ) from None
    return items


def _from_csv(text: str, description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows as items; the target's column, if it is there, is left out."""
    columns = description["item_schema"].get("properties", {})
    return [
        {name: _cell(value, columns.get(name, {})) for name, value in row.items() if name != description["target"]}
        for row in csv.DictReader(text.splitlines())
    ]


def _cell(text: str | None, schema: Mapping[str, Any]) -> Any:
    kinds = schema.get("type", "string")
    if text is None or (not text.strip() and "null" in kinds):
        return None
    if "number" in kinds or "integer" in kinds:
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if number.is_integer() else number
    return text
