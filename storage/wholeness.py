"""Is what a hit stands for still there, and still what it was? Sizes always; content as often as it is cheap or asked for.

A folder on this machine: every file's SHA-256 counts, remembered as long as the file system says that nothing changed. In a cloud a listing
tells sizes and ETags: read again are a random share of the blobs, those whose ETag is another than when this machine last saw them
whole, and those that somebody noted as damaged.
"""

import hashlib
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property

from storage.blobs import Blob, damage_key
from storage.encryption import opened
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.manifests import manifest_key, read_manifest
from storage.measuring import saw_whole, whole_etag
from storage.objects import Listed, ObjectStore
from storage.sealed_blobs import UNREADABLE, fits, measured_blob

_PARALLEL = 16
_LISTING_PAYS = 256  # from so many blobs on, one listing costs less than a request for each


class Sizes:
    """What listings of one store told, kept for one plan or one step: it lists its blobs once at most."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._asked: dict[str, Listed | None] = {}

    def look(self, blobs: Sequence[Blob]) -> dict[str, Listed | None]:
        """What the store tells of each blob, by key; None where there is none."""
        unknown = [blob for blob in blobs if self._asked.get(blob.key) is None]
        if len(unknown) >= _LISTING_PAYS and "_listed" not in vars(self):
            self._asked |= self._listed
            unknown = [blob for blob in unknown if self._asked.get(blob.key) is None]
        if unknown:
            keys = sorted({blob.key for blob in unknown})
            with ThreadPoolExecutor(_PARALLEL) as pool:
                self._asked |= zip(keys, pool.map(self._store.head, keys), strict=True)
        return {blob.key: self._asked.get(blob.key) for blob in blobs}

    @cached_property
    def _listed(self) -> dict[str, Listed]:
        return {item.key: item for item in self._store.survey("blobs")}

    @cached_property
    def noted(self) -> frozenset[str]:
        """The keys of the notes that say which blobs were found damaged."""
        return frozenset(item.key for item in self._store.survey("damaged"))


def damage(store: ObjectStore, digest: str, share: float, sizes: Sizes | None = None) -> tuple[str, ...]:
    """What is wrong, in words, with the artifact of that manifest digest; empty if it is whole.

    `share`, 0 to 1: which part of the blobs is read anew whatever is remembered of them; 1 is `--verify`. `sizes`: for several
    artifacts of one store. Raises `StorageUnavailable`.
    """
    try:
        blobs = read_manifest(store, digest).files.values()
    except NotFound:
        return (f"manifest {manifest_key(digest)}: found none, wanted one",)
    except CorruptArtifact as error:
        return (str(error).partition(" in store ")[0] + ": found other content, wanted that of its name",)
    return tuple(damaged_blobs(store, blobs, share, sizes).values())


def damaged_blobs(
    store: ObjectStore, blobs: Iterable[Blob], share: float, sizes: Sizes | None = None
) -> dict[Blob, str]:
    """What is wrong with each of `blobs` that is not whole; `share` and `sizes` as in `damage`."""
    wanted = sorted(set(blobs), key=lambda blob: blob.key)
    anew = {blob.key for blob in wanted if random.random() < share}
    if store.local_path("blobs"):
        wrong = {blob: _locally(store, blob, blob.key in anew) for blob in wanted}
    else:
        wrong = _in_a_cloud(store, wanted, anew, sizes or Sizes(store))
    return {blob: said for blob, said in wrong.items() if said}


def _locally(store: ObjectStore, blob: Blob, anew: bool) -> str:
    path = store.local_path(blob.key)
    return _difference(blob, measured_blob(path, blob.size, anew) if path else None)


def _in_a_cloud(store: ObjectStore, blobs: Sequence[Blob], anew: set[str], sizes: Sizes) -> dict[Blob, str]:
    told = sizes.look(blobs)
    found = {blob: told[blob.key] for blob in blobs}
    wrong = {blob: _difference(blob, _told(blob, item)) for blob, item in found.items()}
    to_read = {
        blob: item
        for blob, item in found.items()
        if item and fits(blob.size, item.size) and (blob.key in anew or _doubtful(store, blob, item, sizes))
    }
    with ThreadPoolExecutor(_PARALLEL) as pool:
        read = pool.map(lambda blob: _read(store, blob, to_read[blob]), to_read)
        return {**wrong, **dict(zip(to_read, read, strict=True))}


def _told(blob: Blob, item: Listed | None) -> tuple[int, str] | None:
    """The blob's size and digest as far as a listing can tell: it knows no digest, and only the size that an encrypted form should have."""
    if item is None:
        return None
    return (blob.size if fits(blob.size, item.size) else item.size), blob.digest


def _doubtful(store: ObjectStore, blob: Blob, item: Listed, sizes: Sizes) -> bool:
    return damage_key(blob) in sizes.noted or whole_etag(f"{store.url}/{blob.key}") not in (None, item.etag)


def _read(store: ObjectStore, blob: Blob, item: Listed) -> str:
    """What is wrong with a blob's content. A note that it was damaged is removed where it is whole, and made where it is not."""
    digest, size = hashlib.sha256(), 0
    try:
        pieces = store.chunks(blob.key)
        for chunk in pieces if item.size == blob.size else opened(pieces, blob.key):
            digest.update(chunk)
            size += len(chunk)
        wrong = _difference(blob, (size, digest.hexdigest()))
    except NotFound:
        return _difference(blob, None)
    except CorruptArtifact:
        wrong = _difference(blob, (blob.size, UNREADABLE))
    with suppress(ConfigError):  # who may only read changes no notes
        if wrong:
            store.put(damage_key(blob), wrong.encode())
        else:
            saw_whole(f"{store.url}/{blob.key}", item.etag)
            store.delete(damage_key(blob))
    return wrong


def _difference(blob: Blob, found: tuple[int, str] | None) -> str:
    if found is None:
        return f"blob {blob.key}: found none, wanted one of {blob.size} bytes"
    size, digest = found
    if size != blob.size:
        return f"blob {blob.key}: found {size} bytes, wanted {blob.size}"
    return "" if digest == blob.digest else f"blob {blob.key}: found SHA-256 {digest}, wanted {blob.digest}"
