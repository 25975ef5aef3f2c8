"""A user's own pass: a function over the checked rows of one shard, which may change values and leave rows out."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.arrow import pc
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.frames.own_function import call
from tasks.frames.raw import FILE, ORIGIN, ROW
from tasks.frames.schema import Column

if TYPE_CHECKING:
    from tasks.frames.cleaning.running import Shard


def run(name: str, shard: "Shard") -> None:
    """The shard's rows as `module:name` returns them; those that it leaves out are filtered under its name.

    SchemaError, naming it and the rows, where it raises, or returns other columns, other types, or no value where there must be one.
    """
    rows = shard.rows
    if not rows.num_rows:
        return
    first, last = (f"{rows.column(FILE)[at].as_py()} row {rows.column(ROW)[at].as_py()}" for at in (0, -1))
    where = f"data.passes function {name}, {first} to {last}"
    made, kept = call("data.passes", name, where, rows.drop_columns([c for c in rows.column_names if c in ORIGIN]))
    verdicts = Verdicts(rows.num_rows, name)
    mask = np.ones(rows.num_rows, bool)
    mask[kept] = False
    verdicts.refuse(mask, "", None, "a row that the function returns")
    shard.leave_out(verdicts)
    for column in shard.schema.columns:
        shard.put(column.name, _typed(where, column, made, rows))


def _typed(where: str, column: Column, made: pa.Table, given: pa.Table) -> Any:
    if column.name not in made.column_names:
        raise SchemaError(
            f"{where}: returned no column {column.name!r}, wanted all that are given; correct the function"
        )
    values, wanted = made.column(column.name), given.schema.field(column.name).type
    try:
        cast = values.combine_chunks().cast(wanted)
    except pa.ArrowException as error:
        raise SchemaError(
            f"{where}: returned {values.type} in column {column.name!r}, wanted {wanted} ({str(error).splitlines()[0]}); "
            "correct the function"
        ) from error
    if not column.nullable and pc.any(pc.is_null(cast)).as_py():
        raise SchemaError(
            f"{where}: returned no value in some row of column {column.name!r}, wanted one in each; leave such rows out"
        )
    return cast
