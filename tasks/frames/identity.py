"""What the sources are, by content: a SHA-256 for each file, so that a changed byte is a changed input wherever the file lies.

Hashing is memoised by what the file system says of a file (path, size, times, inode; on an object store version or ETag, size and
time): a file that looks the same as last time is not read again. Where it says a size and no more, as some HTTP servers do, the
file is read each time.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from storage.root import data_root, scratch_folder
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem
from tasks.frames.sources import locate
from tasks.frames.streams import opened
from tasks.sections import DataSection

CHUNK_BYTES = 4 << 20
VERSIONS = ("ETag", "etag", "VersionId", "md5", "checksum")
TIMES = ("mtime", "created", "LastModified", "Last-Modified", "last_modified", "updated")
HTTP_TIME_SECONDS = 2  # HTTP dates are whole seconds: a file may change twice within one (RFC 9110 §8.8.2.2)


def source_identity(section: DataSection) -> dict[str, Any]:
    """The files of each source in order, as `[name, SHA-256]`; a set of scikit-learn's counts by its version."""
    memo = _Memo(data_root() / "identities.json")
    identity = [[[name, memo.digest(url)] for name, url in locate(section, source)] for source in section.sources]
    memo.save()
    return {"sources": identity}


class _Memo:
    """Digests by what the file system says of a file. Losing the memo costs a hash, never a wrong answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old: dict[str, str] = self._load()
        self._new: dict[str, str] = {}

    def digest(self, url: str) -> str:
        if url.startswith("sklearn:"):
            return f"scikit-learn {version('scikit-learn')}"
        with reading(url):
            fs, path = filesystem(url)
            info = fs.info(path)
        if not _tells_change(info):
            return _hash(url)
        told = {name: str(info[name]) for name in ("size", "ino", *TIMES, *VERSIONS) if info.get(name)}
        mark = hashlib.sha256(json.dumps([url, told]).encode()).hexdigest()  # a URL may hold a password
        self._new[mark] = self._old.get(mark) or _hash(url)
        return self._new[mark]

    def save(self) -> None:
        if self._new.items() <= self._old.items():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder("memo") as folder:
            partial = folder / "identities.json"
            partial.write_text(json.dumps({**self._old, **self._new}))
            partial.replace(self._path)

    def _load(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, ValueError):
            return {}


def _tells_change(info: Mapping[str, Any]) -> bool:
    """Whether a change of the file would show in `info`."""
    if any(info.get(name) for name in VERSIONS):
        return True
    if "Last-Modified" in info:
        try:
            return time.time() - parsedate_to_datetime(info["Last-Modified"]).timestamp() > HTTP_TIME_SECONDS
        except ValueError:
            return False
    return any(info.get(name) for name in TIMES)


def _hash(url: str) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(url):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(url: str) -> Iterator[bytes]:
    with reading(url), opened(url) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
