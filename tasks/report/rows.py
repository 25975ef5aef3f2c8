"""What became of the rows that came in."""

from collections.abc import Mapping
from typing import Any

from tasks.report.formats import count

LEFT_OUT = {"rows_quarantined": "quarantined", "rows_filtered": "filtered"}  # what becomes of rows that do not come out


def row_counts(data: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Rows in, out, quarantined, and otherwise left out where any were: each count and its word."""
    some = [(data[name], word) for name, word in LEFT_OUT.items() if name == "rows_quarantined" or data.get(name)]
    return [(data["rows_in"], "rows in"), (data["rows_out"], "out"), *some]


def row_sentence(data: Mapping[str, Any]) -> str:
    """The same in words."""
    return ", ".join(f"{count(number)} {word}" for number, word in row_counts(data))
