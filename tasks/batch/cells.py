"""A cell of a CSV file as the value that a client would send for it."""

from collections.abc import Mapping
from typing import Any

from tasks.sections import CsvOptions

MISSING = frozenset(CsvOptions().missing)  # in a column of numbers; a category column knows its own


def cell_value(text: str, schema: Mapping[str, Any]) -> Any:
    """Numbers where the column's JSON `schema` asks for them, null where there is none; else the text, whose fault it is to be found."""
    kinds = schema.get("type", "string")
    numeric = "number" in kinds or "integer" in kinds
    if (numeric and text.strip() in MISSING) or ("null" in kinds and not text.strip()):
        return None
    if numeric:
        if "_" in text or not text.isascii():
            return text  # Python takes 1_0 and ١٠ for ten, the readers of training data take neither
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if number.is_integer() else number
    return text
