"""Texts that are not in UTF-8: read when their encoding is told or marked, and refused with the way out where it is not."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from tasks.frames.pieces import plan_group
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import DataSection

LINES = ["label,text", '好,"房间，很好\n早餐"', "差,服务一般", "好,第三行"]
WANTED = [("好", "房间，很好\n早餐"), ("差", "服务一般"), ("好", "第三行")]


def read(folder: Path, name: str, **more: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """(label, text) of the rows, and the reasons of the refusals."""
    data = DataSection.model_validate(
        {"sources": [{"url": name}], "root": str(folder), "kind": "text", "shard_rows": 2, **more}
    )
    raws = [read_piece(data, piece) for group in find_groups(data) for piece in plan_group(data, group)]
    rows = [(row["label"], row["text"]) for raw in raws for row in raw.table.to_pylist()]
    return rows, [refusal.reason for raw in raws for refusal in raw.refused]


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-16-le", "utf-16", "UTF8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_table_in_the_encoding_that_is_told_is_read(tmp_path: Path, encoding: str, name: str):
    content = "\n".join(LINES).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read(tmp_path, name, encoding=encoding) == (WANTED, [])


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_utf_16_is_known_by_its_byte_order_mark(tmp_path: Path, name: str):
    content = "label\ttext\n好\t房间\n".encode("utf-16")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read(tmp_path, name) == ([("好", "房间")], [])


def test_json_lines_and_text_files_are_read_in_the_encoding_too(tmp_path: Path):
    (tmp_path / "t.jsonl").write_bytes('{"label": "好", "text": "房间"}\n'.encode("gb18030"))
    assert read(tmp_path, "t.jsonl", encoding="gb18030") == ([("好", "房间")], [])
    (tmp_path / "好").mkdir()
    (tmp_path / "好" / "1.txt").write_bytes("房间".encode("gb18030"))
    assert read(tmp_path, "好/*.txt", encoding="gb18030") == ([("好", "房间")], [])


def test_a_row_that_is_not_in_the_encoding_is_refused_and_the_others_kept(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(
        "label,text\n好,房间\n差,".encode("gb18030") + b"\xff\x80\n" + "好,早餐\n".encode("gb18030")
    )
    rows, reasons = read(tmp_path, "t.csv", encoding="gb18030")
    assert rows == [("好", "房间"), ("好", "早餐")]
    assert reasons == [
        "column 'text': not gb18030 text; name its encoding in data.encoding (gb18030 for Chinese, cp1252 for Western Europe), or "
        "convert it"
    ]


def test_an_encoding_that_is_not_told_is_refused_with_the_setting_that_helps(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("label,text\n好,房间\n".encode("gb18030"))
    rows, reasons = read(tmp_path, "t.csv")
    assert rows == []
    assert all("name its encoding in data.encoding (gb18030 for Chinese" in reason for reason in reasons)


def test_an_encoding_that_nobody_knows_is_refused_by_name(tmp_path: Path):
    for name in ("gb18031", "base64", "hex"):
        with pytest.raises(ValueError, match=f"found '{name}', wanted auto or an encoding"):
            read(tmp_path, "t.csv", encoding=name)
