"""A part of a file → the values that a client would send for its rows, by column, and the columns that are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.batch.cells import cell_value
from tasks.batch.planning import Part
from tasks.frames import delimited, parquet_rows
from tasks.frames.arrow import pc
from tasks.frames.raw import FILE, ROW, Mark, Raw, Refusal
from tasks.frames.streams import Entry
from tasks.sections import DataSection
from tasks.transforms.columns import Coded, Numbers, Objects, Values, column_of
from tasks.transforms.encoded import to_base64


@dataclass(frozen=True)
class Rows:
    """`table`: the columns asked for, `_file` and `_row`; `refused`: rows that could not be read; `is_text`: its cells are texts, as in CSV."""

    table: pa.Table
    refused: list[Refusal] = field(default_factory=list)
    is_text: bool = False

    def values(self, name: str, schema: Mapping[str, Any]) -> Values:
        """A column's values as JSON would have them. `schema`: the column's JSON schema, by which texts in CSV become numbers."""
        array = self.table.column(name).combine_chunks()
        return _from_cells(array, schema) if self.is_text else _from_types(array)


def read_rows(section: DataSection, part: Part, columns: Sequence[str] | None) -> Rows:
    """The rows of `part`, of `columns` only (None: all of the file's)."""
    piece = part.piece
    entry = piece.entries[0]
    if piece.format == "parquet":
        return Rows(_parquet(entry, part, tuple(columns) if columns is not None else None))
    mark = Mark(piece.start, piece.stop, piece.offset, piece.length, piece.torn)
    raw: Raw = delimited.read(section, piece.format, entry, piece.header, mark)
    table = raw.table if columns is None else raw.table.select([*columns, FILE, ROW])
    return Rows(table, raw.refused, is_text=True)


def _parquet(entry: Entry, part: Part, columns: tuple[str, ...] | None) -> pa.Table:
    start, stop = part.piece.start, part.piece.stop
    if part.whole == (start, stop):
        return parquet_rows.read(entry, start, stop, columns).table
    first, end = part.whole
    return _row_group(entry, first, end, columns).slice(start - first, stop - start)


@lru_cache(maxsize=1)
def _row_group(entry: Entry, start: int, stop: int, columns: tuple[str, ...] | None) -> pa.Table:
    """A row group that is more than one part, decoded once for those of them that follow one another here."""
    return parquet_rows.read(entry, start, stop, columns).table


def _from_cells(array: Any, schema: Mapping[str, Any]) -> Values:
    coded = array.dictionary_encode()
    distinct = [cell_value(text, schema) for text in coded.dictionary.to_pylist()]
    return Coded(distinct, coded.indices.to_numpy())


def _from_types(array: Any) -> Values:
    """NaN is no value, as in training; bytes are a file, in base64; decimals are numbers."""
    kind = array.type
    if pa.types.is_decimal(kind):
        return _from_types(array.cast(pa.float64(), safe=False))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Objects([None if value is None else to_base64(value) for value in array.to_pylist()])
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return column_of(array.to_pylist())
    return _coded(array)


def _numbers(array: Any) -> Numbers:
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if pa.types.is_floating(array.type):
        missing = missing | np.isnan(values)
    return Numbers(values, missing)


def _coded(array: Any) -> Coded:
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    distinct = [*coded.dictionary.to_pylist(), None]
    return Coded(distinct, pc.fill_null(coded.indices, len(distinct) - 1).to_numpy(zero_copy_only=False))
