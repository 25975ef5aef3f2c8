"""Arrow, JSON documents, lines of text and files that a user's own function reads."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from storage.errors import ConfigError, SchemaError
from tasks.frames.pieces import plan_group
from tasks.frames.raw import Raw
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import DataSection

TABLE = pa.table({"a": [1, 2, 3, 4, 5], "b": pa.array(["x", None, "y", "x", "z"]).dictionary_encode()})


def section(root: Path, url: str, **more: object) -> DataSection:
    return DataSection.model_validate({"sources": [{"url": url}], "root": str(root), "kind": "table", **more})


def read(data: DataSection) -> list[Raw]:
    return [read_piece(data, piece) for group in find_groups(data) for piece in plan_group(data, group)]


def rows(data: DataSection, *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for raw in read(data) for row in raw.table.to_pylist()]


def write_stream(path: Path, opener: Any = open) -> None:
    with opener(path, "wb") as target, pa.ipc.new_stream(target, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


def write_file(path: Path) -> None:
    with pa.ipc.new_file(str(path), TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 100])
@pytest.mark.parametrize("form", ["t.arrow", "t.feather", "stream.arrow", "t.arrow.gz", "stream.arrow.gz"])
def test_arrow_rows_are_read_by_number_whatever_the_form(tmp_path: Path, form: str, shard_rows: int):
    path = tmp_path / form
    if form == "t.feather":
        feather.write_feather(TABLE, str(path))
    elif form == "t.arrow.gz":
        write_file(tmp_path / "plain")
        path.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    elif form.startswith("stream"):
        write_stream(path, gzip.open if form.endswith(".gz") else open)
    else:
        write_file(path)
    found = rows(section(tmp_path, form, shard_rows=shard_rows), "a", "b", "_row")
    assert found == [(1, "x", 1), (2, None, 2), (3, "y", 3), (4, "x", 4), (5, "z", 5)]


@pytest.mark.parametrize("content", [b"", b"no arrow at all, but text", b"ARROW1\0\0half of a file"])
def test_a_file_that_is_no_arrow_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "t.arrow").write_bytes(content)
    with pytest.raises(SchemaError, match=r"t\.arrow: is no readable Arrow file"):
        read(section(tmp_path, "t.arrow"))


def test_a_json_document_is_a_list_of_rows(tmp_path: Path):
    (tmp_path / "t.json").write_text('[{"a": 1, "b": "x"}, {"b": null, "c": [1, 2]}, 7, {"a": "n\\u0000"}]')
    (raw,) = read(section(tmp_path, "t.json"))
    assert [(row["a"], row["b"], row["c"]) for row in raw.table.to_pylist()] == [
        ("1", "x", None),
        (None, None, "[1,2]"),
    ]
    assert [(one.row, one.rule) for one in raw.refused] == [(3, "json"), (4, "encoding")]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_nested_fields_are_columns_by_their_path(tmp_path: Path, name: str):
    items = [
        {"who": {"name": "Ada", "tags": [{"t": "x"}, {"t": "y"}]}},
        {"who": {"name": "Bo", "tags": []}},
        {"who": 3},
    ]
    lines = b"\n".join(map(orjson.dumps, items))
    (tmp_path / name).write_bytes(lines if name == "t.jsonl" else json.dumps({"data": {"items": items}}).encode())
    fields = {"name": "who.name", "last": "who.tags[-1].t"}
    data = section(tmp_path, name, json_fields=fields, json_records="data.items", shard_rows=2)
    assert rows(data, "name", "last", "_row") == [("Ada", "y", 1), ("Bo", None, 2), (None, None, 3)]


def test_a_json_document_without_a_list_says_what_it_has(tmp_path: Path):
    (tmp_path / "t.json").write_text('{"meta": 1, "items": []}')
    with pytest.raises(
        SchemaError, match=r"found no list of rows in it, but a JSON dict; .* with the keys meta, items"
    ):
        read(section(tmp_path, "t.json"))


def test_json_lines_under_a_json_name_are_told_apart(tmp_path: Path):
    (tmp_path / "t.json").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(SchemaError, match=r"set data\.format to jsonl"):
        read(section(tmp_path, "t.json"))
    assert rows(section(tmp_path, "t.json", format="jsonl"), "a") == [("1",), ("2",)]


@pytest.mark.parametrize("shard_rows", [1, 2, 100])
def test_each_line_of_a_text_is_a_row(tmp_path: Path, shard_rows: int):
    (tmp_path / "t.txt").write_bytes("one\r\n\n  two \nüber\n".encode() + b"\xff bad\nlast")
    data = section(tmp_path, "t.txt", kind="text", format="lines", task="language_model", shard_rows=shard_rows)
    found = read(data)
    assert [(r["text"], r["_row"]) for raw in found for r in raw.table.to_pylist()] == [
        ("one", 1), ("  two ", 2), ("über", 3), ("last", 5),
    ]  # fmt: skip
    assert [(one.row, one.rule) for raw in found for one in raw.refused] == [(4, "encoding")]


PAGES = [
    ("http://a.example/", "text/html; charset=iso-8859-1", "<p>caf\u00e9</p>".encode("latin-1")),
    ("http://a.example/p.png", "image/png", b"\x89PNG"),
    ("http://b.example/", "text/html", '<meta charset="gb18030"><p>\u4f60\u597d</p>'.encode("gb18030")),
    ("http://c.example/", "text/plain", b"plain"),
    ("http://d.example/", "text/html; charset=utf-8", b"\xff\xfe broken"),
]


@pytest.mark.parametrize("name", ["w.warc", "w.warc.gz"])
@pytest.mark.parametrize("shard_rows", [1, 3, 100])
def test_pages_of_a_web_archive_are_rows_in_their_own_encodings(tmp_path: Path, name: str, shard_rows: int):
    with (tmp_path / name).open("wb") as target:
        writer = WARCWriter(target, gzip=name.endswith(".gz"))
        for url, kind, content in PAGES:
            headers = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.0")
            writer.write_record(writer.create_warc_record(url, "response", io.BytesIO(content), http_headers=headers))
            writer.write_record(writer.create_warc_record(url, "request", io.BytesIO(b"GET / HTTP/1.0\r\n\r\n")))
    found = read(section(tmp_path, name, kind="text", shard_rows=shard_rows))
    assert [(r["url"], r["text"], r["_row"]) for raw in found for r in raw.table.to_pylist()] == [
        ("http://a.example/", "<p>caf\u00e9</p>", 1),
        ("http://b.example/", '<meta charset="gb18030"><p>\u4f60\u597d</p>', 2),
        ("http://c.example/", "plain", 3),
    ]
    assert [(one.row, one.rule) for raw in found for one in raw.refused] == [(4, "encoding")]


def test_a_file_that_is_no_web_archive_is_named(tmp_path: Path):
    (tmp_path / "w.warc").write_bytes(b"no archive at all")
    with pytest.raises(SchemaError, match=r"w\.warc: is no readable WARC file"):
        read(section(tmp_path, "w.warc"))


OWN = """
import pandas as pd

def fixed_width(stream):
    for line in stream:
        yield pd.DataFrame({"a": [line[:3].decode().strip()], "b": [line[3:].decode().strip()]})

def whole(stream):
    return pd.DataFrame({"a": [stream.read().decode()]})

def nothing(stream):
    return 3

def broken(stream):
    raise ValueError("no such width")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_width.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("shard_rows", [1, 2, 100])
def test_a_users_own_reader_makes_rows_of_what_nobody_else_reads(own: Path, shard_rows: int):
    (own / "t.fix.gz").write_bytes(gzip.compress(b"1  one\n2  two\n30 three\n"))
    data = section(own, "t.fix.gz", format="own", reader="own_width:fixed_width", shard_rows=shard_rows)
    assert rows(data, "a", "b", "_row") == [("1", "one", 1), ("2", "two", 2), ("30", "three", 3)]


@pytest.mark.parametrize(
    ("reader", "error", "said"),
    [
        ("own_width:nothing", SchemaError, "data.reader own_width:nothing, t.fix: returned int, wanted a pandas.DataFrame"),
        ("own_width:broken", SchemaError, "raised ValueError: no such width; correct the reader"),
        ("own_width:absent", ConfigError, "own_width:absent: module 'own_width' has no 'absent'"),
    ],
)  # fmt: skip
def test_a_reader_that_does_not_do_is_named(own: Path, reader: str, error: Any, said: str):
    (own / "t.fix").write_bytes(b"1  one\n")
    with pytest.raises(error, match=said):
        read(section(own, "t.fix", format="own", reader=reader))


def test_a_frames_index_is_no_column(own: Path):
    (own / "t.fix").write_bytes(b"all of it")
    (raw,) = read(section(own, "t.fix", format="own", reader="own_width:whole"))
    assert raw.table.column_names == ["a", "_file", "_row"]
    assert isinstance(raw.table.to_pandas(), pd.DataFrame)
