"""What stage prepare did to the values of each column, for values that a client sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.transforms.columns import Coded, RowRefused, Sifted
from tasks.transforms.items import ItemError

REFUSED = {
    "empty": "column {!r}: nothing is left of the text after cleaning, wanted some",
    "unsettled": "column {!r}: the text does not come to rest in cleaning, wanted one that is not escaped over and over",
}


@dataclass(frozen=True)
class CleanedColumn:
    """`type`: of the data set's column; `required`: no value is a fault; `steps`: kind and parameters of each pass, in order."""

    name: str
    type: str
    required: bool
    steps: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Cleaning:
    """The columns that any pass changes. What is clean already stays as it is."""

    columns: tuple[CleanedColumn, ...] = ()

    @classmethod
    def load(cls, data: Sequence[Mapping[str, Any]]) -> "Cleaning":
        """As `fit` wrote it."""
        return cls(tuple(CleanedColumn(one["name"], one["type"], one["required"], tuple(one["steps"])) for one in data))

    def items(self, columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Parsed items, cleaned; ItemError for the first of which nothing is left."""
        cleaned, faults = dict(columns), []
        for column in self.columns:
            values, refused = _settled(column, columns[column.name])
            cleaned[column.name] = values
            faults += [(row, REFUSED[rule].format(column.name)) for row, rule in refused.items()]
        if faults:
            raise ItemError(*min(faults))
        return cleaned

    def sifted(self, sifted: Sifted) -> Sifted:
        """Sifted rows, cleaned; those of which nothing is left are refused."""
        columns, refused = dict(sifted.columns), dict[int, RowRefused]()
        for column in self.columns:
            given = columns[column.name]
            values, rules = _settled(column, given.distinct if isinstance(given, Coded) else given)
            if isinstance(given, Coded):
                codes = {row: given.codes[row] for row in range(len(given.codes)) if given.codes[row] in rules}
                rules = {row: rules[int(code)] for row, code in codes.items()}
                values = Coded(values, given.codes)
            columns[column.name] = values
            for row, rule in rules.items():
                number = int(sifted.rows[row])
                refused.setdefault(row, RowRefused(number, REFUSED[rule].format(column.name), rule))
        if not refused:
            return Sifted(sifted.rows, columns, sifted.refused)
        kept = np.array([row for row in range(len(sifted.rows)) if row not in refused], np.intp)
        left = sorted([*sifted.refused, *refused.values()], key=lambda one: one.row)
        return Sifted(sifted.rows[kept], {name: _taken(values, kept) for name, values in columns.items()}, left)


NO_CLEANING = Cleaning()


def _settled(column: CleanedColumn, values: Any) -> tuple[Any, dict[int, str]]:
    """The cleaned values in the form that they came in, and the rule by row of those that are refused."""
    import pyarrow as pa

    from tasks.transforms.cleaning.chain import settle

    numbers = column.type in ("integer", "number")
    array = pa.array(values, pa.float64() if numbers else pa.string(), from_pandas=isinstance(values, np.ndarray))
    cleaned, rules = settle(column.steps, column.type, array)
    refused = {row: rule for row, rule in rules.items() if rule == "unsettled" or column.required}
    refused = {row: rule for row, rule in refused.items() if values[row] is not None}
    if isinstance(values, np.ndarray):
        return np.asarray(cleaned.to_numpy(zero_copy_only=False), np.float64), refused
    return cleaned.to_pylist(), refused


def _taken(values: Any, rows: np.ndarray) -> Any:
    return (
        [values[row] for row in rows]
        if isinstance(values, list)
        else values[rows]
        if isinstance(values, np.ndarray)
        else values.take(rows)
    )
