"""Tables and queries of SQL databases (SQLAlchemy), as files that hold a range of one column's values each.

A range is fetched as one Arrow file, its rows in an order of their own, so that equal rows are equal bytes. User and password come from
MILLRACE_SQL_USER and MILLRACE_SQL_PASSWORD.
"""

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from storage.errors import ConfigError, NotFound, SchemaError, StorageUnavailable
from tasks.frames.filesystems import hidden
from tasks.sections import Source

SCHEME = "sql:"
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")
MOST_RANGES = 100_000


@dataclass(frozen=True)
class Range:
    """Rows of `query` with `low` <= `column` < `high`; with both None those that have no value there; all of them where `column` is empty.

    `version`: a query whose result changes when rows do, or empty.
    """

    url: str
    query: str
    column: str = ""
    low: int | None = None
    high: int | None = None
    version: str = ""

    @property
    def as_url(self) -> str:
        """By which it is opened."""
        return SCHEME + json.dumps(asdict(self))

    @property
    def name(self) -> str:
        """The same wherever the database lies."""
        place = self.query if NAME.fullmatch(self.query) else f"({' '.join(self.query.split())})"
        if not self.column:
            return f"{SCHEME}{place}"
        span = "null" if self.low is None else f"{self.low}-{self.high}"
        return f"{SCHEME}{place}[{self.column} {span}]"


def ranges(source: Source) -> list[Range]:
    """The ranges that rows of the source can lie in, in order."""
    whole = Range(source.url, source.query, version=source.version)
    if not source.partition:
        return [whole]
    with _connected(source.url, source.query) as execute:
        column = f"part.{source.partition}"
        asked = f"SELECT min({column}), max({column}), count(*), count({column}) FROM {_table(source.query)} AS part"
        low, high, rows, valued = execute(asked)[1][0]
    whole = replace(whole, column=source.partition)
    return [*_cut(whole, source.partition_size, low, high), *([whole] if rows > valued else [])]


def version_of(url: str) -> dict[str, str]:
    """What the database says of the version of that range; nothing where it is not asked."""
    part = _range(url)
    if not part.version:
        return {}
    with _connected(part.url, part.version) as execute:
        return {"version": str(execute(part.version)[1])}


def _cut(whole: Range, size: int, low: Any, high: Any) -> Iterator[Range]:
    if low is None:
        return
    if not isinstance(low, int):
        raise SchemaError(
            f"data.sources.partition: column {whole.column!r} holds {type(low).__name__} values as {low!r}, wanted whole numbers; "
            "name another column, or none"
        )
    first, last = low // size, high // size
    if last - first >= MOST_RANGES:
        raise ConfigError(
            f"data.sources.partition_size: found {size}, which makes {last - first + 1:,} ranges of {whole.column!r} from {low:,} to "
            f"{high:,}, wanted at most {MOST_RANGES:,}; raise it"
        )
    for number in range(first, last + 1):
        yield replace(whole, low=number * size, high=(number + 1) * size)


@contextmanager
def opened_range(url: str) -> Iterator[io.BytesIO]:
    """The rows of a range as an Arrow file."""
    part = _range(url)
    asked, values = f"SELECT * FROM {_table(part.query)} AS part", {}
    if not part.column and not NAME.fullmatch(part.query):
        asked = part.query  # a table made of a query would have other names for columns that it names twice
    if part.column and part.low is None:
        asked += f" WHERE part.{part.column} IS NULL"
    elif part.column:
        asked += f" WHERE part.{part.column} >= :low AND part.{part.column} < :high"
        values = {"low": part.low, "high": part.high}
    with _connected(part.url, part.query) as execute:
        names, rows = execute(asked, values)
    yield io.BytesIO(_as_file(names, rows))


def _range(url: str) -> Range:
    return Range(**json.loads(url.removeprefix(SCHEME)))


def _as_file(names: list[str], rows: list[Any]) -> bytes:
    import pyarrow as pa  # what names ranges does without

    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SchemaError(
            f"data.sources.query: its result names {repeated[0]!r} twice; give every column a name of its own (AS)"
        )
    in_order = sorted(rows, key=lambda row: orjson.dumps(list(row), default=repr))
    columns = list(zip(*in_order, strict=True)) or [()] * len(names)
    table = pa.table({name: _column(values) for name, values in zip(names, columns, strict=True)})
    target = io.BytesIO()
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def _column(values: Any) -> Any:
    """Typed where Arrow knows a type for all of them, else their texts (unique ids, JSON, mixed values of SQLite)."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _table(query: str) -> str:
    return query if NAME.fullmatch(query) else f"({query.rstrip().rstrip(';')})"


@contextmanager
def _connected(url: str, query: str) -> Iterator[Any]:
    """`execute(statement, values)` → column names and rows; errors as this project's."""
    from sqlalchemy import exc, text

    engine = _engine(url)
    place = f"{hidden(url)}, {query[:200]!r}"

    def execute(statement: str, values: Any = None) -> tuple[list[str], list[Any]]:
        found = connection.execute(text(statement), values or {})
        return list(found.keys()), [tuple(row) for row in found]

    try:
        with engine.connect() as connection:
            yield execute
    except exc.DBAPIError as error:
        said = " ".join(str(error.orig).split())[:300]
        if isinstance(error, exc.OperationalError | exc.InterfaceError) and engine.dialect.name != "sqlite":
            raise StorageUnavailable(
                f"{place}: the database did not answer ({said}); it will be tried again"
            ) from error
        raise ConfigError(
            f"{place}: the database refused it ({said}); correct data.sources.query or partition"
        ) from error
    finally:
        engine.dispose()


def _engine(url: str) -> Any:
    from sqlalchemy import create_engine, exc, make_url

    try:
        address = make_url(url)
        user, password = (os.environ.get(f"MILLRACE_SQL_{name}") for name in ("USER", "PASSWORD"))
        if address.get_backend_name() == "sqlite":
            _check_file(address.database)
        else:
            address = address.set(username=user, password=password)
        return create_engine(address)
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        raise ConfigError(
            f"data.sources.url: {hidden(url)!r} with a query is no database ({error}); wanted SQLAlchemy's form, as sqlite:///file.db or "
            "postgresql+psycopg://host/name"
        ) from error
    except ImportError as error:
        raise ConfigError(
            f"{hidden(url)}: reading it needs {error.name}, which is not here; install that driver with pip"
        ) from error


def _check_file(path: str | None) -> None:
    """SQLite would make a new, empty database of a wrong name."""
    if not path or not os.path.exists(path):
        raise NotFound(f"sqlite:///{path or ''}: no such file in {os.getcwd()}; check data.sources.url")
