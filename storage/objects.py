"""The object store behind everything: named bytes on local disk or in a cloud, written atomically.

Values are never changed in place. A commit is `put_if_absent`: of several writers one wins, and the others are told.
Stores that do not keep this promise are refused when they are opened.
"""

import builtins
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import AzureStore, GCSStore, S3Store

from storage.clouds import settings_mark
from storage.engines import Engine, Location, build_engine, locate
from storage.errors import ConfigError, NotFound
from storage.faults import insisted, translated
from storage.metering import charge
from storage.probing import probe

_KEY = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
_CHUNK_BYTES = 8 << 20
_DELETED_AT_ONCE = 1000  # what one request to S3 may name


@dataclass(frozen=True)
class Listed:
    """One object as a listing tells of it. `size`: in bytes; `written`: seconds since the epoch by the store's own clock;
    `etag`: changes with the content, and says nothing more.
    """

    key: str
    size: int
    written: float
    etag: str


class ObjectStore:
    """One store. All methods raise `StorageUnavailable` (retry), `ConfigError` (credentials, permissions, names)."""

    def __init__(self, location: Location, engine: Engine) -> None:
        self.url = location.url
        self._folder = location.folder
        self._opened_engine = engine

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object whole or not at all; what was there is replaced. On local disk it has reached the disk. Its ETag."""
        answer = insisted(self.url, _checked(key), lambda: obstore.put(self._engine, key, data))
        charge({"bytes_out": len(data) if isinstance(data, bytes) else data.stat().st_size})
        self._settle(key)
        return answer["e_tag"] or ""

    def put_if_absent(self, key: str, data: bytes, lasting: bool = True) -> bool:
        """Create an object; False if there is one with other content. Identical content is our own earlier try: True.

        `lasting`: on local disk it has reached the disk; not for what means nothing after a crash of the machine.
        """
        try:
            create = partial(obstore.put, mode="create", use_multipart=False)
            insisted(self.url, _checked(key), lambda: create(self._engine, key, data))
        except AlreadyExistsError:
            with suppress(NotFound):  # somebody else's, gone again
                return self.get(key) == data
            return False
        charge({"bytes_out": len(data)})
        if lasting:
            self._settle(key)
        return True

    def get(self, key: str) -> bytes:
        """An object's content; `NotFound`."""
        content = insisted(self.url, _checked(key), lambda: obstore.get(self._engine, key).bytes().to_bytes())
        charge({"bytes_in": len(content)})
        return content

    def part(self, key: str, start: int, length: int) -> bytes:
        """So many bytes of an object's content from the `start` on, which must lie in it; `NotFound`."""

        def ask() -> bytes:
            content = obstore.get_range(self._engine, key, start=start, length=length).to_bytes()
            if len(content) != length:
                raise OSError(f"{len(content)} bytes of {length}")  # an answer that broke off
            return content

        content = insisted(self.url, _checked(key), ask)
        charge({"bytes_in": len(content)})
        return content

    def chunks(self, key: str) -> Iterator[bytes]:
        """An object's content piece by piece, for what should not be held in memory; `NotFound`."""
        with translated(self.url, _checked(key)):
            for chunk in obstore.get(self._engine, key).stream(min_chunk_size=_CHUNK_BYTES):
                charge({"bytes_in": len(chunk)})
                yield bytes(chunk)

    def size(self, key: str) -> int | None:
        """An object's size in bytes; None if there is none."""
        found = self.head(key)
        return found.size if found else None

    def head(self, key: str) -> Listed | None:
        """What a listing would tell of an object; None if there is none."""
        try:
            return insisted(self.url, _checked(key), lambda: _listed(obstore.head(self._engine, key)))
        except NotFound:
            return None

    def signed_url(self, key: str, method: Literal["GET", "HEAD"], seconds: int) -> str:
        """A URL with which anybody may ask for an object for so long; empty where the store is a folder or in memory."""
        if not isinstance(self._engine, S3Store | GCSStore | AzureStore):
            return ""
        with translated(self.url, _checked(key)):
            return obstore.sign(self._engine, method, key, timedelta(seconds=seconds))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys below the folder `prefix` (empty: all) with their sizes in bytes, sorted by key."""
        yield from ((item.key, item.size) for item in self.survey(prefix))

    def survey(self, prefix: str) -> builtins.list[Listed]:
        """All that a listing tells of the objects below the folder `prefix` (empty: all), sorted by key."""
        folder = prefix.rstrip("/")
        named = _checked(folder) if folder else "the listing"
        return insisted(self.url, named, lambda: self._surveyed(folder))

    def _surveyed(self, folder: str) -> builtins.list[Listed]:
        pages = obstore.list(self._engine, folder or None)
        return sorted((_listed(item) for page in pages for item in page), key=lambda item: item.key)

    def delete(self, key: str) -> None:
        """Remove an object; no error if there is none."""
        try:
            insisted(self.url, _checked(key), lambda: obstore.delete(self._engine, key))
        except NotFound:
            return

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, in a cloud a thousand with each request; no error for those that are not there."""
        if self._folder:
            for key in keys:
                self.delete(key)
            return
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = [_checked(key) for key in keys[start : start + _DELETED_AT_ONCE]]
            try:
                insisted(self.url, some[0], lambda some=some: obstore.delete(self._engine, some))
            except NotFound:  # some servers say so
                for key in some:
                    self.delete(key)

    def remove_empty(self, folder: str) -> None:
        """Remove a folder that holds nothing any more, where the store is one on this machine; who writes there makes it again."""
        if path := self.local_path(folder):
            with suppress(OSError):
                path.rmdir()

    def local_path(self, key: str) -> Path | None:
        """The file that holds an object, where the store is a folder on this machine (the file need not exist)."""
        return self._folder / _checked(key) if self._folder else None

    @property
    def _engine(self) -> Engine:
        _refuse_after_fork(self.url)
        return self._opened_engine

    def _settle(self, key: str) -> None:
        """Have a local file and its name reach the disk, so that what is written later never outlives it.

        Somebody may have deleted it already, as who collects garbage: then there is nothing to keep.
        """
        if self._folder is None:
            return
        path = self._folder / key
        with translated(self.url, key), suppress(FileNotFoundError):
            for target in (path, path.parent):
                descriptor = os.open(target, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


def _listed(told: Any) -> Listed:
    return Listed(told["path"], told["size"], told["last_modified"].timestamp(), told["e_tag"] or "")


_opened: dict[tuple[str, int], ObjectStore] = {}
_lock = threading.Lock()
_process: int | None = None  # the one that opened a store first


def open_store(url: str) -> ObjectStore:
    """The store at `url`: a folder, `file://…`, `s3://…`, `gs://…`, `az://…`, or `memory://name` (within one process).

    Opened once per process, URL and object store settings; then `put_if_absent` is tried out. `ConfigError` for a
    URL, credentials or a store that cannot be used; `NotFound` for a missing bucket.
    """
    global _process
    location = locate(url)
    _refuse_after_fork(location.url)
    mark = (location.url, settings_mark() if location.bucket else 0)
    with _lock:
        if mark not in _opened:
            _process = os.getpid()
            store = ObjectStore(location, build_engine(location))
            probe(store)
            _opened[mark] = store
        return _opened[mark]


def unproved_store(url: str) -> ObjectStore:
    """The store at `url` as it is, for finding out what it can do; never for work."""
    location = locate(url)
    return ObjectStore(location, build_engine(location))


def _refuse_after_fork(url: str) -> None:
    """obstore's threads do not survive a fork: any call in the child would wait for ever."""
    if _process not in (None, os.getpid()):
        raise ConfigError(
            f"store {url}: process {os.getpid()} was forked from {_process}, which had opened a store; "
            "start processes with the method spawn or forkserver"
        )


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key) > 512:
        raise ConfigError(
            f"object key {key!r}: wanted letters, digits, '.', '_', '=' and '-' between slashes, no '..', at most 512 characters"
        )
    return key
