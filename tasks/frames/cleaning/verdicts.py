"""Which rows a pass leaves out: by which rule, and what was found."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Verdicts:
    """The first rule that each of N rows breaks, with what was found and wanted. `prefix` begins the rules' names."""

    def __init__(self, rows: int, prefix: str, column: str = "") -> None:
        self.prefix, self.column = prefix, column
        self.left_out = np.zeros(rows, bool)
        self._said: dict[int, tuple[str, str]] = {}

    def refuse(self, mask: Any, rule: str, found: np.ndarray | Sequence[Any] | None, wanted: str) -> None:
        """Rows of `mask` that break no rule yet break `rule`; `found`: what each row has of it, None where there is nothing to say."""
        mask = np.asarray(mask, bool) & ~self.left_out
        self.left_out |= mask
        where = f"column {self.column!r}: " if self.column else ""
        name = f"{self.prefix}.{rule}" if rule else self.prefix
        for row in map(int, np.flatnonzero(mask)):
            has = "" if found is None else f"found {_shown(found[row])}, "
            self._said[row] = (name, f"{where}{has}wanted {wanted}")

    def said(self) -> list[tuple[int, str, str]]:
        """Row, rule and reason of those left out, in order."""
        return [(row, *self._said[row]) for row in sorted(self._said)]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
