"""Rows as read → clean, typed rows and refusals. A row is in one of the two, whole; the first rule it breaks is the one named."""

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from storage.errors import Unreadable
from tasks.frames.arrow import pc
from tasks.frames.breaches import Breaches, Findings, Rule, plain
from tasks.frames.cells import typed
from tasks.frames.expressions import broken
from tasks.frames.raw import DOCUMENT, FILE, ORIGIN, ROW, Raw, Refusal
from tasks.frames.schema import ARRAYS, Column, Schema
from tasks.sections import ColumnRule, DataSection, Handling
from tasks.sections.expressions import parse
from tasks.transforms.items import did_you_mean, show

FEW = 50  # rows that are kept for each that is not, at least, where runs of them are copied


class Checked(NamedTuple):
    """`rows`: the schema's columns, `_file`, `_row`, and `_document` of passages, in their order; `refused`: all others, in the order of
    origin; `watched`: of `rows` the columns that are only checked."""

    rows: pa.Table
    refused: list[Refusal]
    findings: Findings
    watched: pa.Table


def check(section: DataSection, schema: Schema, raw: Raw) -> Checked:
    """The rows of `raw`, typed and held against the contract. SchemaError where a rule says fail; Unreadable where the file lacks a column."""
    table = _completed(schema, raw)
    breaches, arrays = Breaches(table, raw.texts), dict[str, Any]()
    for column in (*schema.targets, *schema.features, *schema.watched):
        arrays[column.name] = _checked(section, column, column in schema.targets, breaches)
    for rule in section.contract.rows:
        names = parse(rule.expression).columns
        mask = broken(rule.expression, {name: plain(arrays[name]) for name in names if name in arrays})
        changed = rule.column or names[0]
        wanted = Rule(rule.name, rule.name, names, rule.expression)
        arrays[changed] = breaches.settle(arrays[changed], mask, wanted, rule)
    clean = pa.table({column.name: arrays[column.name] for column in schema.columns})
    for name in (FILE, ROW, *({DOCUMENT} & set(table.column_names))):
        clean = clean.append_column(name, table.column(name))
    shown = [column.name for column in (*schema.columns, *schema.watched) if column.type not in ARRAYS]
    refused = [*raw.refused, *breaches.refusals(shown)]
    watched = pa.table({column.name: plain(arrays[column.name]) for column in schema.watched})
    return Checked(
        _without(clean, breaches.kept),
        sorted(refused, key=lambda refusal: (refusal.file, refusal.row)),
        breaches.findings(),
        watched.filter(pa.array(breaches.kept)) if schema.watched else watched,
    )


def _completed(schema: Schema, raw: Raw) -> pa.Table:
    """The table with all of the schema's columns; Unreadable where the file should have had one and has not."""
    table = raw.table
    found = [name for name in table.column_names if name not in ORIGIN]
    missing = [column.name for column in (*schema.columns, *schema.watched) if column.name not in found]
    if missing and not raw.sparse and table.num_rows:
        raise Unreadable(
            f"{table.column(FILE)[0].as_py()}: column {missing[0]!r} is missing; found {', '.join(found)}, wanted the same columns "
            f"in every file{did_you_mean(missing[0], found)}"
        )
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table


def _checked(section: DataSection, column: Column, is_target: bool, breaches: Breaches) -> Any:
    values = breaches.table.column(column.name)
    if column.type in ARRAYS:
        return _of_one_size(column, values, breaches.table) if len(values) else _no_array(column)
    rule = section.rules.get(column.name)
    array, refused = typed(values, column.type, section.csv.missing)
    if is_target and section.target_names:
        array = _renamed(array, section.target_names)
    article = "an" if column.type == "integer" else "a"
    wanted = f"{article} {column.type} (declare another type in data.columns if it is right)"
    array = _settled(array, refused, "type", column, rule, wanted, breaches)
    array = _in_range(array, column, rule, breaches)
    if rule is not None and column.type in ("text", "category"):
        array = _of_length(array, column, rule, breaches)
        array = _like(array, column, rule, breaches)
    if column.categories is not None:
        allowed = pa.array(column.categories, pa.string())
        known = _each(lambda texts: pc.is_in(texts, allowed), array)
        unknown = ~_mask(known, True) & ~_mask(pc.is_null(array))
        wanted = f"one of {show(list(column.categories))}"
        array = _settled(array, unknown, "category", column, rule, wanted, breaches)
    if (is_target or not column.nullable) and array.null_count:
        name, wanted = ("missing_target", "a value to learn from") if is_target else ("missing", "a value")
        array = _settled(array, _mask(pc.is_null(array)), name, column, rule, wanted, breaches)
    return array


def _settled(
    array: Any,
    mask: np.ndarray,
    name: str,
    column: Column,
    rule: ColumnRule | None,
    wanted: str,
    breaches: Breaches,
    nearest: Any = None,
) -> Any:
    handling = rule.handled(name) if rule else Handling()
    return breaches.settle(array, mask, Rule(name, f"{column.name}: {name}", (column.name,), wanted), handling, nearest)


def _in_range(array: Any, column: Column, rule: ColumnRule | None, breaches: Breaches) -> Any:
    for bound, outside, inwards, word in (
        (column.minimum, pc.less, math.ceil, "at least"),
        (column.maximum, pc.greater, math.floor, "at most"),
    ):
        if bound is not None and _any_outside(array, outside, bound):
            nearest = pa.scalar(inwards(bound) if column.type == "integer" else bound, array.type)
            mask = _mask(outside(array, bound))
            array = _settled(array, mask, "range", column, rule, f"{word} {bound:g}", breaches, nearest)
    return array


def _of_length(array: Any, column: Column, rule: ColumnRule, breaches: Breaches) -> Any:
    if rule.shortest is not None:
        mask = _mask(_each(lambda texts: pc.less(pc.utf8_length(texts), rule.shortest), array))
        wanted = f"at least {rule.shortest} characters"
        array = _settled(array, mask, "length", column, rule, wanted, breaches)
    if rule.longest is not None:
        mask = _mask(_each(lambda texts: pc.greater(pc.utf8_length(texts), rule.longest), array))
        nearest = pc.utf8_slice_codeunits(plain(array), 0, rule.longest) if mask.any() else None
        wanted = f"at most {rule.longest} characters"
        array = _settled(array, mask, "length", column, rule, wanted, breaches, nearest)
    return array


def _like(array: Any, column: Column, rule: ColumnRule, breaches: Breaches) -> Any:
    if not rule.pattern:
        return array
    fits = _each(lambda texts: pc.match_substring_regex(texts, f"^(?:{rule.pattern})$"), array)
    return _settled(array, ~_mask(fits, True), "pattern", column, rule, f"what matches {rule.pattern}", breaches)


def _mask(values: Any, unknown: bool = False) -> np.ndarray:
    return np.asarray(pc.fill_null(values, unknown).to_numpy(zero_copy_only=False), dtype=bool)


def _of_one_size(column: Column, values: pa.ChunkedArray, table: pa.Table) -> pa.Array:
    """The arrays; Unreadable where they have another size than those of the first file."""
    wanted = math.prod(column.shape or ())
    if values.type.list_size != wanted:
        raise Unreadable(
            f"{table.column(FILE)[0].as_py()}: column {column.name!r}: found {values.type.list_size} values a row, wanted {wanted} as in "
            "the first file; give files of one shape"
        )
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _no_array(column: Column) -> pa.Array:
    kind = pa.from_numpy_dtype(np.dtype(column.dtype or "uint8"))
    return pa.array([], pa.list_(kind, math.prod(column.shape or ())))


def _renamed(array: pa.Array, names: dict[str, str]) -> pa.Array:
    return _each(lambda texts: pa.array([names.get(text, text) for text in texts.to_pylist()], pa.string()), array)


def _any_outside(array: pa.Array, outside: Any, bound: float) -> bool:
    ends = pc.min_max(array).as_py().values()
    return any(end is not None and outside(end, bound).as_py() for end in ends)


def _without(rows: pa.Table, kept: np.ndarray) -> pa.Table:
    """The rows of `kept`, without what only others had in a dictionary. Few are left out, so what lies between them is taken whole."""
    if kept.all():
        return rows.combine_chunks()
    ends = np.flatnonzero(~kept)
    starts = [0, *(ends + 1).tolist()]
    runs = [rows.slice(a, b - a) for a, b in zip(starts, [*ends.tolist(), len(kept)], strict=True) if b > a]
    few = 0 < len(runs) * FEW < len(kept)
    rows = pa.concat_tables(runs).combine_chunks() if few else rows.filter(pa.array(kept)).combine_chunks()
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
