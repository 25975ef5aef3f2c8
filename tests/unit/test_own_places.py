"""One line for one's own data wherever they lie: folders, archives, buckets; compressed or not; large or small."""

import gzip
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from own_rows import HEAD, rows, said, write

from flows.own_data import infer
from tasks.sections import DataSection


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


def label_folders(folder: Path, name: str, content: Callable[[str, int], bytes], count: int = 15) -> str:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            (folder / label / f"{n}{name}").write_bytes(content(label, n))
    (folder / "README.md").write_text("not data")
    (folder / f"notes{name}").write_text("in no label's folder")
    return str(folder)


def test_compressed_files_archives_and_json_lines_are_read_alike(tmp_path: Path):
    plain = write(tmp_path / "m.csv", HEAD, rows())
    content = Path(plain).read_bytes()
    (tmp_path / "m2.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "m3.zip", "w") as archive:
        archive.writestr("deep/m.csv", content)
    (tmp_path / "m4.jsonl").write_text("\n".join(json.dumps(dict(zip(HEAD, row, strict=True))) for row in rows()))
    wanted = infer(plain, target="edible").config
    for name in ("m2.csv.gz", "m3.zip", "m4.jsonl"):
        found = infer(str(tmp_path / name), target="edible").config
        assert sorted(found.data.features) == sorted(wanted.data.features), name
        assert found.evaluate == wanted.evaluate, name


def test_parquet_keeps_its_types_and_what_is_no_single_value_is_left_out(tmp_path: Path):
    table = pa.table(
        {
            "a": [n * 0.5 for n in range(400)],
            "flag": [n % 3 == 0 for n in range(400)],
            "tags": [["x"]] * 400,
            "at": [datetime(2024, 1, n % 28 + 1) for n in range(400)],
            "kind": pa.array(["u", "v"] * 200).dictionary_encode(),
            "y": [n % 4 for n in range(400)],
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    own = infer(str(tmp_path / "m.parquet"), target="y")
    assert {rule.name: rule.type for rule in own.config.data.columns} == {
        "a": "number",
        "flag": "category",
        "kind": "category",
    }
    assert "tags: lists or bytes" in own.told
    assert "at: a date" in own.told


def test_splits_are_those_of_the_names_where_the_files_have_the_target(tmp_path: Path):
    write(tmp_path / "a" / "train.csv", HEAD, rows())
    write(tmp_path / "a" / "test.csv", HEAD, rows(60))
    own = infer(str(tmp_path / "a"), target="edible", name="m")
    assert {source.url: source.split for source in own.config.data.sources} == {
        "train.csv": "train",
        "test.csv": "test",
    }
    write(tmp_path / "b" / "train.csv", HEAD, rows())
    write(tmp_path / "b" / "test.csv", HEAD[:-1], [row[:-1] for row in rows(60)])
    own = infer(str(tmp_path / "b"), target="edible", name="m")
    assert [(source.url, source.split) for source in own.config.data.sources] == [("train.csv", "any")]
    assert "the test files do not have it: they are left out" in own.told


def test_texts_in_label_folders_need_no_target(tmp_path: Path):
    folder = label_folders(tmp_path / "mail", ".txt", lambda label, n: f"{label} says hello {n}".encode())
    with tarfile.open(tmp_path / "mail.tar.gz", "w:gz") as archive:
        archive.add(folder, "top")
    for url, source in ((folder, ("*/*.txt", "")), (f"{folder}.tar.gz", ("mail.tar.gz", "*/*/*.txt"))):
        own = infer(url)
        assert [(one.url, one.members) for one in own.config.data.sources] == [source]
        assert (own.config.data.format, own.config.data.kind, own.config.train.family) == (
            "text_folders",
            "text",
            "textcnn",
        )
        assert "2 classes, cat 50%, dog 50%" in own.told
        assert (own.config.name, own.told.splitlines()[0].partition(": ")[2]) == ("mail", "30 rows, text_folders")


def test_label_folders_in_train_and_test_folders_are_those_splits(tmp_path: Path):
    for split in ("train", "test"):
        label_folders(tmp_path / "m" / split, ".txt", lambda label, n: f"{label} {n}".encode())
    sources = infer(str(tmp_path / "m"), name="m").config.data.sources
    assert {(source.url, source.split) for source in sources} == {("train/*/*.txt", "train"), ("test/*/*.txt", "test")}


@pytest.mark.parametrize(
    ("ending", "format", "kind"), [(".png", "image_folders", "image"), (".wav", "audio_folders", "audio")]
)
def test_images_and_recordings_in_label_folders_need_no_target(ending: str, format: str, kind: str, tmp_path: Path):
    if format not in str(DataSection.model_fields["format"].annotation):
        pytest.skip(f"there is no reader of {format}")
    config = infer(label_folders(tmp_path / "pets", ending, lambda *_: b"")).config
    assert (config.data.format, config.data.kind, config.train.family) == (format, kind, "cnn")


def test_recordings_in_one_folder_have_their_labels_in_their_names(tmp_path: Path):
    if "label_pattern" not in DataSection.model_fields:
        pytest.skip("there is no reader of audio_folders")
    for n in range(30):
        (tmp_path / f"{n % 3}_bob_{n}.wav").write_bytes(b"")
    own = infer(str(tmp_path), name="said")
    assert own.config.data.label_pattern == "^([^_.-]+)[_.-]"
    assert "3 classes" in own.told
    own = infer(str(tmp_path), overrides={"name": "said", "data.label_pattern": r"_(\d)\d*\."})
    assert own.config.data.label_pattern == r"_(\d)\d*\."
    assert "1 50%, 2 50%" in own.told  # 1 and 10 to 19, 2 and 20 to 29


def test_a_target_with_the_delimiter_in_its_name_is_found_in_each_split(tmp_path: Path):
    for name in ("train.csv", "test.csv"):
        write(tmp_path / "sold" / name, ["size", "price, EUR"], [[n % 7, n * 0.5] for n in range(40)])
    sources = infer(str(tmp_path / "sold"), target="price, EUR").config.data.sources
    assert sorted(source.split for source in sources) == ["test", "train"]


def test_idx_images_bring_their_labels(tmp_path: Path):
    (tmp_path / "digits").mkdir()
    images = struct.pack(">4i", 2051, 60, 4, 4) + bytes(60 * 16)
    (tmp_path / "digits" / "train-images-idx3-ubyte").write_bytes(images)
    labels = struct.pack(">2i", 2049, 60) + bytes(n % 3 for n in range(60))
    (tmp_path / "digits" / "train-labels-idx1-ubyte").write_bytes(labels)
    config = infer(str(tmp_path / "digits")).config
    assert (config.name, config.data.format, config.data.kind, config.train.family) == ("digits", "idx", "image", "cnn")
    one = infer(str(tmp_path / "digits" / "train-images-idx3-ubyte")).config
    assert (one.name, one.data.sources[0].url) == ("digits", "train-images-idx3-ubyte")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 server's bucket `own`."""
    import s3fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "hushhush",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="own")
    yield client
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_file_in_a_bucket_is_looked_at_where_it_lies(bucket: Any, tmp_path: Path):
    pq.write_table(pa.table({"a": [n * 0.5 for n in range(300)], "y": [n % 2 for n in range(300)]}), tmp_path / "m")
    bucket.upload_file(str(tmp_path / "m"), "own", "deep/sold.parquet")
    config = infer("s3://own/deep/sold.parquet", target="y").config
    assert (config.name, config.data.root, config.data.sources[0].url) == ("sold", "s3://own/deep", "sold.parquet")
    assert "no such file" in said("s3://own/deep/bold.parquet", target="y")
    assert "the bucket does not exist" in said("s3://nobody/x.parquet", target="y")


def test_where_the_configuration_says_how_the_bucket_is_reached_it_is_looked_at_there(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pq.write_table(pa.table({"a": [n * 0.5 for n in range(300)], "y": [n % 2 for n in range(300)]}), tmp_path / "m")
    bucket.upload_file(str(tmp_path / "m"), "own", "told.parquet")
    endpoint = bucket.meta.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    own = infer("s3://own/told.parquet", target="y", overrides={"storage.endpoint": endpoint})
    assert own.config.storage.endpoint == endpoint


def test_a_large_file_is_sampled_and_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.frames.heads.BYTES", 20_000)
    lines = [[n * 0.5, n % 7, "first" if n < 10_000 else "last"] for n in range(20_000)]
    own = infer(write(tmp_path / "m.csv", ["a", "b", "y"], lines), target="y")
    assert "about 2" in own.told.splitlines()[0]
    assert "2 classes" in own.told  # the last rows have another class than the first
    assert {rule.type for rule in own.config.data.columns} == {
        "number"
    }  # whole so far; what was not seen may have fractions
