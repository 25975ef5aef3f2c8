"""Reading: every format and packing gives the rows that are there, and refuses the others by name."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from storage.errors import ConfigError, NotFound, SchemaError
from tasks.frames.pieces import Piece, plan_group
from tasks.frames.raw import Raw
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import DataSection, Source

PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data[:7]) + zstandard.ZstdCompressor().compress(data[7:]),
}


def section(root: Path, *urls: str, **more: object) -> DataSection:
    return DataSection.model_validate(
        {"sources": [{"url": url} for url in urls], "root": str(root), "kind": "table", **more}
    )


def pieces(data: DataSection) -> list[Piece]:
    return [piece for group in find_groups(data) for piece in plan_group(data, group)]


def read(data: DataSection) -> list[Raw]:
    return [read_piece(data, piece) for piece in pieces(data)]


def rows(data: DataSection, *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for raw in read(data) for row in raw.table.to_pylist()]


def refusals(data: DataSection) -> list[tuple[str, int, str]]:
    return [(refusal.file, refusal.row, refusal.rule) for raw in read(data) for refusal in raw.refused]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("shard_rows", [1, 2, 5, 100])
def test_csv_rows_survive_every_packing_and_shard_size(tmp_path: Path, suffix: str, shard_rows: int):
    text = 'a,b\n1,x\n\n2,"y\nz"\n3,"say ""hi"", twice"\r\n4,\n5,v'
    (tmp_path / f"t.csv{suffix}").write_bytes(PACK[suffix](text.encode()))
    found = rows(section(tmp_path, f"t.csv{suffix}", shard_rows=shard_rows), "a", "b", "_row")
    assert found == [("1", "x", 1), ("2", "y\nz", 2), ("3", 'say "hi", twice', 3), ("4", "", 4), ("5", "v", 5)]


@pytest.mark.parametrize("shard_rows", [1, 3, 100])
def test_ragged_rows_are_refused_with_their_number(tmp_path: Path, shard_rows: int):
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2\n3,y,z\n4,w\n")
    data = section(tmp_path, "t.csv", shard_rows=shard_rows)
    assert refusals(data) == [("t.csv", 2, "ragged"), ("t.csv", 3, "ragged")]
    assert rows(data, "a", "_row") == [("1", 1), ("4", 4)]


@pytest.mark.parametrize("shard_rows", [1, 2, 100])
def test_an_unbalanced_quotation_mark_swallows_no_rows(tmp_path: Path, shard_rows: int):
    (tmp_path / "t.csv").write_text('a,b\n1,"open\n2,x\n3,"mid" dle\n4,y\n5,"two\nlines"\n6,"end\n')
    data = section(tmp_path, "t.csv", shard_rows=shard_rows)
    assert refusals(data) == [("t.csv", 1, "quote"), ("t.csv", 6, "quote")]
    assert rows(data, "a", "_row") == [("2", 2), ("3", 3), ("4", 4), ("5", 5)]


def test_a_quotation_mark_in_tsv_is_a_character(tmp_path: Path):
    (tmp_path / "t.tsv").write_text('a\tb\n1\t"open\n2\tx\n')
    assert rows(section(tmp_path, "t.tsv"), "a", "b") == [("1", '"open'), ("2", "x")]


def test_cells_that_are_not_utf8_are_refused_and_the_others_kept(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("a,b\n1,grün\n".encode() + b"2,gr\xfcn\n3\xff\n4,\xe4\xbd\xa0\n")
    data = section(tmp_path, "t.csv")
    assert rows(data, "a", "b") == [("1", "grün"), ("4", "你")]
    assert sorted(refusals(data)) == [("t.csv", 2, "encoding"), ("t.csv", 3, "ragged")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert rows(section(tmp_path, "t.csv"), "a", "b") == [("1", "2")]


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(SchemaError, match="names 'a' twice"):
        pieces(section(tmp_path, "t.csv"))


def test_json_lines_that_are_no_objects_are_refused_with_their_text(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": "x"}\n\n{bad}\n[1]\n{"a": 2.5}\n{"a": NaN}\n')
    data = section(tmp_path, "t.jsonl", shard_rows=2)
    assert rows(data, "a", "_row") == [("1", 1), ("2.5", 4)]
    assert refusals(data) == [("t.jsonl", 2, "json"), ("t.jsonl", 3, "json"), ("t.jsonl", 5, "json")]
    assert next(refusal.raw for raw in read(data) for refusal in raw.refused) == "{bad}"


@pytest.mark.parametrize("shard_rows", [1, 3, 7, 100])
def test_parquet_is_read_by_row_number_across_row_groups(tmp_path: Path, shard_rows: int):
    pq.write_table(pa.table({"a": list(range(10)), "_row": list(range(10))}), tmp_path / "t.parquet", row_group_size=4)
    assert rows(section(tmp_path, "t.parquet", shard_rows=shard_rows), "a", "_row") == [(i, i + 1) for i in range(10)]


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path):
    (tmp_path / "t.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(SchemaError, match=r"t\.parquet"):
        pieces(section(tmp_path, "t.parquet"))


def test_text_files_have_their_folder_as_label_and_bad_ones_are_refused(tmp_path: Path):
    for name, content in {
        "pos/1.txt": b"good",
        "neg/2.txt": b"bad",
        "neg/3.txt": b"gr\xfcn",
        "neg/4.txt": b"nul\0",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    data = section(tmp_path, "*/*.txt", kind="text", shard_rows=3)
    assert rows(data, "text", "label", "_file") == [("bad", "neg", "neg/2.txt"), ("good", "pos", "pos/1.txt")]
    assert refusals(data) == [("neg/3.txt", 1, "encoding"), ("neg/4.txt", 1, "encoding")]


def _archive(path: Path, members: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo("./" + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(PACK[path.suffix if path.suffix != ".tar" else ""](packed.getvalue()))


ARCHIVES = ["d.tar", "d.tar.gz", "d.tar.xz", "d.tar.bz2", "d.tar.zst", "d.zip"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_members_of_archives_are_read_in_ranges(tmp_path: Path, name: str):
    members = {f"set/{label}/{i}.txt": f"{label} {i}".encode() for label in ("neg", "pos") for i in range(4)}
    _archive(tmp_path / name, {"README": b"no data", **members})
    data = section(tmp_path, name, kind="text", shard_rows=3)
    data = data.model_copy(update={"sources": (Source(url=name, members="set/*/*.txt"),)})
    assert len(pieces(data)) == 3
    assert rows(data, "text", "label") == [(f"{label} {i}", label) for label in ("neg", "pos") for i in range(4)]


@pytest.mark.parametrize("name", ARCHIVES)
def test_tables_in_archives_are_read_too(tmp_path: Path, name: str):
    _archive(
        tmp_path / name,
        {"__MACOSX/._t.csv": b"\0", "x/t.csv": b"a,b\n1,2\n3,4\n", "u.csv.gz": gzip.compress(b"a,b\n5,6\n")},
    )
    found = rows(section(tmp_path, name, shard_rows=1), "a", "_file")
    assert found == [("1", f"{name}::x/t.csv"), ("3", f"{name}::x/t.csv"), ("5", f"{name}::u.csv.gz")]


def _idx(images: np.ndarray) -> bytes:
    return struct.pack(">4i", 2051, *images.shape) + images.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_images_find_their_labels(tmp_path: Path, suffix: str):
    images = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(PACK[suffix](_idx(images)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">2i", 2049, 5) + bytes([3, 1, 4, 1, 5]))
    )
    data = section(tmp_path, f"train-images-idx3-ubyte{suffix}", kind="image", shard_rows=2)
    found = rows(data, "image", "label")
    assert [label for _, label in found] == ["3", "1", "4", "1", "5"]
    assert found[3][0] == images[3].reshape(-1).tolist()


def test_idx_images_without_labels_or_with_fewer_are_refused(tmp_path: Path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(_idx(np.zeros((5, 2, 2), np.uint8)))
    data = section(tmp_path, "a-images-idx3-ubyte", kind="image")
    with pytest.raises(NotFound, match="a-labels-idx1-ubyte"):
        pieces(data)
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 4) + bytes(4))
    with pytest.raises(SchemaError, match="5 images and 4 labels"):
        pieces(data)


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path):
    with pytest.raises(NotFound, match=r"nothing-\*\.csv"):
        pieces(section(tmp_path, "nothing-*.csv"))


def test_a_name_that_says_no_format_asks_for_one(tmp_path: Path):
    (tmp_path / "adult.data").write_text("1,2\n")
    with pytest.raises(ConfigError, match=r"data\.format"):
        pieces(section(tmp_path, "adult.data"))


def test_a_file_matched_by_two_sources_is_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="more than one source"):
        pieces(section(tmp_path, "a.csv", "*.csv"))


def test_an_unknown_set_of_scikit_learn_names_the_nearest(tmp_path: Path):
    with pytest.raises(NotFound, match="did you mean 'digits'"):
        pieces(section(tmp_path, "sklearn:digit", kind="image"))


def test_a_truncated_archive_is_named(tmp_path: Path):
    _archive(tmp_path / "d.tar.gz", {f"a/{i}.txt": b"x" * 5000 for i in range(30)})
    whole = (tmp_path / "d.tar.gz").read_bytes()
    (tmp_path / "d.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SchemaError, match=r"d\.tar\.gz: cannot be unpacked"):
        pieces(section(tmp_path, "d.tar.gz", kind="text"))


def test_origins_do_not_depend_on_where_the_data_lie(tmp_path: Path):
    for folder in ("one", "two/deep"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "t.csv").write_text("a,b\n1,2\n")
    assert (
        rows(section(tmp_path / "one", "in/t.csv"), "_file")
        == rows(section(tmp_path / "two/deep", "in/t.csv"), "_file")
        == [("in/t.csv",)]
    )
    assert rows(section(Path(), str(tmp_path / "one/in/*.csv")), "_file") == [("t.csv",)]


def test_a_remote_url_is_read_as_a_local_one(tmp_path: Path):
    import fsspec

    with fsspec.open("memory://bucket/in/t.csv.gz", "wb") as file:
        file.write(gzip.compress(b"a,b\n1,2\n"))  # pyright: ignore[reportAttributeAccessIssue]
    data = section(tmp_path, "in/*.csv.gz", shard_rows=10).model_copy(update={"root": "memory://bucket"})
    assert rows(data, "a", "_file") == [("1", "in/t.csv.gz")]


def test_a_quotation_that_is_never_closed_costs_one_row_of_a_long_file(tmp_path: Path):
    lines = ['0,"open'] + [f"{i},{'x' * 90}" for i in range(1, 20_000)]
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(lines))
    data = section(tmp_path, "t.csv", shard_rows=9_000)
    assert refusals(data) == [("t.csv", 1, "quote")]
    assert sum(raw.table.num_rows for raw in read(data)) == 19_999
