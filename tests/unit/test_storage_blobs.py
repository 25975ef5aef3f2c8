"""Blobs: named by their content, verified whenever they are read, repaired when they are stored again."""

import hashlib
import os
from pathlib import Path

import pytest

from storage.blobs import Blob, describe_blob, fetch_blob, put_blob, read_blob
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.objects import ObjectStore, open_store

CONTENT = b"forty-two bytes, more or less, of content"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def file_of(store: ObjectStore, blob: Blob) -> Path:
    path = store.local_path(blob.key)
    assert path
    return path


def test_a_blob_bears_its_sha256_and_keeps_its_suffix(store: ObjectStore):
    blob = put_blob(store, CONTENT, ".parquet")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert blob == Blob(digest, len(CONTENT), ".parquet")
    assert blob.key == f"blobs/{digest[:2]}/{digest}.parquet"
    assert read_blob(store, blob) == CONTENT
    assert fetch_blob(store, blob) == file_of(store, blob)


def test_a_file_and_its_bytes_are_the_same_blob(store: ObjectStore, tmp_path: Path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert put_blob(store, tmp_path / "file", ".bin") == put_blob(store, CONTENT, ".bin")
    assert describe_blob(tmp_path / "file", ".bin") == describe_blob(CONTENT, ".bin")


def test_a_whole_blob_is_not_written_again(store: ObjectStore):
    before = file_of(store, put_blob(store, CONTENT, "")).stat()
    after = file_of(store, put_blob(store, CONTENT, "")).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_truncated_blob_is_refused_with_sizes_and_what_to_do(store: ObjectStore):
    blob = put_blob(store, CONTENT, ".bin")
    os.truncate(file_of(store, blob), 7)
    for read in (read_blob, fetch_blob):
        with pytest.raises(CorruptArtifact, match=rf"{blob.key}.*found 7 bytes, expected {blob.size}; run again"):
            read(store, blob)


def test_a_flipped_byte_is_refused_even_after_the_file_was_found_good(store: ObjectStore):
    blob = put_blob(store, CONTENT, ".bin")
    path, status = fetch_blob(store, blob), file_of(store, blob).stat()
    path.write_bytes(b"F" + CONTENT[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # hidden as well as can be
    for read in (read_blob, fetch_blob):
        with pytest.raises(CorruptArtifact, match=f"expected {blob.digest}"):
            read(store, blob)


def test_storing_it_again_repairs_a_truncated_blob(store: ObjectStore):
    blob = put_blob(store, CONTENT, ".bin")
    os.truncate(file_of(store, blob), 7)
    assert put_blob(store, CONTENT, ".bin") == blob
    assert read_blob(store, blob) == CONTENT


def test_a_blob_that_is_gone_is_named(store: ObjectStore):
    blob = put_blob(store, CONTENT, ".bin")
    store.delete(blob.key)
    for read in (read_blob, fetch_blob):
        with pytest.raises(NotFound, match=blob.key):
            read(store, blob)


@pytest.mark.parametrize(("digest", "suffix"), [("xyz", ""), ("A" * 64, ""), ("a" * 64, "/../x"), ("a" * 64, "bin")])
def test_a_name_that_is_no_digest_or_suffix_is_refused(digest: str, suffix: str):
    with pytest.raises(ConfigError, match="wanted"):
        Blob(digest, 1, suffix)
