"""The rows that come with a model: a sample to try it on, or labelled rows to judge it by. N rows, F columns."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.cells import as_texts, typed
from tasks.frames.faults import reading
from tasks.frames.heads import sample_rows
from tasks.frames.looking import look
from tasks.frames.streams import open_entry
from tasks.frames.traits import MISSING
from tasks.transforms.items import did_you_mean, show

ONLY = "x"  # the column of a JSON list whose items have no names


@dataclass(frozen=True)
class Rows:
    """`table`: columns as read, from CSV as texts. `about`: how many rows the file has, exact where `whole`: then all are in the table."""

    url: str
    table: pa.Table
    about: int
    whole: bool

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in the file's order."""
        return tuple(self.table.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """The cells; SchemaError names the nearest column."""
        if name not in self.names:
            raise SchemaError(
                f"{self.url}: has no column {name!r}, found {', '.join(self.names)}{did_you_mean(name, self.names)}"
            )
        return self.table.column(name)

    def numbers(self, name: str) -> np.ndarray:
        """(N,) float64; SchemaError names the first cell that is no finite number."""
        cells = self.column(name)
        if pa.types.is_nested(cells.type):
            raise SchemaError(f"{self.url}: column {name!r}: found lists, wanted a number in each row")
        if pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.int64())
        values, _ = typed(cells, "number", MISSING)
        numbers = values.to_numpy(zero_copy_only=False)
        if (bad := np.flatnonzero(~np.isfinite(numbers))).size:
            found = show(cells[int(bad[0])].as_py())
            raise SchemaError(
                f"{self.url}: column {name!r}: row {bad[0] + 1}: found {found}, wanted a finite number: nothing is filled in for an imported model"
            )
        return numbers

    def texts(self, name: str) -> list[str]:
        """Trimmed texts; SchemaError names the first row that has none."""
        texts = as_texts(self.column(name), MISSING)
        if texts.null_count:
            row = texts.is_null().to_pylist().index(True) + 1
            raise SchemaError(f"{self.url}: column {name!r}: row {row}: found no value, wanted one")
        return texts.to_pylist()

    def cells(self, name: str) -> Iterator[Any]:
        """The cells as Python values, one after the other, as an image's take much room; lists that JSON lines hold, as lists."""
        return (_listed(cell.as_py()) for cell in self.column(name))

    @property
    def told(self) -> str:
        """How many rows these are, and of how many."""
        return f"{len(self):,} rows" if self.whole else f"{len(self):,} of about {self.about:,} rows"

    def is_numeric(self, name: str) -> bool:
        """Whether all cells that have a value are numbers."""
        cells = self.column(name)
        if pa.types.is_nested(cells.type):
            return False
        _, refused = typed(cells.cast(pa.int64()) if pa.types.is_boolean(cells.type) else cells, "number", MISSING)
        return not refused.any()


def read_rows(url: str) -> Rows:
    """The rows of a CSV, TSV, JSON lines, Parquet or JSON file at `url` (any fsspec URL); of a large one an evenly spread sample.

    SchemaError, ConfigError or NotFound where it cannot be read.
    """
    if url.lower().endswith(".json"):
        return _from_json(url)
    sample = sample_rows(look(url))
    if not sample.table.num_rows:
        raise SchemaError(f"{url}: found no rows, wanted some")
    return Rows(url, sample.table, sample.rows, sample.whole)


def _listed(cell: Any) -> Any:
    if not isinstance(cell, str) or cell[:1] != "[":
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _from_json(url: str) -> Rows:
    entry, _ = look(url, "jsonl").entries[0]
    with reading(url), open_entry(entry) as stream:
        content = stream.read()
    try:
        items = json.loads(content)
    except ValueError as error:
        raise SchemaError(f"{url}: no valid JSON: {error}; write a list, or one object a line as .jsonl") from None
    if not isinstance(items, list) or not items:
        raise SchemaError(f"{url}: found {show(items)}, wanted a list of items")
    table = _named(items)
    return Rows(url, table, table.num_rows, True)


def _named(items: Sequence[Any]) -> pa.Table:
    """Objects by their names; lists of numbers as x0, x1, …; anything else in one column."""
    try:
        if all(isinstance(item, dict) for item in items):
            return pa.Table.from_pylist(list(items))
        if all(isinstance(item, list) and not any(isinstance(value, list) for value in item) for item in items):
            return pa.Table.from_pylist([{f"{ONLY}{i}": value for i, value in enumerate(item)} for item in items])
        return pa.table({ONLY: items})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(f"the items: found {str(error)[:200]}; wanted items that are all of one form") from None
