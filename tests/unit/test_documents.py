"""Documents: cut into passages that keep every byte; counts reconcile; the passages of a document stay in one split."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from commands import SHARED_DATA
from documented import LINE, prepared, section

from flows.presets import preset_config
from storage.errors import SchemaError
from storage.manifests import put_manifest
from storage.objects import open_store
from tasks.frames import documents
from tasks.frames.quarantine import read_quarantine
from tasks.frames.sources import find_groups
from tasks.frames.streams import Entry
from tasks.frames.windows import count_words

WIKITEXT = SHARED_DATA / "wikitext2" / "test.txt.xz"


@pytest.mark.parametrize(
    "content", [LINE.encode() * 9, b"a\nb\n" * 50, "ü😀".encode() * 60, b"\n" * 200, b"x" * 64, b""]
)
def test_passages_are_the_document_cut_at_lines_or_else_between_characters(content: bytes) -> None:
    found = list(documents.passages(io.BytesIO(content), 64))
    assert b"".join(found) == content
    assert all(0 < len(passage) <= 64 for passage in found)
    assert [passage.decode().encode() for passage in found] == found
    if content.count(b"\n") > 20:
        assert all(passage.endswith(b"\n") for passage in found)


def test_files_compressed_files_and_archives_give_the_same_passages(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    texts = {f"{number:02}.py": LINE * number for number in range(1, 26)}
    texts["03.py"] = "\ufeff" + texts["03.py"][:-2] + "\n"  # a byte order mark is kept like any other character
    for folder in (plain, packed):
        folder.mkdir()
    for name, text in texts.items():
        (plain / name).write_text(text)
    with zipfile.ZipFile(packed / "a.zip", "w") as archive:
        for name, text in texts.items():
            if name < "12":
                archive.writestr(name, text)
    for name, text in texts.items():
        if name >= "12":
            (packed / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    store = open_store(str(tmp_path / "store"))
    first, rows = prepared(section(plain, shard_rows=20, split_seed=1), store)
    second, others = prepared(section(packed, shard_rows=20, split_seed=1), store)
    assert sorted(row["text"] for row in rows) == sorted(row["text"] for row in others)
    assert first.meta["splits"] == second.meta["splits"]
    assert first.meta["rows_in"] == first.meta["rows_out"] == sum(range(1, 26))  # a line is a passage
    assert "".join(row["text"] for row in rows if row["_file"] == "25.py") == texts["25.py"]
    assert [row["_row"] for row in rows if row["_file"] == "25.py"] == list(range(1, 26))
    assert first.meta["target"] == ""
    assert first.meta["schema"] == [{"name": "text", "type": "passage", "nullable": False}]


def test_a_document_is_never_parted_between_splits(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"{number}.txt").write_text(f"{number} {LINE}" * 8)
    manifest, rows = prepared(section(tmp_path / "in", shard_rows=30), open_store(str(tmp_path / "store")))
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["_file"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert min(manifest.meta["splits"].values()) >= 8


def test_what_is_no_utf8_is_refused_passage_by_passage_and_the_counts_reconcile(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(30):
        (tmp_path / "in" / f"{number}.txt").write_text(f"{number} {LINE}" * 8)
    (tmp_path / "in" / "bad.txt").write_bytes(b"a" * 63 + b"\n" + b"\xff" * 63 + b"\n" + LINE.encode())
    store = open_store(str(tmp_path / "store"))
    manifest, rows = prepared(section(tmp_path / "in"), store)
    meta = manifest.meta
    assert (meta["rows_in"], meta["rows_out"], meta["rows_quarantined"]) == (len(rows) + 1, len(rows), 1)
    (refused,) = read_quarantine(store, put_manifest(store, manifest), 9)
    assert (refused["_file"], refused["_row"], refused["rule"]) == ("bad.txt", 2, "encoding")
    assert [row["_row"] for row in rows if row["_file"] == "bad.txt"] == [1, 3]


def test_a_jsonl_of_texts_keeps_white_space_and_refuses_what_is_empty(tmp_path: Path) -> None:
    lines = [
        f'{{"id": {n}, "body": "  row {n} of many, as long as a text is, so that it is one\\n"}}' for n in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"id": 40, "body": ""}']))
    data = section(
        tmp_path, sources=[{"url": "rows.jsonl"}], format="jsonl", features=["body"], max_quarantined_share=0.1
    )
    manifest, rows = prepared(data, open_store(str(tmp_path / "store")))
    assert rows[3]["body"] == "  row 3 of many, as long as a text is, so that it is one\n"
    assert manifest.meta["quarantine"] == [{"rule": "missing", "count": 1}]


def test_a_single_document_says_that_its_split_must_be_declared(tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text(LINE * 50)
    with pytest.raises(SchemaError, match=r"drawn by the whole document.*data\.sources\.split"):
        prepared(section(tmp_path, sources=[{"url": "input.txt"}]), open_store(str(tmp_path / "store")))


def test_the_preset_finds_the_standard_library_and_none_of_its_tests():
    data = preset_config("stdlib_lm").data
    names = [entry.name for group in find_groups(data) for entry in group.entries]
    assert len(names) == len(set(names)) > 300
    assert {"ast.py", "json/decoder.py", "asyncio/events.py"} <= set(names)
    assert not [name for name in names if "/test" in name or "site-packages" in name]


@pytest.mark.skipif(not WIKITEXT.exists(), reason="needs WikiText-2 in ../shared/data")
def test_the_words_of_wikitext_are_as_many_as_published(tmp_path: Path) -> None:
    entry = Entry(str(WIKITEXT), "", WIKITEXT.name)
    raw = documents.read_files(section(tmp_path, passage_bytes=4096), [entry])
    assert raw.refused == []
    assert (
        sum(count_words(text) for text in raw.table.column("text").to_pylist()) == 245_569
    )  # with an end of each line
