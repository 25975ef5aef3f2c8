"""Databases: a table or a query is read by ranges of a column, and nothing is read again that has not changed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage.errors import ConfigError, NotFound, SchemaError
from tasks.frames import databases, identity
from tasks.frames.identity import identified, source_identity
from tasks.frames.pieces import plan_group
from tasks.frames.reading import read_piece
from tasks.frames.sources import group, members_of
from tasks.sections import DataSection


def database(folder: Path, rows: list[tuple[Any, ...]]) -> str:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER, city TEXT, price REAL, label TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    return f"sqlite:///{path}"


def section(url: str, **source: Any) -> DataSection:
    return DataSection.model_validate({"kind": "table", "sources": [{"url": url, "query": "orders", **source}]})


def rows(data: DataSection) -> list[tuple[Any, ...]]:
    groups = group(data, identified(data), members_of)
    pieces = [piece for one in groups for piece in plan_group(data, one)]
    tables = [read_piece(data, piece).table.to_pylist() for piece in pieces]
    return [(row["id"], row["price"], row["_file"], row["_row"]) for table in tables for row in table]


def names(data: DataSection) -> list[str]:
    return [name for name, _ in source_identity(data)["sources"][0]]


def test_a_table_is_read_by_ranges_whose_rows_have_an_order_of_their_own(tmp_path: Path):
    url = database(tmp_path, [(12, "x", 1.5, "a"), (3, "y", None, "b"), (4, "z", 2.0, "a"), (None, "w", 0.5, "b")])
    assert rows(section(url, partition="id", partition_size=10)) == [
        (3, None, "sql:orders[id 0-10]", 1),
        (4, 2.0, "sql:orders[id 0-10]", 2),
        (12, 1.5, "sql:orders[id 10-20]", 1),
        (None, 0.5, "sql:orders[id null]", 1),
    ]


def test_a_query_is_read_whole_where_no_column_parts_it(tmp_path: Path):
    url = database(tmp_path, [(1, "x", 1.5, "a"), (2, "y", 3.0, "b")])
    found = rows(section(url, query="SELECT id, price * 2 AS price FROM orders WHERE id > 1;"))
    assert found == [(2, 6.0, "sql:(SELECT id, price * 2 AS price FROM orders WHERE id > 1;)", 1)]


def test_new_rows_change_only_the_range_that_they_lie_in(tmp_path: Path):
    url = database(tmp_path, [(1, "x", 1.5, "a"), (11, "y", 3.0, "b")])
    data = section(url, partition="id", partition_size=10)
    before = dict(source_identity(data)["sources"][0])
    database(tmp_path, [(12, "z", 1.0, "a"), (21, "z", 1.0, "a")])
    after = dict(source_identity(data)["sources"][0])
    assert [name for name in after if after[name] == before.get(name)] == ["sql:orders[id 0-10]"]
    assert list(after) == ["sql:orders[id 0-10]", "sql:orders[id 10-20]", "sql:orders[id 20-30]"]


def test_while_its_version_says_the_same_a_table_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    url = database(tmp_path, [(1, "x", 1.5, "a")])
    data = section(url, version="SELECT count(*) FROM orders")
    first = source_identity(data)
    with monkeypatch.context() as no_reading:
        no_reading.setattr(identity, "_hash", lambda url: pytest.fail("the table was read again"))
        assert source_identity(data) == first
    database(tmp_path, [(2, "x", 1.5, "a")])
    assert source_identity(data) != first


def test_negative_values_lie_in_ranges_too(tmp_path: Path):
    url = database(tmp_path, [(-1, "x", 1.5, "a"), (0, "y", 3.0, "b")])
    assert names(section(url, partition="id", partition_size=5)) == ["sql:orders[id -5-0]", "sql:orders[id 0-5]"]


def test_mixed_values_of_a_column_are_texts(tmp_path: Path):
    url = database(tmp_path, [("one", "x", 1.5, "a"), (2, "y", 3.0, "b")])
    assert [row[0] for row in rows(section(url))] == ["one", "2"]


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ({"query": "order"}, ConfigError, "near \"order\""),
        ({"query": "ordres"}, ConfigError, "no such table: ordres"),
        ({"partition": "city"}, SchemaError, "column 'city' holds str values"),
        ({"partition": "area"}, ConfigError, "no such column: part.area"),
        ({"query": "SELECT id, city AS id FROM orders"}, SchemaError, "names 'id' twice"),
        ({"url": "sqlite:////nowhere/shop.db"}, NotFound, "no such file"),
        ({"url": "nosql://there"}, ConfigError, "wanted SQLAlchemy's form"),
        ({"url": "mysql+pymysql://there/shop"}, ConfigError, "needs pymysql"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_in_one_line(tmp_path: Path, source: dict[str, Any], error: Any, said: str):
    url = database(tmp_path, [(1, "x", 1.5, "a")])
    with pytest.raises(error, match=said):
        rows(section(source.pop("url", url), **source))


def test_too_many_ranges_are_refused_before_any_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(databases, "MOST_RANGES", 3)
    url = database(tmp_path, [(1, "x", 1.5, "a"), (1000, "x", 1.5, "a")])
    with pytest.raises(ConfigError, match="makes 101 ranges of 'id' from 1 to 1,000, wanted at most 3"):
        rows(section(url, partition="id", partition_size=10))
