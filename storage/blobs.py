"""Blobs: immutable bytes named by their SHA-256. Every read is verified; a damaged blob is never handed out.

`blobs/<first 2 digits>/<digest><suffix>`: the suffix stays, so that other tools can read a blob by its path.
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage.downloads import downloads_folder
from storage.encryption import enabled
from storage.errors import ConfigError, CorruptArtifact, MillraceError, NotFound
from storage.fetching import BIG_BYTES, fetch_in_parts
from storage.measuring import saw_whole
from storage.metering import charge
from storage.objects import ObjectStore
from storage.overwriting import overwrite
from storage.root import scratch_folder
from storage.sealed_blobs import UNREADABLE, decrypted_copy, fits, from_store, is_sealed, measured_blob, to_store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"(\.[A-Za-z0-9_-]{1,16}){0,2}")
FRESH_SECONDS = 600  # much less than the least age that a collection of garbage asks for
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
    """Store `data`. In a cloud it is always written: so it mends whatever was there. On this machine's disk a whole file is left as
    it is while it is young; an old one is written again, for a collection of garbage spares what is young.
    """
    blob = describe_blob(data, suffix)
    path = store.local_path(blob.key)
    if path is None or not _is_kept(path, blob):
        with to_store(data) as content:
            etag = overwrite(store, blob.key, content)
        if path is None:
            saw_whole(f"{store.url}/{blob.key}", etag)
    return blob


def _is_kept(path: Path, blob: Blob) -> bool:
    """Whether the file is whole, young, and encrypted where that is asked for."""
    if _is_old(path) or (enabled() and not is_sealed(path, blob.size)):
        return False
    return measured_blob(path, blob.size) == (blob.size, blob.digest)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > FRESH_SECONDS
    except FileNotFoundError:
        return True


def read_blob(store: ObjectStore, blob: Blob) -> bytes:
    """The blob's bytes; `CorruptArtifact` if size or SHA-256 differ, `NotFound` if it is gone."""
    data = store.get(blob.key)
    try:
        data = from_store(data, blob.size, f"blob {blob.key} in store {store.url}")
    except CorruptArtifact:
        _check(store, blob, blob.size, UNREADABLE)
    _check(store, blob, len(data), hashlib.sha256(data).hexdigest())
    return data


def fetch_blob(store: ObjectStore, blob: Blob) -> Path:
    """A local file with the blob's verified bytes, not to be written to: the stored file itself, one in the cache, or, of a blob that is
    encrypted, one that ends with this process.

    Raises `CorruptArtifact` and `NotFound` like `read_blob`. A file is hashed again only when its inode, size or times change.
    """
    path = store.local_path(blob.key)
    if path is None:
        path = _fetch_cached(store, blob)
    else:
        found = measured_blob(path, blob.size)
        if found is None:
            raise NotFound(f"blob {blob.key} is not in store {store.url}; {_REMEDY}")
        _check(store, blob, *found)
        charge({"bytes_in": blob.size})
    return decrypted_copy(path, blob.key) if is_sealed(path, blob.size) else path


def _fetch_cached(store: ObjectStore, blob: Blob) -> Path:
    path = downloads_folder() / blob.key
    if measured_blob(path, blob.size) == (blob.size, blob.digest):
        charge({"bytes_in": blob.size})
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if blob.size >= BIG_BYTES:
        return _fetch_big(store, blob, path)
    with scratch_folder("fetch") as folder, (folder / "blob").open("wb") as file:
        digest, size = hashlib.sha256(), 0
        for chunk in store.chunks(blob.key):
            digest.update(chunk)
            size += file.write(chunk)
        file.flush()
        sealed = is_sealed(Path(file.name), blob.size)
        found = measured_blob(Path(file.name), blob.size, anew=True) if sealed else (size, digest.hexdigest())
        _check(store, blob, *(found or (0, "")))
        os.replace(file.name, path)
    return path


def _fetch_big(store: ObjectStore, blob: Blob, path: Path) -> Path:
    size = store.size(blob.key)
    if size is None:
        raise NotFound(f"blob {blob.key} is not in store {store.url}; {_REMEDY}")
    if not fits(blob.size, size):
        _check(store, blob, size, "")
    look, wanted = partial(measured_blob, size=blob.size, anew=True), (blob.size, blob.digest)
    found = fetch_in_parts(store, blob.key, size, path, look, wanted)
    _check(store, blob, *(found or (0, "")))
    return path


def damage_key(blob: Blob) -> str:
    """Where it is noted that the blob was found damaged, in a cloud: there what is in an object is not looked at each time."""
    return f"damaged/{blob.digest}{blob.suffix}"


def _check(store: ObjectStore, blob: Blob, size: int, digest: str) -> None:
    if (size, digest) != (blob.size, blob.digest) and store.local_path(blob.key) is None:
        with suppress(MillraceError):  # who may only read leaves no note
            store.put(damage_key(blob), f"found {size} bytes, SHA-256 {digest}".encode())
    if size != blob.size:
        raise CorruptArtifact(
            f"blob {blob.key} in store {store.url}: found {size} bytes, expected {blob.size}; {_REMEDY}"
        )
    if digest != blob.digest:
        raise CorruptArtifact(
            f"blob {blob.key} in store {store.url}: found SHA-256 {digest}, expected {blob.digest}; {_REMEDY}"
        )
