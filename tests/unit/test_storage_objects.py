"""The object store on local disk: atomic, one winner of a race, and names that cannot leave the folder."""

import multiprocessing
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from racing import start_together

from storage.errors import ConfigError, NotFound
from storage.objects import open_store
from storage.probing import probe

RACER = """
import sys
from storage.objects import open_store
store = open_store(sys.argv[1])
print('ready', flush=True)
sys.stdin.readline()
print(sum(store.put_if_absent(f"log/{n:020d}.json", sys.argv[2].encode()) for n in range(40)))
"""


def test_what_is_put_is_read_back_listed_and_deleted(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    source = tmp_path / "file"
    source.write_bytes(b"from a file")
    store.put("b/two.bin", source)
    store.put("b/one.bin", b"1")
    store.put("a.bin", b"")
    assert store.get("b/two.bin") == b"from a file"
    assert b"".join(store.chunks("b/two.bin")) == b"from a file"
    assert list(store.list("")) == [("a.bin", 0), ("b/one.bin", 1), ("b/two.bin", 11)]
    assert list(store.list("b/")) == [("b/one.bin", 1), ("b/two.bin", 11)]
    store.delete("b/two.bin")
    store.delete("b/two.bin")
    assert store.size("b/two.bin") is None
    assert (tmp_path / "store" / "b" / "one.bin").read_bytes() == b"1"


def test_a_missing_object_is_not_found_by_its_name(tmp_path: Path):
    with pytest.raises(NotFound, match=r"a/b\.json is not in store"):
        open_store(str(tmp_path)).get("a/b.json")


def test_a_second_creation_is_told_so_and_changes_nothing(tmp_path: Path):
    store = open_store(str(tmp_path))
    assert store.put_if_absent("log/1.json", b"mine")
    assert not store.put_if_absent("log/1.json", b"yours")
    assert store.put_if_absent("log/1.json", b"mine")
    assert store.get("log/1.json") == b"mine"


def test_of_eight_racing_processes_one_creates_each_object(tmp_path: Path):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), uuid.uuid4().hex],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    start_together(racers)
    won = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    assert sum(won) == 40


def test_what_somebody_deletes_while_it_is_written_is_no_error(tmp_path: Path):
    store, stop = open_store(str(tmp_path)), threading.Event()

    def delete() -> None:
        while not stop.is_set():
            store.delete("a/b/one")
            store.remove_empty("a/b")

    deleter = threading.Thread(target=delete)
    deleter.start()
    for _ in range(300):
        store.put("a/b/one", b"1")
        store.put_if_absent("a/b/one", b"1")
    stop.set()
    deleter.join()


@pytest.mark.parametrize("key", ["../out", "a/../b", "/a", "a//b", "", "a b", "a/.", "ü", "a" * 513])
def test_a_key_that_could_leave_the_store_is_refused(tmp_path: Path, key: str):
    with pytest.raises(ConfigError, match="object key"):
        open_store(str(tmp_path)).put(key, b"x")


@pytest.mark.parametrize(
    "url", ["", "ftp://bucket", "s3://", "gs://", "az://box@account/x", "s3://user:secret@bucket/x"]
)
def test_a_url_that_names_no_store_is_refused_without_repeating_a_password(url: str):
    with pytest.raises(ConfigError, match="storage URL") as refusal:
        open_store(url)
    assert "secret" not in str(refusal.value)


def test_one_folder_is_one_store_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert open_store("store") is open_store(f"file://{tmp_path}/store") is open_store(f"{tmp_path}/x/../store/")
    assert open_store("store").url == str(tmp_path / "store")


def test_a_file_in_the_folders_place_is_named(tmp_path: Path):
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(ConfigError, match=r"store: cannot make the folder"):
        open_store(str(tmp_path / "store"))


def test_probing_leaves_nothing_behind(tmp_path: Path):
    assert list(open_store(str(tmp_path)).list("")) == []


class Overwriting:
    """A store that takes every creation, like S3 look-alikes that do not know `If-None-Match`."""

    url = "s3://overwriting"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.objects[key] = data
        return True

    def get(self, key: str) -> bytes:
        return self.objects[key]

    def size(self, key: str) -> int | None:
        return len(self.objects[key])

    def delete(self, key: str) -> None:
        del self.objects[key]


def test_a_store_where_a_second_creation_succeeds_is_refused():
    with pytest.raises(ConfigError, match="wanted exactly 1; such a store loses releases"):
        probe(Overwriting())


def test_a_forked_child_is_told_instead_of_waiting_for_ever(tmp_path: Path):
    store = open_store(str(tmp_path))
    answers = multiprocessing.get_context("fork").SimpleQueue()

    def use() -> None:
        try:
            store.get("x")
        except ConfigError as error:
            answers.put(str(error))

    child = multiprocessing.get_context("fork").Process(target=use)
    child.start()
    child.join(30)
    child.kill()
    assert f"was forked from {os.getpid()}" in answers.get()
