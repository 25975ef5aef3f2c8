"""Stage prepare over many small files: what a run has done, the next one takes; and the result is that of doing all of it afresh."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import wait_for
from distributed import Client
from tables import section

from infra.clusters import open_cluster
from storage.blobs import read_blob
from storage.manifests import put_files, read_manifest
from storage.objects import ObjectStore, open_store
from tasks.arrays import fetch_arrays
from tasks.frames import encoding
from tasks.frames.encoding import encode, encode_shard
from tasks.frames.fitting import fit_transforms
from tasks.frames.gathering import spread as spread_over
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.frames.shelved import here
from tasks.frames.stored_rows import columns_of, stored_shards
from tasks.sections import ClusterSection, DataSection, TransformsSection
from tasks.stored import read_files

FILES = 300


def content(number: int, rows: int = 20, first: int = 0) -> str:
    lines = [
        f"{(number * rows + row) % 97},{row * 0.5},{'ab'[(number + row) % 2]}" for row in range(first, first + rows)
    ]
    return "x,y,label\n" + "\n".join(lines) + "\n"


def write_files(folder: Path, count: int) -> DataSection:
    (folder / "in").mkdir(parents=True)
    for number in range(count):
        (folder / "in" / f"{number:05d}.csv").write_text(content(number))
    return section(sources=[{"url": "*.csv"}], root=str(folder / "in"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    os.environ["MILLRACE_ROOT"] = str(tmp_path_factory.mktemp("root"))
    with open_cluster(ClusterSection(workers=2, memory_gib=1.0)) as client:
        yield client
    del os.environ["MILLRACE_ROOT"]


@pytest.fixture(scope="module")
def prepared(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSection, ObjectStore]:
    """So many files, prepared once."""
    return prepared_in(tmp_path_factory.mktemp("prepared"), FILES, client)


def prepared_in(folder: Path, count: int, client: Client) -> tuple[DataSection, ObjectStore]:
    data, store = write_files(folder, count), open_store(str(folder / "store"))
    prepare_dataset(data, identified(data), store, lambda: nullcontext(client), lambda event: None)
    return data, store


def no_cluster() -> AbstractContextManager[Client]:
    pytest.fail("a cluster was opened")


def again(data: DataSection, store: ObjectStore) -> tuple[str, list[dict[str, Any]]]:
    """The data set prepared where no cluster may be opened, and what was reported."""
    events: list[dict[str, Any]] = []
    digest = prepare_dataset(data, identified(data), store, no_cluster, events.append, alone=True)
    return digest, events


def afresh(data: DataSection, folder: Path, client: Client) -> str:
    """The data set prepared in an empty store."""
    store = open_store(str(folder / "afresh"))
    return prepare_dataset(data, identified(data), store, lambda: nullcontext(client), lambda event: None)


def known(events: list[dict[str, Any]]) -> str:
    return next(event["event"] for event in events if "event" in event)


def inside(data: DataSection, number: int) -> Path:
    return Path(data.root, f"{number:05d}.csv")


def test_what_did_not_change_is_all_known_and_opens_no_cluster(prepared: tuple[DataSection, ObjectStore]):
    data, store = prepared
    digest, events = again(data, store)
    assert known(events) == "300 of 300 shards known"
    assert len(events) == 1
    assert read_manifest(store, digest).meta["rows_in"] == 20 * FILES


def test_shards_are_packed_and_do_not_lie_about_one_by_one(prepared: tuple[DataSection, ObjectStore]):
    _, store = prepared
    assert all("/pack-" in name for name, _ in store.list("shards/"))


def add(data: DataSection) -> str:
    inside(data, FILES).write_text(content(FILES, 30))
    return "300 of 301 shards known"


def remove(data: DataSection) -> str:
    inside(data, 200).unlink()
    return "299 of 299 shards known"


def change(data: DataSection) -> str:
    inside(data, 201).write_text(content(201, 20, first=7))
    return "299 of 300 shards known"


def rename(data: DataSection) -> str:
    inside(data, 202).rename(inside(data, FILES + 5))
    return "299 of 300 shards known"


@pytest.mark.parametrize("what", [add, remove, change, rename])
def test_one_shard_is_computed_and_the_result_is_that_of_computing_all(
    prepared: tuple[DataSection, ObjectStore],
    client: Client,
    tmp_path: Path,
    what: Callable[[DataSection], str],
):
    data, store = prepared
    before = {path: path.read_text() for path in Path(data.root).iterdir()}
    try:
        said = what(data)
        digest, events = again(data, store)
        assert known(events) == said
        assert digest == afresh(data, tmp_path, client)
    finally:
        for path in Path(data.root).iterdir():
            path.unlink()
        for path, text in before.items():
            path.write_text(text)


def test_of_a_thousand_shards_only_those_that_are_new_are_computed(client: Client, tmp_path: Path):
    data, store = prepared_in(tmp_path, 1000, client)
    inside(data, 1000).write_text(content(1000))
    inside(data, 500).unlink()
    inside(data, 501).write_text(content(501, 20, first=7))
    digest, events = again(data, store)
    assert known(events) == "998 of 1,000 shards known"
    assert digest == afresh(data, tmp_path, client)


def test_a_damaged_or_missing_shard_alone_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    data, store = write_files(tmp_path, 7), open_store(str(tmp_path / "store"))
    digest, _ = again(data, store)
    files = read_manifest(store, digest).files
    gone, flipped = files["rows/part-00003.parquet"], files["overlay/part-00005.parquet"]
    store.delete(gone.key)
    whole = store.get(flipped.key)
    store.put(flipped.key, bytes([whole[0] ^ 1]) + whole[1:])
    found, events = again(data, store)
    assert known(events) == "5 of 7 shards known, 2 damaged"
    assert found == digest
    assert store.get(flipped.key) == whole
    assert store.size(gone.key) == gone.size
    assert known(again(data, store)[1]) == "7 of 7 shards known"


def test_what_decides_about_every_shard_makes_every_shard_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    data, store = write_files(tmp_path, 5), open_store(str(tmp_path / "store"))
    again(data, store)
    for change in ({"split_seed": 1}, {"columns": ({"name": "x", "type": "number"},)}):
        other = DataSection.model_validate({**data.model_dump(), **change})
        assert known(again(other, store)[1]) == "0 of 5 shards known"
    lenient = data.model_copy(update={"max_quarantined_share": 0.5})
    assert known(again(lenient, store)[1]) == "5 of 5 shards known"


RUN = """
import json, sys
from storage.objects import open_store
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.sections import DataSection

def refuse():
    raise SystemExit("a cluster was opened")

def main(given, store):
    data = DataSection.model_validate_json(given)
    tell = lambda event: print(json.dumps(event), flush=True)
    print(json.dumps({"digest": prepare_dataset(data, identified(data), open_store(store), refuse, tell, alone=True)}))

main(*sys.argv[1:])
"""


def start(data: DataSection, store: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, data.model_dump_json(), str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def records(store: Path) -> list[Path]:
    return [
        path for path in store.glob("shards/*/*.json") if len(path.read_text()) > 1000
    ]  # those of surveys are shorter


def test_after_a_kill_no_committed_shard_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    data, store = write_files(tmp_path, 8), tmp_path / "store"
    for path in Path(data.root).iterdir():
        path.write_text(content(int(path.stem), 4000))
    process = start(data, store)
    wait_for(lambda: len(records(store)) >= 3, "three committed shards")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    committed = {path: path.stat().st_mtime_ns for path in records(store)}
    assert 3 <= len(committed) < 8
    events = told(start(data, store))
    assert events[0]["event"] == f"{len(committed)} of 8 shards known"
    assert events[-1]["digest"] == again(data, open_store(str(tmp_path / "other")))[0]


def test_two_at_once_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    data, store = write_files(tmp_path, 8), tmp_path / "store"
    processes = [start(data, store) for _ in range(2)]
    digests = {told(process)[-1]["digest"] for process in processes}
    digest, events = again(data, open_store(str(store)))
    assert digests == {digest}
    assert known(events) == "8 of 8 shards known"


@pytest.fixture
def fitted(prepared: tuple[DataSection, ObjectStore]) -> str:
    """The digest of transforms that stay as they are, whatever rows come."""
    data, store = prepared
    return put_files(store, "transforms", fit_transforms(TransformsSection(), store, again(data, store)[0]), {})


def encoded(store: ObjectStore, dataset: str, transforms: str) -> tuple[str, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    return encode(store, dataset, transforms, here, events.append), events


def test_under_pinned_transforms_one_shard_is_encoded_and_the_features_are_those_of_encoding_all(
    prepared: tuple[DataSection, ObjectStore], fitted: str, client: Client, tmp_path: Path
):
    data, store = prepared
    encoded(store, again(data, store)[0], fitted)
    inside(data, FILES).write_text(content(FILES, 30))
    try:
        dataset, _ = again(data, store)
        features, events = encoded(store, dataset, fitted)
        assert known(events) == "300 of 301 shards known"
        assert afresh(data, tmp_path, client) == dataset
        other = open_store(str(tmp_path / "afresh"))
        put_files(other, "transforms", read_files(store, read_manifest(store, fitted)), {})
        spread = partial(spread_over, client)
        assert encode(other, dataset, fitted, spread, lambda event: None) == features
    finally:
        inside(data, FILES).unlink()


def test_other_transforms_encode_every_shard(prepared: tuple[DataSection, ObjectStore], fitted: str):
    data, store = prepared
    dataset, _ = again(data, store)
    encoded(store, dataset, fitted)
    other = fit_transforms(TransformsSection(scaling="none"), store, dataset)
    assert known(encoded(store, dataset, put_files(store, "transforms", other, {}))[1]) == "0 of 300 shards known"


def test_large_shards_keep_their_splits_apart_and_give_the_same_arrays(
    prepared: tuple[DataSection, ObjectStore], fitted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    data, store = prepared
    dataset, _ = again(data, store)
    whole = fetch_arrays(store, encoded(store, dataset, fitted)[0])
    shard = stored_shards(read_manifest(store, dataset))[0]
    columns = columns_of(read_manifest(store, dataset))
    together = encode_shard(fitted, columns, store, shard)
    monkeypatch.setattr(encoding, "TOGETHER_BYTES", 0)
    apart = encode_shard(fitted, columns, store, shard)
    assert set(together.blobs) == {"x", "y"}
    assert set(apart.blobs) == {f"{array}-{split}" for array in "xy" for split in shard.splits if shard.splits[split]}
    for split, rows in shard.splits.items():
        for array in "xy":
            if rows:
                part = np.load(io.BytesIO(read_blob(store, apart.blobs[f"{array}-{split}"])))
                assert (part == np.load(whole[f"{split}/{array}.npy"])[:rows]).all()


def test_a_whole_array_that_was_changed_is_put_together_again(prepared: tuple[DataSection, ObjectStore], fitted: str):
    data, store = prepared
    features, _ = encoded(store, again(data, store)[0], fitted)
    path = fetch_arrays(store, features)["test/x.npy"]
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fetch_arrays(store, features, ["test"])["test/x.npy"].read_bytes() == before
