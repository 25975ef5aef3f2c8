"""Stage prepare over many small files: what a run has done, the next one takes; and the result is that of doing all of it afresh."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import wait_for
from distributed import Client
from small_files import afresh, again, content, inside, known, prepared_in, write_files

from infra.clusters import open_cluster
from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from tasks.sections import ClusterSection, DataSection

FILES = 300


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
