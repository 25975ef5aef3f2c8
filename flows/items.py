"""Items to predict, from a file as people have it: a JSON list, JSON lines, CSV or TSV, an image or a recording."""

import base64
import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import ConfigError
from tasks.batch.cells import cell_value

FILES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".wav")
STRUCTURED = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab")  # other files are one text, for a language model


def read_text(path: str) -> str:
    """The file's text (`-`: standard input); of an image or a recording its bytes in base64. Raises ConfigError naming it."""
    try:
        if path.lower().endswith(FILES):
            return base64.b64encode(Path(path).read_bytes()).decode()
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"input {path}: cannot be read: {error.strerror}; give a JSON, JSON lines or CSV file, an image or a recording"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"input {path}: byte {error.start} is no UTF-8; save it as UTF-8") from None


def read_items(path: str, text: str, description: Mapping[str, Any]) -> list[Any]:
    """The items in `text`. `description`: what the model says of its items, by which CSV cells become numbers."""
    if path.lower().endswith(FILES):
        if description["kind"] not in ("image", "audio"):
            raise ConfigError(
                f"input {path}: found an image or a recording, wanted {description['item']}; give a JSON or CSV file"
            )
        return [text]
    if description["task"] == "language_model" and not path.lower().endswith(STRUCTURED):
        return [text]
    if path.lower().endswith((".csv", ".tsv", ".tab")):
        return _from_table(path, text, description)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return _from_lines(path, text, error)
    return value if isinstance(value, list) else [value]


def _from_lines(path: str, text: str, whole: json.JSONDecodeError) -> list[Any]:
    """A value a line. `whole`: why the text is no single value; it is the fault named where even the first line is none."""
    items: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            items += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            place, found = (number, error.msg) if items else (whole.lineno, whole.msg)
            raise ConfigError(
                f"input {path}: line {place}: {found}; wanted a JSON list, or one JSON value a line"
            ) from None
    return items


def _from_table(path: str, text: str, description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows as items; the target's column, if it is there, is left out. A quotation mark in TSV is a character, as in training."""
    columns, target = description["item_schema"].get("properties", {}), description["target"]
    csv.field_size_limit(
        max(csv.field_size_limit(), len(text))
    )  # a text may be longer than the 128 KiB allowed at first
    stream = io.StringIO(text, newline="")
    if path.lower().endswith(".csv"):
        reader = csv.DictReader(stream, strict=True)
    else:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    items: list[dict[str, Any]] = []
    try:
        for row in reader:
            _refuse_ragged(path, len(items) + 1, reader.line_num, row, len(reader.fieldnames or ()))
            items.append(
                {name: cell_value(value, columns.get(name, {})) for name, value in row.items() if name != target}
            )
    except csv.Error as error:
        raise ConfigError(
            f"input {path}: line {reader.line_num}: row {len(items) + 1}: {error}; double the quotation marks within quoted cells"
        ) from None
    return items


def _refuse_ragged(path: str, number: int, line: int, row: Mapping[Any, Any], wanted: int) -> None:
    found = sum(value is not None for name, value in row.items() if name is not None) + len(row.get(None) or ())
    if found != wanted:
        raise ConfigError(
            f"input {path}: line {line}: row {number} has {found} cells, wanted {wanted} as in the header; "
            "correct that row, or quote a cell that holds the delimiter"
        )
