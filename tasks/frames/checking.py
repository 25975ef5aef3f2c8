"""Rows as read → clean, typed rows and refusals. A row is in one of the two, whole; the first rule it breaks is the one named."""

import math

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


class Faults:
    """The first fault of each row: rule, column and what was found."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rule = np.full(table.num_rows, "", dtype=object)
        self.reason = np.full(table.num_rows, "", dtype=object)

    def add(self, mask: np.ndarray, rule: str, column: Column, wanted: str) -> None:
        """Rows of `mask` that have no fault yet break `rule`."""
        for row in np.flatnonzero(mask & (self.rule == "")):
            self.rule[row] = rule
            found = show(self.table.column(column.name)[int(row)].as_py())
            self.reason[row] = f"column {column.name!r}: found {found}, wanted {wanted}"


def check(section: DataSection, schema: Schema, raw: Raw) -> tuple[pa.Table, list[Refusal]]:
    """Typed rows (the schema's columns, `_file`, `_row`, and `_document` of passages) in their order, and all refusals of `raw` in the order of origin."""
    table = _completed(schema, raw)
    faults, arrays = Faults(table), {}
    for column in (*schema.targets, *schema.features):
        arrays[column.name] = _checked(section, column, column in schema.targets, faults)
    clean = pa.table({column.name: arrays[column.name] for column in schema.columns})
    for name in (FILE, ROW, *({DOCUMENT} & set(table.column_names))):
        clean = clean.append_column(name, table.column(name))
    refused = [*raw.refused, *_refusals(schema, table, faults)]
    kept = clean.filter(pa.array(faults.rule == "", pa.bool_())).combine_chunks()
    return kept, sorted(refused, key=lambda refusal: (refusal.file, refusal.row))


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
        if bound is not None:
            mask = pc.fill_null(outside(array, bound), False).to_numpy(zero_copy_only=False)
            faults.add(np.asarray(mask), "range", column, f"{word} {bound:g}")
    if column.categories is not None:
        known = pc.or_(pc.is_null(array), pc.is_in(array, pa.array(column.categories, pa.string())))
        faults.add(
            ~np.asarray(known.to_numpy(zero_copy_only=False)),
            "category",
            column,
            f"one of {show(list(column.categories))}",
        )


def _renamed(array: pa.Array, names: dict[str, str]) -> pa.Array:
    return pa.array([names.get(value, value) for value in array.to_pylist()], pa.string())


def _refusals(schema: Schema, table: pa.Table, faults: Faults) -> list[Refusal]:
    found = []
    for row in map(int, np.flatnonzero(faults.rule != "")):
        cells = {c.name: table.column(c.name)[row].as_py() for c in schema.columns if c.type not in ARRAYS}
        raw = orjson.dumps(cells, default=str).decode()
        origin = table.column(FILE)[row].as_py(), table.column(ROW)[row].as_py()
        found.append(Refusal(*origin, faults.rule[row], faults.reason[row], cut(raw)))
    return found
