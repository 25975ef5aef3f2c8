"""Big files of lines: looked into in stretches, and read without what lies before."""

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.objects import ObjectStore, open_store
from storage.shards import Shelf
from tasks.frames import records, spans, stretches
from tasks.frames.identity import identified
from tasks.frames.pieces import Piece, plan_group, surveys
from tasks.frames.planning import look_into, make_plan, surveying
from tasks.frames.reading import read_piece
from tasks.frames.shelved import here
from tasks.frames.sources import Group, group, members_of
from tasks.frames.streams import Entry
from tasks.sections import DataSection

PARTS = [
    "1,a\n",
    '2,"b"\n',
    '3,"x\ny"\n',
    '4,"open\n',
    "5\n",
    "\n",
    '6,5" disk\n',
    "7,c\r\n",
    '"\n',
    '8,"' + "z\n" * 5 + '"\n',
    "9,a\r",
]


def section(root: Path, name: str, **more: object) -> DataSection:
    given = {"sources": [{"url": name}], "root": str(root), "kind": "table", "shard_rows": 7}
    return DataSection.model_validate({**given, **more})


def as_group(path: Path, format: str = "csv") -> Group:
    return Group(format, "any", (Entry(f"file://{path}", "", path.name, "d" * 64, path.stat().st_size),))


def told(data: DataSection, pieces: list[Piece]) -> list[object]:
    raws = [read_piece(data, piece) for piece in pieces]
    rows = sorted((row["_row"], row["n"], row["c"]) for raw in raws for row in raw.table.to_pylist())
    refused = sorted((one.row, one.rule, one.raw) for raw in raws for one in raw.refused)
    return [rows, refused]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=60), st.integers(5, 60), st.integers(0, 40), st.booleans())
def test_stretches_find_what_one_look_finds(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], size: int, before: int, last: bool
):
    path = tmp_path_factory.mktemp("s") / "t.csv"
    path.write_text("n,c\n" + "".join(parts) + ("0,end" if last else ""), newline="")
    data = section(path.parent, "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        for module in (records, spans):
            patch.setattr(module, "LONGEST", 30)
        whole = told(data, plan_group(data, as_group(path)))
        patch.setattr(stretches, "STRETCH", size)
        patch.setattr(stretches, "BEFORE", before)
        assert told(data, plan_group(data, as_group(path))) == whole


def test_a_stretch_that_began_in_a_quotation_is_looked_into_again_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, store = tmp_path / "t.csv", open_store(str(tmp_path / "store"))
    path.write_text("n,c\n" + "".join(f'{n},"a\n{n},b"\n' for n in range(200)))
    monkeypatch.setattr(stretches, "STRETCH", 500)
    monkeypatch.setattr(stretches, "BEFORE", 0)
    data, events = section(tmp_path, "t.csv"), list[dict]()
    (found,) = group(data, identified(data), members_of)
    look_into(data, [found], store, here, events.append)
    looked = [event["total"] for event in events if "event" in event]
    assert looked[0] == len(surveys(found)) == 5
    assert 0 < sum(looked[1:]) < 5
    events.clear()
    look_into(data, [found], store, here, events.append)
    assert [event["event"].split(" ")[0] for event in events if "event" in event] == [str(one) for one in looked]


def test_a_big_file_of_json_lines_is_looked_into_in_stretches_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"n": {n}, "c": "{"x" * (n % 9)}"}}\n' for n in range(100)))
    monkeypatch.setattr(stretches, "STRETCH", 333)
    data, found = section(tmp_path, "t.jsonl"), as_group(path, "jsonl")
    assert len(surveys(found)) > 3
    rows, refused = told(data, plan_group(data, found))
    assert [(row, n) for row, n, _ in rows] == [(n + 1, str(n)) for n in range(100)]
    assert refused == []


def test_utf_16_is_looked_into_once_for_all_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "t.csv"
    path.write_text("n,c\n" + "1,ü\n" * 100, encoding="utf-16")
    monkeypatch.setattr(stretches, "STRETCH", 100)
    data = section(tmp_path, "t.csv")
    assert len(told(data, plan_group(data, as_group(path)))[0]) == 100


def planned(data: DataSection, store: ObjectStore) -> list[Piece]:
    return make_plan(data, identified(data), store, here, lambda event: None).pieces


@pytest.mark.parametrize("packing", ["gzip", "utf-16"])
def test_text_that_can_only_be_read_from_its_start_is_read_once(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
):
    text = "n,c,label\n" + "".join(f'{n},"{"x" * (n % 9)}\ny",{"ab"[n % 2]}\n' for n in range(100)) + '1,"open,a\n'
    path = tmp_path / ("t.csv.gz" if packing == "gzip" else "t.csv")
    path.write_bytes(gzip.compress(text.encode()) if packing == "gzip" else text.encode("utf-16"))
    data, store = section(tmp_path, path.name), open_store(str(tmp_path / "store"))
    pieces = planned(data, store)
    assert len(pieces) == 15
    assert all(piece.kept for piece in pieces)
    whole = [read_piece(data, piece) for piece in pieces]
    path.unlink()
    kept = [read_piece(data, piece, store=store) for piece in pieces]
    assert [one.table.to_pylist() for one in kept] == [one.table.to_pylist() for one in whole]
    assert [one.refused for one in kept] == [one.refused for one in whole]


def test_a_kept_text_that_is_gone_is_kept_again(tmp_path: Path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"n,c,label\n" + b"1,a,b\n2,c,d\n" * 50))
    data, store = section(tmp_path, path.name), open_store(str(tmp_path / "store"))
    first = planned(data, store)
    (survey,) = Shelf(store, surveying(data, store).scope).known().values()
    store.delete(random.Random(0).choice(list(survey.blobs.values())).key)
    again = planned(data, store)
    assert again == first
    assert [read_piece(data, piece, store=store).table.num_rows for piece in again] == [7] * 14 + [2]


def test_a_file_of_one_shard_is_not_kept(tmp_path: Path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"n,c,label\n1,a,b\n2,c,d\n"))
    data, store = section(tmp_path, "t.csv.gz"), open_store(str(tmp_path / "store"))
    (piece,) = planned(data, store)
    assert piece.kept is None


def test_a_documents_text_in_a_compressed_file_is_kept_too(tmp_path: Path):
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(b"some line of text\n" * 100))
    more = {"format": "documents", "task": "language_model", "kind": "text", "passage_bytes": 64}
    data, store = section(tmp_path, "t.txt.gz", **more), open_store(str(tmp_path / "store"))
    pieces = planned(data, store)
    assert len(pieces) > 3
    assert all(piece.kept for piece in pieces)
    texts = [text for piece in pieces for text in read_piece(data, piece, store=store).table.column("text").to_pylist()]
    assert "".join(texts) == "some line of text\n" * 100
