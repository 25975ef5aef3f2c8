"""Wholeness: whatever was done to an artifact's files is found and said, and storing them again mends it."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_proxy import fault_proxy
from real_s3 import RealS3
from stores import any_store, moto_server

from storage.blobs import Blob, damage_key, fetch_blob, put_blob, read_blob
from storage.errors import CorruptArtifact
from storage.manifests import manifest_key, put_files, read_manifest
from storage.measuring import measured
from storage.objects import ObjectStore, open_store
from storage.surroundings import surrounded
from storage.wholeness import Sizes, damage

__all__ = ["any_store", "moto_server"]

FILES = {"weights.bin": b"12345678", "model.json": b"{}"}
OLD_SECONDS = 3600.0


def artifact(store: ObjectStore) -> str:
    return put_files(store, "model", FILES, {})


def weights(store: ObjectStore, digest: str) -> Blob:
    return read_manifest(store, digest).files["weights.bin"]


def file_of(store: ObjectStore, blob: Blob) -> Path:
    path = store.local_path(blob.key)
    assert path
    return path


def made_old(path: Path) -> None:
    """As it looks when it was written an hour ago: ctime cannot be set back, so this only sets what can."""
    then = time.time() - OLD_SECONDS
    os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return open_store(str(tmp_path / "store"))


HARM: dict[str, tuple[Callable[[ObjectStore, Blob], object], str]] = {
    "missing": (lambda store, blob: store.delete(blob.key), "found none, wanted one of 8 bytes"),
    "truncated": (lambda store, blob: store.put(blob.key, b"1234"), "found 4 bytes, wanted 8"),
    "flipped": (lambda store, blob: store.put(blob.key, b"12345679"), "found SHA-256 "),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_harmed_blob_is_found_named_and_mended_by_storing_it_again(any_store: ObjectStore, kind: str):
    digest = artifact(any_store)
    assert damage(any_store, digest, 0.0) == damage(any_store, digest, 1.0) == ()
    harm, said = HARM[kind]
    harm(any_store, weights(any_store, digest))
    [message] = damage(any_store, digest, 1.0)
    assert message.startswith(f"blob {weights(any_store, digest).key}: {said}")
    assert damage(any_store, digest, 0.0) == (message,)
    assert artifact(any_store) == digest
    assert damage(any_store, digest, 1.0) == ()


def test_a_manifest_that_is_gone_or_changed_is_named_and_mended(any_store: ObjectStore):
    digest = artifact(any_store)
    content = any_store.get(manifest_key(digest))
    any_store.delete(manifest_key(digest))
    assert damage(any_store, digest, 0.0) == (f"manifest {manifest_key(digest)}: found none, wanted one",)
    any_store.put(manifest_key(digest), content.replace(b"weights", b"weightz"))
    [message] = damage(any_store, digest, 0.0)
    assert message.startswith(f"manifest {manifest_key(digest)}: found other content")
    artifact(any_store)
    assert damage(any_store, digest, 0.0) == ()


def test_a_flipped_byte_with_its_time_set_back_is_found_on_this_machines_disk(folder: ObjectStore):
    digest = artifact(folder)
    path = file_of(folder, weights(folder, digest))
    made_old(path)
    before = path.stat()
    assert damage(folder, digest, 0.0) == ()
    with path.open("r+b") as file:
        file.write(b"9")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    [message] = damage(folder, digest, 0.0)
    assert "found SHA-256" in message


def test_on_another_machine_a_note_tells_of_a_flipped_byte_that_was_met_in_a_cloud(
    real_s3: RealS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = open_store(f"s3://{real_s3.bucket}/x")
    digest = artifact(store)
    blob = weights(store, digest)
    store.put(blob.key, b"12345679")
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "second"))
    assert damage(store, digest, 0.0) == ()  # of the right size, and never seen from here
    with pytest.raises(CorruptArtifact):
        fetch_blob(store, blob)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "third"))
    assert len(damage(store, digest, 0.0)) == 1
    put_blob(store, FILES["weights.bin"], ".bin")
    assert damage(store, digest, 0.0) == ()
    assert store.size(damage_key(blob)) is None
    assert read_blob(store, blob) == FILES["weights.bin"]


def test_many_blobs_cost_one_listing_and_several_artifacts_share_it(real_s3: RealS3):
    url = f"s3://{real_s3.bucket}/x"
    many = {f"rows/part-{n:05d}.bin": b"%d" % n for n in range(1200)}
    digests = [put_files(open_store(url), "dataset", many, {"n": n}) for n in range(3)]
    with fault_proxy(real_s3.url) as proxy, surrounded({"AWS_ENDPOINT_URL": proxy.url}):
        store = open_store(url)
        sizes = Sizes(store)
        proxy.seen.clear()
        assert [damage(store, digest, 0.0, sizes) for digest in digests] == [()] * 3
        asked = [method for method, _, _ in proxy.seen]
        assert asked.count("HEAD") == 0
        assert len(asked) <= 3 + 2 + 1  # manifests, pages of the listing, notes
        blob = read_manifest(store, digests[0]).files["rows/part-00123.bin"]
        store.delete(blob.key)
        assert len(damage(store, digests[0], 0.0, Sizes(store))) == 1


def test_a_blob_written_after_the_listing_is_no_damage(any_store: ObjectStore):
    sizes = Sizes(any_store)
    digest = artifact(any_store)
    blob = weights(any_store, digest)
    any_store.delete(blob.key)
    assert len(damage(any_store, digest, 0.0, sizes)) == 1
    any_store.put(blob.key, FILES["weights.bin"])
    assert damage(any_store, digest, 0.0, sizes) == ()


MEASURE = """
import sys
from pathlib import Path
from storage.measuring import measured
print(*(measured(Path(name))[1] for name in sys.argv[1:]))
"""


def hide_behind(path: Path, content: bytes) -> None:
    """Change what the memory is asked about, not the file: tells whether a digest was remembered or computed."""
    with sqlite3.connect(path) as table:
        table.execute("UPDATE digests SET digest = ?", (content.decode(),))


def test_a_settled_file_is_hashed_once_for_all_processes_and_losing_the_memory_costs_only_time(
    folder: ObjectStore, tmp_path: Path
):
    file, memory = tmp_path / "file", tmp_path / "root" / "digests.sqlite"
    file.write_bytes(b"content")
    settle(file)
    size, digest = measured(file) or (0, "")
    assert size == 7
    hide_behind(memory, b"remembered")
    assert measure(file) == ["remembered"]
    assert (measured(file, anew=True) or (0, ""))[1] == digest
    memory.unlink()
    assert measure(file) == [digest]
    memory.write_bytes(b"no table at all")
    assert measure(file) == [digest]
    assert measure(file) == [digest]


def test_a_file_that_changed_a_moment_ago_is_not_remembered(folder: ObjectStore, tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    first = measured(file)
    file.write_bytes(b"CONTENT")
    assert measured(file) != first


def test_eight_processes_remember_at_once_and_all_are_right(folder: ObjectStore, tmp_path: Path):
    files = [tmp_path / f"file-{n}" for n in range(200)]
    for n, file in enumerate(files):
        file.write_bytes(b"%d" % n)
    settle(files[-1])
    command = [sys.executable, "-c", MEASURE, *map(str, files)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = [racer.communicate(timeout=120)[0].split() for racer in racers]
    wanted = [(measured(file, anew=True) or (0, ""))[1] for file in files]
    assert answers == [wanted] * 8
    assert measure(*files) == wanted


def measure(*files: Path) -> list[str]:
    """Their digests as a process of its own finds them."""
    command = [sys.executable, "-c", MEASURE, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def settle(file: Path) -> None:
    """Wait until the file's ctime is long enough ago to be trusted."""
    while time.time() - file.stat().st_ctime < 2.1:
        time.sleep(0.1)
