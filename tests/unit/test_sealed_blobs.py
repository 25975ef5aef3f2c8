"""Blobs in a store with a key: nothing of them can be read there, and everything else is as without."""

import base64
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT
from stores import any_store, moto_server

from storage.blobs import Blob, damage_key, fetch_blob, put_blob, read_blob
from storage.encryption import MAGIC, encrypted_size
from storage.errors import ConfigError, CorruptArtifact, MillraceError
from storage.fetching import BIG_BYTES
from storage.manifests import put_files
from storage.master_keys import KEY, OLD
from storage.objects import ObjectStore
from storage.shards import ShardResult, Shelf
from storage.signing import open_keyring
from storage.verification import verify_store
from storage.wholeness import damage, damaged_blobs

__all__ = ["any_store", "moto_server"]

ONE, TWO = (base64.b64encode(random.Random(seed).randbytes(32)).decode() for seed in (1, 2))
TEXT = b"weights that nobody else should see. " * 1000
BIG = random.Random(3).randbytes(BIG_BYTES + 12_345)
FETCH = """
import sys
from storage.blobs import Blob, fetch_blob
from storage.objects import open_store
print(fetch_blob(open_store(sys.argv[1]), Blob(sys.argv[2], int(sys.argv[3]), ".bin")))
"""


@pytest.fixture
def store(any_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv(KEY, ONE)
    return any_store


@pytest.fixture
def blob(store: ObjectStore) -> Blob:
    return put_blob(store, TEXT, ".bin")


def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)


@pytest.mark.parametrize("content", [b"", TEXT, BIG], ids=["empty", "small", "big"])
@pytest.mark.parametrize("from_file", [True, False], ids=["file", "bytes"])
def test_a_blob_comes_back_and_the_store_has_its_encrypted_form(
    store: ObjectStore, tmp_path: Path, content: bytes, from_file: bool
):
    (tmp_path / "made").write_bytes(content)
    blob = put_blob(store, tmp_path / "made" if from_file else content, ".bin")
    stored = store.get(blob.key)
    assert stored.startswith(MAGIC)
    assert len(stored) == encrypted_size(blob.size) == encrypted_size(len(content))
    assert read_blob(store, blob) == content
    path = fetch_blob(store, blob)
    assert path.read_bytes() == content
    assert fetch_blob(store, blob) == path
    assert damaged_blobs(store, [blob], share=1.0) == {}


def test_a_decrypted_file_is_its_owners_alone_and_ends_with_its_process(store: ObjectStore, blob: Blob, tmp_path: Path):
    command = [sys.executable, "-c", FETCH, store.url, blob.digest, str(blob.size)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    path = Path(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert path.is_relative_to(tmp_path / "root" / "work" / "tmp")
    assert not path.exists()
    here = fetch_blob(store, blob)
    folder = tmp_path / "root" / "work" / "tmp" / here.relative_to(tmp_path / "root" / "work" / "tmp").parts[0]
    assert folder.stat().st_mode & 0o777 == 0o700
    kept = [file.read_bytes() for file in (tmp_path / "root" / "cache").rglob("*") if file.is_file()]
    assert not any(TEXT[:30] in content for content in kept)


def test_without_the_key_or_with_another_it_is_said_what_to_set(
    store: ObjectStore, blob: Blob, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(KEY, TWO)
    acts = (lambda: read_blob(store, blob), lambda: fetch_blob(store, blob), lambda: damaged_blobs(store, [blob], 1.0))
    for act in acts:
        with pytest.raises(ConfigError, match=f"encrypted with the key .* set {KEY}"):
            act()
    no_key(monkeypatch)
    for act in acts:
        with pytest.raises(ConfigError, match=f"found here: none; set {KEY}"):
            act()


def test_an_earlier_key_reads_what_it_wrote(store: ObjectStore, blob: Blob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY, TWO)
    monkeypatch.setenv(OLD, ONE)
    assert read_blob(store, blob) == TEXT
    assert fetch_blob(store, blob).read_bytes() == TEXT


def test_what_was_stored_before_there_was_a_key_is_read_and_encrypted_when_it_is_stored_again(
    any_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    blob = put_blob(any_store, TEXT, ".bin")
    assert any_store.get(blob.key) == TEXT
    monkeypatch.setenv(KEY, ONE)
    assert read_blob(any_store, blob) == TEXT
    assert damaged_blobs(any_store, [blob], 1.0) == {}
    assert put_blob(any_store, TEXT, ".bin") == blob
    assert any_store.get(blob.key).startswith(MAGIC)


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("place", [0, 9, 20, 59, 70, -1])
def test_a_flipped_byte_is_found_by_all_who_look_and_storing_it_again_mends_it(
    store: ObjectStore, blob: Blob, place: int
):
    stored = store.get(blob.key)
    store.put(blob.key, flip(stored, place % len(stored)))
    for read in (read_blob, fetch_blob):
        with pytest.raises(CorruptArtifact, match=blob.key):
            read(store, blob)
    assert list(damaged_blobs(store, [blob], 1.0)) == [blob]
    assert blob.key in [problem.key for problem in verify_store(store, open_keyring(store.url)).problems]
    if store.local_path(blob.key) is None:
        assert store.head(damage_key(blob))
    put_blob(store, TEXT, ".bin")
    assert read_blob(store, blob) == TEXT
    assert damaged_blobs(store, [blob], 1.0) == {}


def test_a_cut_blob_is_found_by_its_size_also_by_a_machine_that_never_saw_it(
    store: ObjectStore, blob: Blob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store.put(blob.key, store.get(blob.key)[:-1])
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "another"))
    assert list(damaged_blobs(store, [blob], 0.0)) == [blob]


def test_one_blobs_encrypted_form_in_anothers_place_is_found(store: ObjectStore, blob: Blob):
    other = put_blob(store, TEXT[:-1] + b"!", ".bin")
    store.put(blob.key, store.get(other.key))
    with pytest.raises(CorruptArtifact, match=f"expected {blob.digest}"):
        read_blob(store, blob)
    assert list(damaged_blobs(store, [blob], 1.0)) == [blob]


def test_a_store_with_encrypted_artifacts_verifies(store: ObjectStore):
    digest = put_files(store, "model", {"model.onnx": TEXT, "big.bin": BIG}, {})
    assert damage(store, digest, share=1.0) == ()
    assert verify_store(store, open_keyring(store.url)).problems == []


def test_results_of_shards_are_encrypted_too_and_are_not_believed_missing_without_the_key(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    result = ShardResult({}, {"examples": ["a row with a name in it"]})
    loose, packed = Shelf(store, "a" * 64), Shelf(store, "b" * 64)
    loose.commit("1" * 64, result)
    packed.pack({"2" * 64: result})
    assert Shelf(store, "a" * 64).known() == {"1" * 64: result}
    assert Shelf(store, "a" * 64).find("1" * 64) == result
    assert Shelf(store, "b" * 64).known() == {"2" * 64: result}
    assert all(store.get(key).startswith(MAGIC) for key, _ in store.list("shards"))
    assert verify_store(store, open_keyring(store.url)).problems == []
    no_key(monkeypatch)
    for scope in ("a" * 64, "b" * 64):
        with pytest.raises(MillraceError, match=f"set {KEY}"):
            Shelf(store, scope).known()
    monkeypatch.setenv(KEY, ONE)
    for key, _ in list(store.list("shards")):
        store.put(key, flip(store.get(key), 70))
    assert Shelf(store, "a" * 64).known() == {}
    assert Shelf(store, "b" * 64).known() == {}
