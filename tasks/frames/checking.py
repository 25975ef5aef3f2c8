"""Rows as read → clean, typed rows and refusals. A row is in one of the two, whole; the first rule it breaks is the one named."""

import math
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.arrow import pc
from tasks.frames.cells import typed
from tasks.frames.raw import DOCUMENT, FILE, ORIGIN, ROW, Raw, Refusal, cut
from tasks.frames.schema import ARRAYS, Column, Schema
from tasks.sections import DataSection
from tasks.transforms.items import did_you_mean, show

FEW = 50  # rows that are kept for each that is not, at least, where runs of them are copied


class Faults:
    """The first fault of each row: its rule, its column, and what was wanted."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.whole = np.ones(table.num_rows, dtype=bool)
        self.first: dict[int, tuple[str, Column, str]] = {}

    def add(self, mask: np.ndarray, rule: str, column: Column, wanted: str) -> None:
        """Rows of `mask` that have no fault yet break `rule`."""
        if not mask.any():
            return
        found = mask & self.whole
        self.first |= dict.fromkeys(np.flatnonzero(found).tolist(), (rule, column, wanted))
        self.whole &= ~found


def check(section: DataSection, schema: Schema, raw: Raw) -> tuple[pa.Table, list[Refusal]]:
    """Typed rows (the schema's columns, `_file`, `_row`, and `_document` of passages) in their order, and all refusals of `raw` in the order of origin."""
    table = _completed(schema, raw)
    faults, arrays = Faults(table), {}
    for column in (*schema.targets, *schema.features):
        arrays[column.name] = _checked(section, column, column in schema.targets, faults)
    clean = pa.table({column.name: arrays[column.name] for column in schema.columns})
    for name in (FILE, ROW, *({DOCUMENT} & set(table.column_names))):
        clean = clean.append_column(name, table.column(name))
    refused = [*raw.refused, *_refusals(schema, raw, faults)]
    kept = _without(clean, faults.whole) if faults.first else clean
    return kept.combine_chunks(), sorted(refused, key=lambda refusal: (refusal.file, refusal.row))


def _completed(schema: Schema, raw: Raw) -> pa.Table:
    """The table with all of the schema's columns; SchemaError where the file should have had one and has not."""
    table = raw.table
    found = [name for name in table.column_names if name not in ORIGIN]
    missing = [column.name for column in schema.columns if column.name not in found]
    if missing and not raw.sparse and table.num_rows:
        raise SchemaError(
            f"{table.column(FILE)[0].as_py()}: column {missing[0]!r} is missing; found {', '.join(found)}, wanted the same columns "
            f"in every file{did_you_mean(missing[0], found)}"
        )
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table


def _checked(section: DataSection, column: Column, is_target: bool, faults: Faults) -> pa.Array:
    values = faults.table.column(column.name)
    if column.type in ARRAYS:
        return _of_one_size(column, values, faults.table)
    array, refused = typed(values, column.type, section.csv.missing)
    if is_target and section.target_names:
        array = _renamed(array, section.target_names)
    article = "an" if column.type == "integer" else "a"
    faults.add(
        refused, "type", column, f"{article} {column.type} (declare another type in data.columns if it is right)"
    )
    nulls = np.asarray(array.is_null().to_numpy(zero_copy_only=False)) & ~refused
    if is_target:
        faults.add(nulls, "missing_target", column, "a value to learn from")
    elif not column.nullable:
        faults.add(nulls, "missing", column, "a value")
    _check_limits(column, array, faults)
    return array


def _of_one_size(column: Column, values: pa.ChunkedArray, table: pa.Table) -> pa.Array:
    """The arrays; SchemaError where they have another size than those of the first file."""
    wanted = math.prod(column.shape or ())
    if values.type.list_size != wanted:
        raise SchemaError(
            f"{table.column(FILE)[0].as_py()}: column {column.name!r}: found {values.type.list_size} values a row, wanted {wanted} as in "
            "the first file; give files of one shape"
        )
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _check_limits(column: Column, array: pa.Array, faults: Faults) -> None:
    for bound, outside, word in ((column.minimum, pc.less, "at least"), (column.maximum, pc.greater, "at most")):
        if bound is not None and _any_outside(array, outside, bound):
            mask = pc.fill_null(outside(array, bound), False).to_numpy(zero_copy_only=False)
            faults.add(np.asarray(mask), "range", column, f"{word} {bound:g}")
    if column.categories is not None:
        allowed = pa.array(column.categories, pa.string())
        known = pc.fill_null(_each(lambda texts: pc.is_in(texts, allowed), array), True)
        faults.add(
            ~np.asarray(pc.or_(known, pc.is_null(array)).to_numpy(zero_copy_only=False)),
            "category",
            column,
            f"one of {show(list(column.categories))}",
        )


def _any_outside(array: pa.Array, outside: Any, bound: float) -> bool:
    ends = pc.min_max(array).as_py().values()
    return any(end is not None and outside(end, bound).as_py() for end in ends)


def _renamed(array: pa.Array, names: dict[str, str]) -> pa.Array:
    return _each(lambda texts: pa.array([names.get(text, text) for text in texts.to_pylist()], pa.string()), array)


def _refusals(schema: Schema, raw: Raw, faults: Faults) -> list[Refusal]:
    rows = np.array(sorted(faults.first), np.int64)
    if not len(rows):
        return []
    names = [c.name for c in schema.columns if c.type not in ARRAYS]
    picked = faults.table.select([*names, FILE, ROW]).take(rows)
    texts = (raw.texts(rows) if raw.texts else picked).to_pylist()
    files, numbers = picked.column(FILE).to_pylist(), picked.column(ROW).to_pylist()
    found = []
    for row, cells, file, number in zip(rows.tolist(), texts, files, numbers, strict=True):
        rule, column, wanted = faults.first[row]
        reason = f"column {column.name!r}: found {show(cells[column.name])}, wanted {wanted}"
        kept = orjson.dumps({name: cells[name] for name in names}, default=str)
        found.append(Refusal(file, number, rule, reason, cut(kept.decode())))
    return found


def _without(rows: pa.Table, kept: np.ndarray) -> pa.Table:
    """The rows of `kept`, without what only others had in a dictionary. Few are left out, so what lies between them is taken whole."""
    ends = np.flatnonzero(~kept)
    starts = [0, *(ends + 1).tolist()]
    runs = [rows.slice(a, b - a) for a, b in zip(starts, [*ends.tolist(), len(kept)], strict=True) if b > a]
    rows = pa.concat_tables(runs).combine_chunks() if 0 < len(runs) * FEW < len(kept) else rows.filter(pa.array(kept))
    for index, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(index, field.name, _used(rows.column(index).combine_chunks()))
    return rows


def _used(values: pa.DictionaryArray) -> pa.DictionaryArray:
    """With no more in its dictionary than is used."""
    counts = np.bincount(values.indices.drop_null().to_numpy(), minlength=len(values.dictionary))
    if counts.all():
        return values
    places = pa.array(np.cumsum(counts > 0) - 1, pa.int32())
    return pa.DictionaryArray.from_arrays(places.take(values.indices), values.dictionary.filter(pa.array(counts > 0)))


def _each(function: Any, values: pa.Array) -> pa.Array:
    """`function` of each value; of a dictionary, of each different one."""
    if not pa.types.is_dictionary(values.type):
        return function(values)
    return function(values.dictionary).take(values.indices)
