"""A row of named columns → one vector: scaled numbers and one-hot categories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.transforms.items import Refused, did_you_mean, show

LARGEST = float(np.finfo(np.float32).max)


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
            raise Refused(f"column {self.name!r}: found {type(value).__name__} {show(value)}, wanted {wanted}")
        if not abs(value) <= LARGEST:
            raise Refused(f"column {self.name!r}: found {show(value)}, wanted a finite number")
        if self.integer and value != int(value):
            raise Refused(f"column {self.name!r}: found {value!r}, wanted {wanted}")
        if self.minimum is not None and value < self.minimum:
            raise Refused(f"column {self.name!r}: found {value!r}, wanted at least {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            raise Refused(f"column {self.name!r}: found {value!r}, wanted at most {self.maximum:g}")
        return value

    def fill(self, x_BW: np.ndarray, values: Sequence[Any]) -> None:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        numbers = np.where(np.isnan(numbers), self.median, numbers)
        x_BW[:, 0] = np.clip((numbers - self.mean) / self.std, -LARGEST, LARGEST)

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
            raise Refused(f"column {self.name!r}: found {type(value).__name__} {show(value)}, wanted a text")
        text = value.strip() if value is not None else None
        return _missing(self.name, self.nullable) if text is None or text in self.missing else text

    def _word(self, truth: bool) -> str:
        """The training rows' word for it: files write True and TRUE as well as true."""
        word = str(truth).lower()
        return next((value for value in self.values if value.lower() == word), word)

    def fill(self, x_BW: np.ndarray, values: Sequence[Any]) -> None:
        place: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
        other = len(self.values)
        place[None] = other + self.nullable
        x_BW[np.arange(len(x_BW)), [place.get(value, other) for value in values]] = 1.0

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"] if self.nullable else "string", "examples": list(self.values[:8])}


Column = NumberColumn | CategoryColumn


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

    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(B, F) float32; a row's vector depends on no other row."""
        rows = len(columns[self.parts[0].name])
        x_BF = np.zeros((rows, *self.features_shape), dtype=np.float32)
        start = 0
        for part in self.parts:
            part.fill(x_BF[:, start : start + part.width], columns[part.name])
            start += part.width
        return x_BF

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
        raise Refused(f"column {name!r}: found no value, wanted one")


def _column(data: Mapping[str, Any]) -> Column:
    if data["type"] == "category":
        return CategoryColumn(data["name"], data["nullable"], tuple(data["values"]), tuple(data["missing"]))
    fields = ("nullable", "minimum", "maximum", "median", "mean", "std")
    return NumberColumn(data["name"], data["type"] == "integer", *(data[field] for field in fields))
