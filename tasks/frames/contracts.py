"""Whether a contract fits the columns that it is for: found out before any shard is read."""

from collections.abc import Iterator

import pyarrow as pa

from storage.errors import ConfigError, SchemaError
from tasks.frames.arrow import pc
from tasks.frames.cells import ARROW
from tasks.frames.expressions import broken
from tasks.frames.schema import ARRAYS, Column, Schema
from tasks.sections import DataSection, Handling


def check_contract(section: DataSection, schema: Schema) -> None:
    """ConfigError where a rule of the contract cannot be carried out; SchemaError where it is closed and the source has more columns."""
    columns = {column.name: column for column in (*schema.columns, *schema.watched)}
    known = {*section.contract.names(), section.target, *section.features}
    extra = next((name for name in (*columns, *schema.unused) if name not in known), None)
    if section.contract.closed and extra is not None:
        raise SchemaError(
            f"data.contract: is closed, and the source has a column {extra!r} that it does not name; add it, or set closed to false"
        )
    fault = next(_faults(section, schema, columns), None)
    if fault:
        raise ConfigError(f"data.contract: {fault}")


def _faults(section: DataSection, schema: Schema, columns: dict[str, Column]) -> Iterator[str]:
    for name, rule in section.rules.items():
        if name in columns:
            yield from _of_pattern(name, rule.pattern)
            for one, handling in rule.handling.items():
                yield from _of_constant(columns[name], handling)
                if one == "missing" and handling.action == "warn" and _is_needed(schema, columns[name]):
                    yield f"column {name!r}: a row without it cannot be learned from; missing can be quarantine, fix or fail"
    tried = {name: _any(column) for name, column in columns.items() if column.type in ARROW}
    for rule in section.contract.rows:
        broken(rule.expression, tried)
        if rule.action == "fix":
            yield from _of_constant(columns[rule.column], rule)
    for rule in section.contract.unique:
        yield from (f"unique: column {name!r} is an array" for name in rule.columns if columns[name].type in ARRAYS)
    for rule in section.contract.shares:
        kind = columns[rule.column].type
        if rule.value is not None and kind != "category":
            yield f"shares: column {rule.column!r} is of type {kind}, and the values of a category can be counted alone"


def _any(column: Column) -> pa.Array:
    """A value of the column's type: without one Arrow looks at no pattern."""
    kind = ARROW[column.type]
    return pa.array(["" if pa.types.is_string(kind) else 0], kind)


def _of_pattern(name: str, pattern: str) -> Iterator[str]:
    try:
        pc.match_substring_regex(pa.array([""]), f"^(?:{pattern})$")
    except pa.ArrowInvalid as error:
        yield f"column {name!r}: pattern {pattern!r} is no RE2 pattern ({' '.join(str(error).split())[:120]})"


def _of_constant(column: Column, handling: Handling) -> Iterator[str]:
    if handling.fix != "constant":
        return
    texts = column.type in ("category", "text", "passage")
    fits = isinstance(handling.value, str) if texts else isinstance(handling.value, int | float)
    if column.type in ARRAYS or not fits or (column.type == "integer" and not isinstance(handling.value, int)):
        yield f"column {column.name!r} is of type {column.type}: found {handling.value!r} as what a cell is fixed to"


def _is_needed(schema: Schema, column: Column) -> bool:
    return column in schema.targets or (len(schema.features) == 1 and column.type in ("text", "passage"))
