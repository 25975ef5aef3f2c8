"""Which stored objects name which: the references that keep things alive, and that must not dangle.

Whatever 64 hexadecimal digits a run, record, manifest or pack holds name all objects that bear them: a manifest, a blob with any suffix, a step's
records. So nothing that is named is ever overlooked, wherever in an object its name stands.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import zstandard

from storage.blobs import Blob
from storage.encryption import decrypt_if_encrypted
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.objects import Listed, ObjectStore
from storage.snapshots import SUFFIX

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_PARALLEL = 16
_PACKED = ".zst"
_BLOB = {"digest", "size", "suffix"}


class Unreadable(Exception):
    """An object that should name others, and cannot be read: `key`, and `why`."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key, self.why = key, why


class Survey:
    """All objects of a store at one moment. `items`: by key; `bearing`: the keys that bear a digest."""

    def __init__(self, store: ObjectStore) -> None:
        self.items = {item.key: item for item in store.survey("")}
        self.bearing: dict[str, list[str]] = defaultdict(list)
        for key in self.items:
            if digest := bears(key):
                self.bearing[digest].append(key)

    def below(self, *folders: str) -> list[Listed]:
        """The objects of these top folders."""
        return [item for key, item in self.items.items() if key.partition("/")[0] in folders]


def bears(key: str) -> str:
    """The digest that an object is found by; empty where it has none."""
    folder, *rest = key.split("/")
    if folder == "steps":
        return rest[0]
    return rest[-1].partition(".")[0] if folder in ("blobs", "manifests") and rest else ""


def is_source(key: str) -> bool:
    """Whether it is a blob of a run's source."""
    return key.startswith("blobs/") and key.endswith(SUFFIX)


def blobs_in(value: Any) -> Iterator[Blob]:
    """The blobs that a JSON value names, however deep: as an object of digest, size and suffix, or a list of the three."""
    if isinstance(value, dict):
        if value.keys() == _BLOB and (blob := _blob(*(value[name] for name in ("digest", "size", "suffix")))):
            yield blob
            return
        value = list(value.values())
    if isinstance(value, list):
        if len(value) == len(_BLOB) and (blob := _blob(*value)):
            yield blob
            return
        for item in value:
            yield from blobs_in(item)


def _blob(digest: Any, size: Any, suffix: Any) -> Blob | None:
    if not isinstance(digest, str) or not isinstance(size, int) or not isinstance(suffix, str):
        return None
    with suppress(ConfigError):
        return Blob(digest, size, suffix)
    return None


def plain(key: str, content: bytes) -> bytes:
    """The content as it was before it was packed and encrypted; `ValueError` where that cannot be told, `ConfigError` without its key."""
    try:
        content = decrypt_if_encrypted(content, key)
    except CorruptArtifact as error:
        raise ValueError(str(error)) from error
    if not key.endswith(_PACKED):
        return content
    try:
        return zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


class Names:
    """What objects name. Each version of each object is read once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._read: dict[Listed, frozenset[str]] = {}

    def of(self, items: Iterable[Listed]) -> dict[Listed, frozenset[str]]:
        """The digests in each of the objects. Raises `Unreadable` for a run or manifest that is damaged; no other names anything then."""
        wanted = list(items)
        unknown = [item for item in wanted if item not in self._read]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            self._read |= zip(unknown, pool.map(self._named, unknown), strict=True)
        return {item: self._read[item] for item in wanted}

    def _named(self, item: Listed) -> frozenset[str]:
        try:
            content = self._content(item)
        except NotFound:  # it went away meanwhile
            return frozenset()
        return frozenset(digest.decode() for digest in _DIGEST.findall(content))

    def _content(self, item: Listed) -> bytes:
        content, folder = self._store.get(item.key), item.key.partition("/")[0]
        if folder == "manifests" and hashlib.sha256(content).hexdigest() != bears(item.key):
            raise Unreadable(item.key, "its content is not the one of its name; run the pipeline again")
        try:
            content = plain(item.key, content)
            json.loads(content)
        except ValueError as error:
            if folder == "runs":
                raise Unreadable(item.key, f"{error}; restore it from a backup, or delete it") from error
            return b""  # a record that cannot be read is believed by nobody
        return content
