"""A row of named columns → one vector: scaled numbers and one-hot categories. B rows, F features, W places of one column.

Rows are checked one at a time (`parse`), or many at once (`sift`): there a column says of which rows it is sure, and the others are parsed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from tasks.transforms.columns import EXACT, Coded, Numbers, Objects, RowRefused, Sifted, Values
from tasks.transforms.items import Refused, did_you_mean, show

LARGEST = float(np.finfo(np.float32).max)
Checked = tuple[np.ndarray, Any]
"""(B,) bool: the rows that `parse` surely takes; and the values as `fill` takes them, right wherever `parse` takes the row."""


@dataclass(frozen=True)
class NumberColumn:
    """Takes one place of the vector: (value - mean) / std; a missing value counts as the training rows' median."""

    name: str
    integer: bool
    nullable: bool
    minimum: float | None
    maximum: float | None
    median: float
    mean: float
    std: float
    width = 1

    def parse(self, value: object) -> float | int | None:
        if value is None:
            return _missing(self.name, self.nullable)
        wanted = "an integer" if self.integer else "a number"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused(f"column {self.name!r}: found {type(value).__name__} {show(value)}, wanted {wanted}", "type")
        if not abs(value) <= LARGEST:
            raise Refused(f"column {self.name!r}: found {show(value)}, wanted a finite number", "range")
        if self.integer and value != int(value):
            raise Refused(f"column {self.name!r}: found {value!r}, wanted {wanted}", "type")
        if self.minimum is not None and value < self.minimum:
            raise Refused(f"column {self.name!r}: found {value!r}, wanted at least {self.minimum:g}", "range")
        if self.maximum is not None and value > self.maximum:
            raise Refused(f"column {self.name!r}: found {value!r}, wanted at most {self.maximum:g}", "range")
        return value

    def check(self, values: Values) -> Checked:
        """What is sure of many values at once."""
        if not isinstance(values, Numbers):
            return _one_by_one(self, values)
        numbers_B = values.floats()
        may_be_rounded = values.values.dtype.kind != "f" or values.items is not None
        sure_B = np.abs(numbers_B) < EXACT if may_be_rounded else np.abs(numbers_B) <= LARGEST
        if self.integer:
            sure_B &= numbers_B == np.trunc(numbers_B)
        if self.minimum is not None:
            sure_B &= numbers_B >= self.minimum
        if self.maximum is not None:
            sure_B &= numbers_B <= self.maximum
        return sure_B | (values.missing & self.nullable), numbers_B

    def schema(self) -> dict[str, Any]:
        kind = "integer" if self.integer else "number"
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": [kind, "null"] if self.nullable else kind} | {k: v for k, v in bounds.items() if v is not None}


@dataclass(frozen=True)
class CategoryColumn:
    """Takes a place for each of `values`, one for all others, and, where nullable, one for missing. `missing`: texts that mean no value."""

    name: str
    nullable: bool
    values: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.values) + 1 + self.nullable

    def parse(self, value: object) -> str | None:
        if isinstance(value, bool):
            value = self._word(value)
        if isinstance(value, int):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise Refused(f"column {self.name!r}: found {type(value).__name__} {show(value)}, wanted a text", "type")
        text = value.strip() if value is not None else None
        return _missing(self.name, self.nullable) if text is None or text in self.missing else text

    def check(self, values: Values) -> Checked:
        """What is sure of many values at once: each distinct one is parsed once."""
        if isinstance(values, Numbers) and values.items is None:
            values = _coded(values)
        if not isinstance(values, Coded):
            return _one_by_one(self, values)
        sure_D, parsed_D = _one_by_one(self, Objects(values.distinct))
        return sure_D[values.codes], Coded(parsed_D, values.codes)

    def _word(self, truth: bool) -> str:
        """The training rows' word for it: files write True and TRUE as well as true."""
        word = str(truth).lower()
        return next((value for value in self.values if value.lower() == word), word)

    def fill(self, x_BW: np.ndarray, values: Sequence[Any] | Coded) -> None:
        place: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
        other = len(self.values)
        place[None] = other + self.nullable
        if isinstance(values, Coded):
            places_B = np.array([place.get(value, other) for value in values.distinct], np.intp)[values.codes]
        else:
            places_B = [place.get(value, other) for value in values]
        x_BW[np.arange(len(x_BW)), places_B] = 1.0

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"] if self.nullable else "string", "examples": list(self.values[:8])}


Column = NumberColumn | CategoryColumn


@dataclass(frozen=True)
class NumberBlock:
    """W columns of numbers side by side; `median`, `mean` and `std` are (W, 1)."""

    names: tuple[str, ...]
    median: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Any]) -> "NumberBlock":
        """A block of NumberColumns."""
        fitted = ([[getattr(part, name)] for part in parts] for name in ("median", "mean", "std"))
        return cls(tuple(part.name for part in parts), *(np.array(values, dtype=np.float64) for values in fitted))

    @property
    def width(self) -> int:
        return len(self.names)

    def fill(self, x_BW: np.ndarray, columns: Mapping[str, Any]) -> None:
        numbers_WB = np.array([columns[name] for name in self.names], dtype=np.float64)  # None becomes NaN
        numbers_WB = np.where(np.isnan(numbers_WB), self.median, numbers_WB)
        x_BW[:] = np.clip((numbers_WB - self.mean) / self.std, -LARGEST, LARGEST).T


@dataclass(frozen=True)
class CategoryBlock:
    """One column of categories."""

    part: CategoryColumn

    @property
    def width(self) -> int:
        return self.part.width

    def fill(self, x_BW: np.ndarray, columns: Mapping[str, Any]) -> None:
        self.part.fill(x_BW, columns[self.part.name])


@dataclass(frozen=True)
class TableInput:
    """`parts`: the feature columns in the vector's order."""

    parts: tuple[Column, ...]
    dtype = "float32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "TableInput":
        return cls(tuple(_column(part) for part in data["columns"]))

    @property
    def features_shape(self) -> tuple[int, ...]:
        return (sum(part.width for part in self.parts),)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def parse(self, item: object) -> tuple[Any, ...]:
        """An item's values in column order; `Refused` names the column at fault."""
        return tuple(part.parse(value) for part, value in zip(self.parts, self._in_order(item), strict=True))

    def sift(self, columns: Mapping[str, Values]) -> Sifted:
        """The rows that `parse` takes, and the refusals of the others in its very words."""
        checked = [(part.name, part.check(columns[part.name])) for part in self.parts]
        taken_B = np.logical_and.reduce([sure_B for _, (sure_B, _) in checked])
        refused = []
        for row in map(int, np.flatnonzero(~taken_B)):
            try:
                self.parse([columns[part.name].at(row) for part in self.parts])
                taken_B[row] = True
            except Refused as error:
                refused.append(RowRefused(row, str(error), error.rule))
        rows = np.flatnonzero(taken_B)
        return Sifted(rows, {name: _taken(values, rows) for name, (_, values) in checked}, refused)

    def features(self, columns: Mapping[str, Any]) -> np.ndarray:
        """(B, F) float32; a row's vector depends on no other row."""
        rows = len(columns[self.parts[0].name])
        x_BF = np.zeros((rows, *self.features_shape), dtype=np.float32)
        for start, block in self._blocks:
            block.fill(x_BF[:, start : start + block.width], columns)
        return x_BF

    @cached_property
    def _blocks(self) -> "list[tuple[int, NumberBlock | CategoryBlock]]":
        """What is filled at once, and where it begins: numbers that stand side by side, and each column of categories."""
        blocks: list[tuple[int, NumberBlock | CategoryBlock]] = []
        start = 0
        for are_numbers, run in groupby(self.parts, key=lambda part: isinstance(part, NumberColumn)):
            parts = list(run)
            categories = [CategoryBlock(part) for part in parts if isinstance(part, CategoryColumn)]
            for block in [NumberBlock.of(parts)] if are_numbers else categories:
                blocks.append((start, block))
                start += block.width
        return blocks

    def item(self, row: Sequence[Any]) -> dict[str, Any]:
        """The item a client would send for a stored row."""
        return dict(zip(self.columns, row, strict=True))

    def schema(self) -> dict[str, Any]:
        properties = {part.name: part.schema() for part in self.parts}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

    def sentence(self) -> str:
        return f"an object with the columns {', '.join(self.columns)} (or a list of their values in this order)"

    def _in_order(self, item: object) -> Sequence[object]:
        names = self.columns
        if isinstance(item, Mapping):
            if item.keys() != set(names):
                raise Refused(_wrong_columns(item, names))
            return [item[name] for name in names]
        if not isinstance(item, (list, tuple)):
            raise Refused(
                f"found {type(item).__name__} {show(item)}, wanted an object with the columns {', '.join(names)}"
            )
        if len(item) != len(names):
            raise Refused(f"found a list of {len(item)} values, wanted {len(names)}: {', '.join(names)}")
        return item


def _wrong_columns(item: Mapping[Any, Any], names: Sequence[str]) -> str:
    missing = [name for name in names if name not in item]
    unknown = [str(key) for key in item if key not in names]
    if unknown:
        return f"found the unknown column {show(unknown[0])}{did_you_mean(unknown[0], missing or names)}"
    return f"column {missing[0]!r} is missing, wanted {', '.join(names)}"


def _missing(name: str, nullable: bool) -> None:
    if not nullable:
        raise Refused(f"column {name!r}: found no value, wanted one", "missing")


def _one_by_one(part: "Column", values: Values) -> Checked:
    """Each value parsed; those of a refused row are None."""
    sure_B, parsed = np.ones(len(values), bool), []
    for row in range(len(values)):
        try:
            parsed.append(part.parse(values.at(row)))
        except Refused:
            sure_B[row] = False
            parsed.append(None)
    return sure_B, parsed


def _coded(numbers: Numbers) -> Coded:
    distinct, codes_B = np.unique(numbers.values, return_inverse=True)
    return Coded([*distinct.tolist(), None], np.where(numbers.missing, len(distinct), codes_B))


def _taken(values: Any, rows: np.ndarray) -> Any:
    return [values[row] for row in rows] if isinstance(values, list) else values.take(rows)


def _column(data: Mapping[str, Any]) -> Column:
    if data["type"] == "category":
        return CategoryColumn(data["name"], data["nullable"], tuple(data["values"]), tuple(data["missing"]))
    fields = ("nullable", "minimum", "maximum", "median", "mean", "std")
    return NumberColumn(data["name"], data["type"] == "integer", *(data[field] for field in fields))
