"""A user's own function over the rows of one shard, before they are checked: it changes, adds or leaves out columns, and leaves out rows."""

from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.pieces import Piece
from tasks.frames.raw import FILE, ORIGIN, ROW, Raw, Refusal, cut
from tasks.own_code import load_function, told


def apply(name: str, raw: Raw, piece: Piece) -> Raw:
    """`raw` as the function `module:name` makes it; rows that it leaves out are refused under a rule that bears its name.

    It is given a pandas DataFrame of Arrow types and returns one whose index is part of the given one. ConfigError where it cannot
    be loaded; SchemaError, naming it and the rows, where it raises or returns anything else.
    """
    table = raw.table
    if table.num_rows == 0:
        return raw
    where = f"data.function {name}, {piece.entries[0].name} rows {piece.start + 1} to {piece.stop}"
    origin = [column for column in table.column_names if column in ORIGIN]
    made, kept = call("data.function", name, where, table.drop_columns(origin))
    rows = table.take(pa.array(kept, pa.int64()))
    for column in origin:
        made = made.append_column(column, rows.column(column))
    left_out = pa.array(sorted(set(range(table.num_rows)) - set(kept)), pa.int64())
    return replace(raw, table=made, refused=[*raw.refused, *_refusals(name, table.take(left_out))])


def call(field: str, name: str, where: str, table: pa.Table) -> tuple[pa.Table, list[int]]:
    """What the function makes of `table`, in the order of its rows, and the numbers of the rows that are left.

    `field`: where in the configuration it is named; `where`: it and its rows, for messages.
    """
    function = load_function(name, field)
    try:
        returned = function(_frame(table))
    except Exception as error:
        raise SchemaError(f"{where}: raised {told(error)}; correct the function") from error
    kept = _kept(where, returned, table.num_rows)
    return _table(where, returned.iloc[sorted(range(len(kept)), key=kept.__getitem__)]), sorted(kept)


def _frame(table: pa.Table) -> Any:
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _kept(where: str, returned: Any, rows: int) -> list[int]:
    """The rows that are left, by their numbers in the shard, in the order returned."""
    import pandas as pd

    if not isinstance(returned, pd.DataFrame):
        raise SchemaError(
            f"{where}: returned {type(returned).__name__}, wanted a pandas.DataFrame; correct the function"
        )
    if len(returned) > rows:
        raise SchemaError(
            f"{where}: returned {len(returned)} rows, wanted at most the {rows} given; correct the function"
        )
    index = returned.index.tolist()
    wrong = [label for label in index if type(label) is not int or not 0 <= label < rows]
    if wrong or len(set(index)) < len(index):
        found = f"{wrong[0]!r}" if wrong else "a label twice"
        raise SchemaError(
            f"{where}: found {found} in the returned index, wanted labels of the index given, each once; do not reset the index"
        )
    return index


def _table(where: str, frame: Any) -> pa.Table:
    bad = next((column for column in frame.columns if not isinstance(column, str) or column in ORIGIN), None)
    if bad is not None:
        raise SchemaError(
            f"{where}: returned a column {bad!r}, wanted names that are texts other than {', '.join(ORIGIN)}"
        )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError) as error:
        raise SchemaError(
            f"{where}: returned a column of mixed values ({told(error)}); give each column one type"
        ) from error


def _refusals(name: str, rows: pa.Table) -> list[Refusal]:
    plain = [c for c in rows.column_names if c not in ORIGIN and not pa.types.is_nested(rows.schema.field(c).type)]
    found = []
    for row in rows.select([*plain, FILE, ROW]).to_pylist():
        cells = orjson.dumps({column: row[column] for column in plain}, default=str).decode()
        found.append(
            Refusal(row[FILE], row[ROW], f"left out by {name}", "the function did not return this row", cut(cells))
        )
    return found
