"""Messy files, real and made: each fault is named, quarantined or refused; the good rest goes through; counts reconcile."""

import csv
import gzip
import io
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contracts import kept, prepared, refused
from shard_files import again, content
from tables import section

from storage.errors import SchemaError, StorageUnavailable
from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore
from tasks.frames import faults, long_lines
from tasks.frames import spans as frames_spans
from tasks.frames.quarantine import read_quarantine
from tasks.frames.spans import csv_cut, line_cut, marks, spans
from tasks.sections import DataSection

VEGA = Path("/work/shared/data/messy_vega")
ROWS = 20


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many the shards, no cluster is opened for them."""
    monkeypatch.setattr("tasks.frames.prepare.is_little", lambda batches: True)


def folder_of(path: Path, **more: Any) -> DataSection:
    """A section over all files of a folder of which some are damaged."""
    return section(sources=[{"url": "*"}], root=str(path), max_quarantined_share=0.3, **more)


def write_good(path: Path, count: int, suffix: str = ".csv") -> None:
    path.mkdir(exist_ok=True)
    for number in range(count):
        text = content(number, ROWS).encode()
        (path / f"{number:03d}{suffix}").write_bytes(gzip.compress(text, 1) if suffix.endswith(".gz") else text)


def reconciled(manifest: Manifest) -> tuple[int, int, int]:
    """Rows in, out and quarantined, which add up, in all and in each shard."""
    meta = manifest.meta
    assert meta["rows_in"] == meta["rows_out"] + meta["rows_quarantined"]
    assert all(s["rows_in"] == s["rows_out"] + s["rows_quarantined"] for s in meta["shards"])
    assert sum(s["rows_in"] for s in meta["shards"]) == meta["rows_in"]
    return meta["rows_in"], meta["rows_out"], meta["rows_quarantined"]


def rules(manifest: Manifest) -> dict[str, int]:
    return {one["rule"]: one["count"] for one in manifest.meta["quarantine"]}


def files_of(store: ObjectStore, manifest: Manifest) -> set[str]:
    return {row["_file"] for row in kept(store, manifest)}


def test_a_corrupt_gzip_among_many_files_is_refused_by_itself(tmp_path: Path):
    write_good(tmp_path / "in", 60, ".csv.gz")
    bad = tmp_path / "in" / "017.csv.gz"
    bad.write_bytes(bad.read_bytes()[:-30])
    store, digest, manifest = prepared(folder_of(tmp_path / "in"), tmp_path)
    assert reconciled(manifest) == (59 * ROWS + 1, 59 * ROWS, 1)
    (row,) = read_quarantine(store, digest, 10)
    assert (row["_file"], row["_row"], row["rule"]) == ("017.csv.gz", 0, "unreadable")
    assert "cannot be unpacked" in row["reason"]
    assert len(files_of(store, manifest)) == 59


def test_a_corrupt_file_is_not_read_again_until_its_content_changes(tmp_path: Path):
    write_good(tmp_path / "in", 30, ".csv.gz")
    bad, data = tmp_path / "in" / "003.csv.gz", folder_of(tmp_path / "in")
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-30])
    store, digest, _ = prepared(data, tmp_path)
    assert again(data, store)[0] == digest
    assert [event["event"] for event in again(data, store)[1]] == ["30 of 30 shards known"]
    bad.write_bytes(whole)
    healed, events = again(data, store)
    assert events[0]["event"] == "29 of 30 shards known"
    assert reconciled(read_manifest(store, healed)) == (30 * ROWS, 30 * ROWS, 0)


def test_more_damaged_files_than_may_be_stop_the_run(tmp_path: Path):
    write_good(tmp_path / "in", 10, ".csv.gz")
    for number in range(4):
        bad = tmp_path / "in" / f"{number:03d}.csv.gz"
        bad.write_bytes(bad.read_bytes()[:-30])
    with pytest.raises(
        SchemaError,
        match=r"000\.csv\.gz: cannot be unpacked.*4 of 10 files cannot be read \(40\.0%\), wanted at most 30",
    ):
        prepared(folder_of(tmp_path / "in"), tmp_path)


def test_a_source_that_does_not_answer_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_good(tmp_path / "in", 10, ".csv.gz")

    def busy(*_: object, **__: object) -> Iterator[bytes]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tasks.frames.delimited.spans", busy)
    with pytest.raises(StorageUnavailable, match="it will be tried again"):
        prepared(folder_of(tmp_path / "in"), tmp_path)


def test_what_was_cut_short_on_its_way_once_is_read_again():
    answers = iter([EOFError("cut short"), None])

    def read() -> str:
        with faults.reading("a.csv.gz"):
            if error := next(answers):
                raise error
            return "whole"

    assert faults.read_twice(read) == "whole"


def test_half_a_parquet_file_is_refused_and_the_others_are_read(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for number in range(8):
        columns = {"x": range(number, number + 50), "label": ["y", "n"] * 25}
        pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), tmp_path / "in" / f"{number}.parquet")
    bad = tmp_path / "in" / "5.parquet"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    _, _, manifest = prepared(folder_of(tmp_path / "in"), tmp_path)
    assert reconciled(manifest) == (7 * 50 + 1, 350, 1)


def test_a_parquet_file_that_is_damaged_within_has_all_its_rows_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for number in range(8):
        columns = {"x": [str(n * 7919 % 9973) for n in range(number, number + 500)], "label": ["y", "n"] * 250}
        pq.write_table(pa.table(columns), tmp_path / "in" / f"{number}.parquet", compression="gzip")
    bad = tmp_path / "in" / "5.parquet"
    whole = bytearray(bad.read_bytes())
    whole[60:120] = bytes(60)
    bad.write_bytes(whole)
    store, digest, manifest = prepared(folder_of(tmp_path / "in"), tmp_path)
    assert reconciled(manifest) == (4000, 3500, 500)
    assert {(row["_file"], row["rule"]) for row in read_quarantine(store, digest, 1000)} == {
        ("5.parquet", "unreadable")
    }


def test_empty_files_duplicate_headers_and_files_without_a_column_are_named(tmp_path: Path):
    write_good(tmp_path / "in", 20)
    (tmp_path / "in" / "a.csv").write_bytes(b"")
    (tmp_path / "in" / "b.csv").write_text("x,y,label\n")
    (tmp_path / "in" / "c.csv").write_text("x,x,label\n1,2,a\n")
    (tmp_path / "in" / "d.csv").write_text("x,label\n1,a\n2,b\n")
    store, digest, manifest = prepared(folder_of(tmp_path / "in"), tmp_path)
    assert reconciled(manifest) == (20 * ROWS + 4, 20 * ROWS, 4)
    said = {row["_file"]: row["reason"] for row in read_quarantine(store, digest, 10)}
    assert "the file is empty" in said["a.csv"]
    assert "names 'x' twice" in said["c.csv"]
    assert "column 'y' is missing" in said["d.csv"]


def test_ragged_rows_nuls_wrong_bytes_and_mixed_types_are_refused_row_by_row(tmp_path: Path):
    good = content(0, 200).encode().split(b"\n")[:-1]
    good[3], good[7], good[9] = b"1,2", b"1,2,a,9,9", b"3,\0,b"
    good[11], good[13], good[15] = b"4,1.5,caf\xe9", b"five,1,a", b'6,"open,a'
    (tmp_path / "rows.csv").write_bytes(b"\n".join(good) + b"\n")
    columns = [{"name": "x", "type": "integer"}]
    data = section(sources=[{"url": "rows.csv"}], root=str(tmp_path), columns=columns)
    store, digest, manifest = prepared(data, tmp_path)
    assert reconciled(manifest) == (200, 194, 6)
    assert rules(manifest) == {"encoding": 2, "ragged": 2, "quote": 1, "type": 1}
    assert [row for row, _ in refused(store, digest)] == [3, 7, 9, 11, 13, 15]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_line_too_long_for_memory_is_refused_and_the_lines_around_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
):
    monkeypatch.setattr(long_lines, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr("tasks.frames.spans.LONGEST_LINE", 1 << 20)
    row = (
        (lambda n: f"{n},{'ab'[n % 2]}") if format == "csv" else (lambda n: json.dumps({"x": n, "label": "ab"[n % 2]}))
    )
    with gzip.open(tmp_path / f"rows.{format}.gz", "wb", 1) as file:
        file.write(b"x,label\n" if format == "csv" else b"")
        for number in range(300):
            file.write(row(number).encode() + b"\n")
            if number == 99:
                for _ in range(24):
                    file.write(b"9" * (1 << 20))
                file.write(b"\n")
    data = section(sources=[{"url": f"rows.{format}.gz"}], root=str(tmp_path), shard_rows=70)
    tracemalloc.start()
    store, digest, manifest = prepared(data, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reconciled(manifest) == (301, 300, 1)
    (gone,) = read_quarantine(store, digest, 10)
    assert (gone["_row"], gone["rule"]) == (101, "too_long")
    assert "a line of 25,165,825 bytes, wanted at most 1,048,576" in gone["reason"]
    assert sorted(row["_row"] for row in kept(store, manifest)) == [n for n in range(1, 302) if n != 101]
    assert peak < 16 << 20


@pytest.mark.parametrize("returns", [True, False])
def test_lines_are_those_that_python_finds_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, returns: bool):
    monkeypatch.setattr(long_lines, "BLOCK", 7)
    monkeypatch.setattr(frames_spans, "BLOCK", 7)
    monkeypatch.setattr(frames_spans, "LONGEST_LINE", 12)
    drawn = random.Random(7)
    for _ in range(3000):
        text = bytes(drawn.choices(b"ab\r\n", [20, 1, 1, 1], k=drawn.randrange(120)))
        whole = text.splitlines(keepends=True) if returns else list(io.BytesIO(text))
        ends = np.cumsum([len(line) for line in whole]).tolist()
        wanted = [(end - len(line), end) for line, end in zip(whole, ends, strict=True) if line.strip()]
        how = (csv_cut(",", quoting=False), b"\n\r") if returns else (line_cut, b"\n")
        found = list(spans(io.BytesIO(text), how[0], ends=how[1]))
        pairs = [pair for one in found for pair in zip(one.starts.tolist(), one.stops.tolist(), strict=True)]
        assert pairs == wanted
        cut = list(marks(iter(found), 4))
        alone = [
            (mark.offset, mark.offset + mark.length) for mark in cut if mark.length > 12 and mark.stop - mark.start == 1
        ]
        assert set(alone) >= {pair for pair in wanted if pair[1] - pair[0] > 12}
        assert [mark.stop for mark in cut] == [mark.start for mark in cut[1:]] + [len(wanted)] * bool(cut)


def test_a_text_file_that_cannot_be_unpacked_is_one_refused_row(tmp_path: Path):
    for number in range(40):
        folder = tmp_path / "in" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt.gz").write_bytes(gzip.compress(b"some words of a text, number %d" % number))
    (tmp_path / "in" / "a" / "4.txt.gz").write_bytes(b"no gzip at all")
    data = section(sources=[{"url": "**/*.gz"}], root=str(tmp_path / "in"), format="text_folders", kind="text")
    _, _, manifest = prepared(data, tmp_path)
    assert reconciled(manifest) == (40, 39, 1)
    assert rules(manifest) == {"unreadable": 1}


@pytest.mark.skipif(not VEGA.is_dir(), reason="the dirty data sets of vega are not here")
def test_the_dirty_sets_of_vega_go_through_and_reconcile(tmp_path: Path):
    movies = json.loads((VEGA / "movies.json").read_text())
    (tmp_path / "movies.jsonl").write_text("\n".join(json.dumps(row) for row in movies) + "\n")
    data = section(
        sources=[{"url": "movies.jsonl"}],
        root=str(tmp_path),
        task="regression",
        target="IMDB Rating",
        features=["US Gross", "Major Genre", "Running Time min"],
        columns=[{"name": "US Gross", "type": "number"}],
        max_quarantined_share=0.2,
    )
    store, digest, manifest = prepared(data, tmp_path)
    found = Counter(label for _, label in refused(store, digest))
    missing = sum(row["IMDB Rating"] is None for row in movies)
    assert reconciled(manifest)[0] == 3201
    assert found == {"IMDB Rating: missing_target": missing}


@pytest.mark.skipif(not VEGA.is_dir(), reason="the dirty data sets of vega are not here")
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("birdstrikes.csv", "Effect Amount of damage"),
        ("zipcodes.csv", "state"),
        ("seattle-weather-hourly-normals.csv", "wind"),
    ],
)
def test_a_real_csv_reconciles_with_what_pythons_reader_counts(tmp_path: Path, name: str, target: str):
    with (VEGA / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    target = target if target in rows[0] else list(rows[0])[-1]
    data = section(sources=[{"url": name}], root=str(VEGA), target=target, max_quarantined_share=0.2)
    _, _, manifest = prepared(data, tmp_path)
    assert reconciled(manifest)[0] == len(rows)
