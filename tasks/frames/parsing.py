"""Bytes of delimited rows → columns: as texts, or at once as the types of a schema where that gives the same."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from tasks.frames.cells import NUMBER, as_texts, at_once, has_hexadecimal, is_surprising
from tasks.frames.schema import ARRAYS, Schema

NUMERIC = {"integer": pa.int64(), "number": pa.float64()}


@dataclass(frozen=True)
class Dialect:
    """How rows are written, and the names of their columns."""

    header: tuple[str, ...]
    delimiter: str
    quoting: bool


def parse(
    data: bytes, dialect: Dialect, types: Mapping[str, Any] | None = None, missing: Sequence[str] = ()
) -> tuple[pa.Table, list[Any]]:
    """All columns as texts, or those of `types` as these, texts of `missing` being null in numbers; and the ragged rows, which it leaves out.

    ArrowInvalid for a cell that is not of its type.
    """
    types = dict.fromkeys(dialect.header, pa.string()) if types is None else types
    if not data:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()}), []
    ragged: list[Any] = []

    def keep(row: Any) -> str:
        ragged.append(row)
        return "skip"

    table = arrow_csv.read_csv(
        io.BytesIO(data),
        # one block and one thread: only then does Arrow number the rows that it refuses
        read_options=arrow_csv.ReadOptions(
            column_names=list(dialect.header), use_threads=False, block_size=len(data) + 1
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char='"' if dialect.quoting else False,
            newlines_in_values=dialect.quoting,
            invalid_row_handler=keep,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(types),
            null_values=["", *missing],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    return table, ragged


class TypedParser:
    """Rows with the types of a schema: numbers, and categories in a dictionary. A column of numbers with a cell that is none, or which
    Arrow may take for another than `cells.typed` would, stays text.

    It remembers where it met such cells: those columns are read as texts at once from then on, and the outcome is the same.
    """

    def __init__(self, schema: Schema, missing: tuple[str, ...]) -> None:
        self._missing = missing
        self._kinds = {
            column.name: column.type for column in (*schema.columns, *schema.watched) if column.type not in ARRAYS
        }
        numeric = {name for name, kind in self._kinds.items() if kind in NUMERIC}
        # where a missing text is a number, it counts as missing only when there is no white space around it
        self._texts = numeric if any(re.match(NUMBER, text) for text in missing) else set[str]()

    def parse(self, data: bytes, dialect: Dialect) -> tuple[pa.Table, list[Any]]:
        """As `parse`, without columns that the schema does not have."""
        kinds = {name: self._kinds[name] for name in dialect.header if name in self._kinds}
        texts = dict.fromkeys(kinds, pa.string())
        wanted = {name: NUMERIC[kind] for name, kind in kinds.items() if kind in NUMERIC and name not in self._texts}
        parsed = None if self._may_be_hexadecimal(kinds, data) else self._typed(data, dialect, {**texts, **wanted})
        if parsed is None:
            table, ragged = parse(data, dialect, texts)
            parsed = self._numbers(table, {name: kinds[name] for name in wanted}), ragged
        return _coded(parsed[0], [name for name, kind in kinds.items() if kind == "category"]), parsed[1]

    def _typed(self, data: bytes, dialect: Dialect, types: Mapping[str, Any]) -> tuple[pa.Table, list[Any]] | None:
        """None where a cell is not what Arrow, or we, take for a number."""
        try:
            table, ragged = parse(data, dialect, types, self._missing)
        except pa.ArrowInvalid:
            return None
        numbers = (table.column(name) for name, kind in types.items() if kind != pa.string())
        return None if any(map(is_surprising, numbers)) else (table, ragged)

    def _may_be_hexadecimal(self, kinds: Mapping[str, str], data: bytes) -> bool:
        return "integer" in kinds.values() and has_hexadecimal(data)

    def _numbers(self, table: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
        """Texts as numbers, but for columns in which one is none."""
        for name, kind in kinds.items():
            numbers = at_once(as_texts(table.column(name), self._missing), kind)
            if numbers is None:
                self._texts.add(name)
            else:
                table = table.set_column(table.column_names.index(name), name, numbers)
        return table


@lru_cache(maxsize=16)
def typed_parser(schema: Schema, missing: tuple[str, ...]) -> TypedParser:
    """The parser of a data set; it learns from one shard for the next."""
    return TypedParser(schema, missing)


def _coded(table: pa.Table, names: Iterable[str]) -> pa.Table:
    for name in names:
        coded = table.column(name).dictionary_encode()
        table = table.set_column(table.column_names.index(name), name, coded)
    return table
