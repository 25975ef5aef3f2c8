"""Many rows at once: their values by column, in the forms that can be checked without a look at each. B rows, D distinct values.

Each form also gives the value of one row as an item of a request has it (`at`): what is doubtful is checked by that alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EXACT = 2.0**53  # above it float64 does not hold every integer (IEEE 754 §3.6, p = 53)


@dataclass(frozen=True)
class Numbers:
    """`values` (B,) of a NumPy type of numbers; `missing` (B,) bool: where there is none. `items`: the values as they came, if otherwise."""

    values: np.ndarray
    missing: np.ndarray
    items: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def at(self, row: int) -> Any:
        if self.items is not None:
            return self.items[row]
        return None if self.missing[row] else self.values[row].item()

    def floats(self) -> np.ndarray:
        """(B,) float64; NaN where there is no value."""
        return np.where(self.missing, np.nan, self.values.astype(np.float64))


@dataclass(frozen=True)
class Coded:
    """`distinct`: D values, None among them where one is missing; `codes` (B,): the place of each row's value among them."""

    distinct: Sequence[Any]
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def at(self, row: int) -> Any:
        return self.distinct[self.codes[row]]

    def take(self, rows: np.ndarray) -> "Coded":
        return Coded(self.distinct, self.codes[rows])


@dataclass(frozen=True)
class Objects:
    """Any Python values, each looked at by itself."""

    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.values)

    def at(self, row: int) -> Any:
        return self.values[row]


Values = Numbers | Coded | Objects


@dataclass(frozen=True)
class RowRefused:
    """Row number `row` cannot be used; `reason`, and in a word the `rule` that it breaks."""

    row: int
    reason: str
    rule: str


@dataclass(frozen=True)
class Sifted:
    """`rows` (A,): the numbers of the rows that can be used, in order; `columns`: their values as `features` takes them; `refused`: the others."""

    rows: np.ndarray
    columns: Mapping[str, Any]
    refused: list[RowRefused]

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """The columns of the usable rows number `start` to `stop`."""
        return {
            name: Coded(values.distinct, values.codes[start:stop]) if isinstance(values, Coded) else values[start:stop]
            for name, values in self.columns.items()
        }


def column_of(values: Sequence[Any]) -> Values:
    """Values as JSON has them, in the form that is quickest to check: numbers where all are int, float or None."""
    if set(map(type, values)) <= {int, float, type(None)}:
        try:
            numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        except OverflowError:  # an integer beyond float64
            return Objects(values)
        missing = np.isnan(numbers)
        if missing.any():  # NaN itself is a value, and a bad one
            missing[missing] = [values[int(row)] is None for row in np.flatnonzero(missing)]
        return Numbers(numbers, missing, values)
    return Objects(values)
