"""CSV read with its schema's types at once: the rows, refusals and raw cells are those of texts looked at one by one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.objects import open_store
from tasks.frames import delimited, parsing
from tasks.frames.cells import as_texts
from tasks.frames.checking import check
from tasks.frames.pieces import plan_group
from tasks.frames.reading import read_piece
from tasks.frames.row_hashes import content_hashes, xxh64
from tasks.frames.schema import Column, Schema
from tasks.frames.shards import process_shard
from tasks.frames.sources import find_groups
from tasks.frames.statistics import describe
from tasks.sections import DataSection

SCHEMA = Schema(
    (
        Column("n", "integer", minimum=-5, maximum=10**15),
        Column("x", "number", nullable=False, maximum=1e9),
        Column("c", "category", categories=("a", "b", "ü", "-1")),
        Column("t", "text"),
        Column("label", "category", False),
    )
)
NUMBERS = [
    "0", "1", "-0", "+7", "5.0", "5.00", "-3.", "2.5", ".5", "1e3", "1E-400", "1e999", "inf", "-Infinity", "nan", "NaN", "NAN", "-nan",
    "0x1F", "0X2", "9" * 18, "9" * 19, "1" + "0" * 18, "0" * 30 + "4", "-" + "9" * 18, " 3", "3\t", "\u00a04", "1_000", "1,5", "１", "", " ", "NA",
    " NA", "?", "null", "-1", " -1", "--1", "e5", "0.1", "123456789.123456789", "1\x1f", "Ⅷ", "true", "1d5", "0b1", "1f",
]  # fmt: skip
TEXTS = [
    "a",
    " a",
    "b ",
    "ü",
    "\u2003ü",
    "mauve",
    "",
    "NA",
    " ",
    "-1",
    " -1",
    "x,y",
    'say "hi"',
    "two\nlines",
    "nan",
    "é" * 30,
    "a\u0085",
]


def quoted(cell: str, always: bool) -> str:
    return '"' + cell.replace('"', '""') + '"' if always or set(cell) & set(',"\n\r') else cell


numbers, texts, flags = st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans()
rows = st.tuples(numbers, numbers, texts, texts, texts, flags).map(
    lambda row: ",".join(quoted(cell, row[-1]) for cell in row[:-1])
)
lines = st.lists(st.one_of(rows, rows, rows, st.sampled_from(["", "1,2", "1,2,a,b,c,d", '1,"open', "\r"])), max_size=12)
MISSING = [("", "NA", "NaN", "nan", "null", "?"), ("-1",), ("", "inf"), ("NA", "0x1F")]


def section(root: Path, **more: object) -> DataSection:
    return DataSection.model_validate({"sources": [{"url": "t.csv"}], "root": str(root), "kind": "table", **more})


@settings(max_examples=400, deadline=None)
@given(lines, st.sampled_from(MISSING), st.sampled_from(["\n", "\r\n"]))
def test_types_at_once_give_what_texts_give(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], missing: tuple, end: str
):
    folder = tmp_path_factory.mktemp("t")
    (folder / "t.csv").write_text(end.join(["n,x,c,t,label", *cells]) + end, newline="")
    data = section(folder, csv={"missing": missing})
    for piece in plan_group(data, find_groups(data)[0]):
        slow, fast = check(data, SCHEMA, read_piece(data, piece)), check(data, SCHEMA, read_piece(data, piece, SCHEMA))
        assert fast[1] == slow[1]
        assert fast[0].to_pydict() == slow[0].to_pydict()
        assert content_hashes(SCHEMA, fast[0]).tolist() == content_hashes(SCHEMA, slow[0]).tolist()
        if slow[0].num_rows:
            described = [[describe(c, one[0].column(c.name)).to_json() for c in SCHEMA.columns] for one in (fast, slow)]
            assert json.dumps(described[0]) == json.dumps(described[1])


def test_a_column_of_good_numbers_is_never_held_as_texts(tmp_path: Path):
    (tmp_path / "t.csv").write_text("n,x,c,t,label\n1,2.5,a,t,a\n,3,b,t,b\n")
    data = section(tmp_path)
    table = read_piece(data, plan_group(data, find_groups(data)[0])[0], SCHEMA).table
    assert [table.schema.field(name).type for name in ("n", "x")] == [pa.int64(), pa.float64()]


def test_what_one_shard_taught_changes_nothing_of_the_next(tmp_path: Path):
    (tmp_path / "t.csv").write_text("n,x,c,t,label\n1,2,a,t,a\nbad,2,b,t,b\n3,4,a,t,a\n5,6,mauve,t,b\n")
    data, told = section(tmp_path, shard_rows=2), list[list[dict]]()
    for _ in range(2):
        store = open_store(str(tmp_path / f"store{len(told)}"))
        shards = [process_shard(data, SCHEMA, store, one) for one in plan_group(data, find_groups(data)[0])]
        told.append([dict(one.blobs) for one in shards])
    assert told[0] == told[1]
    assert parsing.typed_parser(SCHEMA, data.csv.missing)._texts == {"n"}


def test_stored_rows_are_plain_texts_and_hold_nothing_of_refused_rows(tmp_path: Path):
    (tmp_path / "t.csv").write_text("n,x,c,t,label\n1,2,a,t,a\n3,4,mauve,t,secret\n")
    data, store = section(tmp_path), open_store(str(tmp_path / "store"))
    (piece,) = plan_group(data, find_groups(data)[0])
    blobs = process_shard(data, SCHEMA, store, piece).blobs
    path = store.local_path(blobs["rows"].key)
    assert path is not None
    assert pq.read_schema(path).field("c").type == pa.string()
    assert b"mauve" not in path.read_bytes()


def test_a_wrong_file_is_told_by_its_count(tmp_path: Path):
    (tmp_path / "t.csv").write_text("n,x,c,t,label\n1,2,a,t,a\n3,4,a,t,a\n")
    data = section(tmp_path)
    (piece,) = plan_group(data, find_groups(data)[0])
    with pytest.raises(Exception, match="counted 3, read 2"):
        read_piece(data, replace(piece, stop=3), SCHEMA)


def test_all_white_space_of_ascii_is_trimmed_as_unicodes_is():
    codes = [chr(code) for code in range(1, 128)]
    alone = as_texts(pa.array([f"{one}k{one}" for one in codes]), ())
    among = as_texts(pa.array([f"{one}k{one}" for one in codes] + ["\u2003é"]), ())
    assert alone.to_pylist() == among.to_pylist()[:-1]


GOLDEN = """ef46db3751d8e999 fef6c0582a7d2763 79768832c5b000ea 9f7459902814155f 45cb725411246501 d54518946810f79c f309f5bb4bbaab1a
c93d5bf1d75ab61c 9e7f8ce949efdcbc cedf110419eb44ec 2dc25df4ac9cb829"""  # of xxhash 4.1 for Python, seed 5 times the words


def test_rows_are_hashed_as_xxh64_does():
    found = []
    for count in range(11):
        words = [np.full(5000, (i * 0x123456789ABCDEF1 + 7) % 2**64, np.uint64) for i in range(count)]
        found.append(xxh64(words, 5000, 5 * count))
    assert [f"{int(one[-1]):016x}" for one in found] == GOLDEN.split()
    assert all((one == one[0]).all() for one in found)


def test_a_missing_cell_is_none_that_looks_like_it():
    schema = Schema((Column("n", "integer"), Column("m", "integer")))
    table = pa.table({"n": [0, None, 0, None], "m": [0, 0, None, None]})
    assert len(set(content_hashes(schema, table).tolist())) == 4


def test_the_texts_of_rows_are_their_own(tmp_path: Path):
    text = b'1,"a\nb"\n\n2,"c, d"\r\n3,e'
    dialect = parsing.Dialect(("n", "c"), ",", True)
    assert delimited._texts(text, dialect, np.array([1, 2])).to_pylist() == [
        {"n": "2", "c": "c, d"},
        {"n": "3", "c": "e"},
    ]
