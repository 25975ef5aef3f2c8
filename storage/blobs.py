"""Blobs: immutable bytes named by their SHA-256. Every read is verified; a damaged blob is never handed out.

`blobs/<first 2 digits>/<digest><suffix>`: the suffix stays, so that other tools can read a blob by its path.
"""

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.objects import ObjectStore
from storage.root import data_root, scratch_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"(\.[A-Za-z0-9_-]{1,16}){0,2}")
_REMEDY = "run again: the step that made it is recomputed"


@dataclass(frozen=True)
class Blob:
    """`digest`: SHA-256 as 64 hexadecimal digits; `size`: in bytes; `suffix`: like `.parquet`, or empty."""

    digest: str
    size: int
    suffix: str = ""

    def __post_init__(self) -> None:
        check_digest(self.digest)
        if not _SUFFIX.fullmatch(self.suffix):
            raise ConfigError(f"blob suffix {self.suffix!r}: wanted one or two like '.parquet', or none")

    @property
    def key(self) -> str:
        """Where the blob lies in its store."""
        return f"blobs/{self.digest[:2]}/{self.digest}{self.suffix}"


def check_digest(digest: str) -> str:
    """`digest` itself; `ConfigError` if it is no SHA-256 in hexadecimal."""
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(f"digest {digest!r}: wanted 64 hexadecimal digits in lower case")
    return digest


def describe_blob(data: bytes | Path, suffix: str) -> Blob:
    """What `data` would be called, without storing it."""
    if isinstance(data, bytes):
        return Blob(hashlib.sha256(data).hexdigest(), len(data), suffix)
    with data.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Blob(digest, file.tell(), suffix)


def put_blob(store: ObjectStore, data: bytes | Path, suffix: str) -> Blob:
    """Store `data`. A whole blob of that digest is left as it is; a damaged one is written again.

    Damaged is one of another size, and on this machine's disk one of another SHA-256.
    """
    blob = describe_blob(data, suffix)
    path = store.local_path(blob.key)
    whole = _measured(path) == (blob.size, blob.digest) if path else store.size(blob.key) == blob.size
    if not whole:
        store.put(blob.key, data)
    return blob


def read_blob(store: ObjectStore, blob: Blob) -> bytes:
    """The blob's bytes; `CorruptArtifact` if size or SHA-256 differ, `NotFound` if it is gone."""
    data = store.get(blob.key)
    _check(store, blob, len(data), hashlib.sha256(data).hexdigest())
    return data


def fetch_blob(store: ObjectStore, blob: Blob) -> Path:
    """A local file with the blob's verified bytes, not to be written to: the stored file itself, or one in the cache.

    Raises `CorruptArtifact` and `NotFound` like `read_blob`. A file is hashed again only when its inode, size or times change.
    """
    path = store.local_path(blob.key)
    if path is None:
        return _fetch_cached(store, blob)
    found = _measured(path)
    if found is None:
        raise NotFound(f"blob {blob.key} is not in store {store.url}; {_REMEDY}")
    _check(store, blob, *found)
    return path


def _fetch_cached(store: ObjectStore, blob: Blob) -> Path:
    path = data_root() / "cache" / blob.key
    if _measured(path) == (blob.size, blob.digest):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder("fetch") as folder, (folder / "blob").open("wb") as file:
        digest, size = hashlib.sha256(), 0
        for chunk in store.chunks(blob.key):
            digest.update(chunk)
            size += file.write(chunk)
        _check(store, blob, size, digest.hexdigest())
        file.flush()
        os.replace(file.name, path)
    return path


_hashed: dict[tuple[Path, int, int, int, int], str] = {}
_SETTLED_NANOSECONDS = 2_000_000_000  # a file changed again within one tick of the clock would look the same


def _measured(path: Path) -> tuple[int, str] | None:
    """Size in bytes and SHA-256 of a local file; None if there is none."""
    try:
        status = path.stat()
        mark = (path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = _hashed.get(mark) or describe_blob(path, "").digest
    except FileNotFoundError:
        return None
    if time.time_ns() - status.st_ctime_ns > _SETTLED_NANOSECONDS:
        _hashed[mark] = digest
    return status.st_size, digest


def _check(store: ObjectStore, blob: Blob, size: int, digest: str) -> None:
    if size != blob.size:
        raise CorruptArtifact(
            f"blob {blob.key} in store {store.url}: found {size} bytes, expected {blob.size}; {_REMEDY}"
        )
    if digest != blob.digest:
        raise CorruptArtifact(
            f"blob {blob.key} in store {store.url}: found SHA-256 {digest}, expected {blob.digest}; {_REMEDY}"
        )
