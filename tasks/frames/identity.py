"""What the sources are, by content: a SHA-256 for each file, so that a changed byte is a changed input wherever the file lies.

Hashing is memoised by what the file system says of a file (size, times, inode; on an object store ETag, size and time): a file
that looks the same as last time is not read again. Where it says a size and no more, as some HTTP servers do, the file is read
each time.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from storage.errors import SchemaError
from storage.metering import carried
from storage.root import data_root, scratch_folder
from tasks.frames.databases import SCHEME, version_of
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem
from tasks.frames.sources import File, labels_beside, locate
from tasks.frames.streams import Entry, opened
from tasks.sections import DataSection, TransformsSection

CHUNK_BYTES = 4 << 20
READERS = 16  # files hashed at once, as object stores answer slowly
VERSIONS = ("ETag", "etag", "md5", "checksum", "version")
TIMES = ("mtime", "created", "LastModified", "Last-Modified", "last_modified", "updated")
TOLD_IN_LISTINGS = ("s3", "s3a")  # stores whose listing says of a file what a request for it would
HTTP_TIME_SECONDS = 2  # HTTP dates are whole seconds: a file may change twice within one (RFC 9110 §8.8.2.2)
TICK_NANOSECONDS = (
    20_000_000  # by so much the clock of a file system moves at once, at most: two changes within one look the same
)
Memo = dict[str, tuple[str, str]]
"""By the hash of a file's URL, which may hold a password: a mark made of what was told of the file, and its digest."""

Found = tuple[str, str, str, int]
"""A file's place in the memo (empty: it is not to be kept), its mark, its digest, and its size."""


def source_identity(section: DataSection) -> dict[str, Any]:
    """The files of each source in order, as `[name, SHA-256]`; a set of scikit-learn's counts by its version."""
    return as_identity(identified(section))


def tokenizer_identity(section: TransformsSection) -> str:
    """The SHA-256 of the file of `transforms.tokenizer`; empty where none is named."""
    if not section.tokenizer:
        return ""
    with reading(section.tokenizer):
        fs, path = filesystem(section.tokenizer)
    return contents([File(section.tokenizer, fs.unstrip_protocol(path))])[0][0]


def as_identity(located: Sequence[Sequence[File]]) -> dict[str, Any]:
    """What `source_identity` says of files that were identified before."""
    return {"sources": [[[file.name, file.digest] for file in files] for files in located]}


def identified(section: DataSection) -> list[list[File]]:
    """The files of each source in order, each with its digest."""
    return with_contents([locate(section, source) for source in section.sources])


def with_contents(located: Sequence[Sequence[File]]) -> list[list[File]]:
    """The same files, each with its digest and size."""
    found = iter(contents([file for files in located for file in files]))
    return [[_with(file, *next(found)) for file in files] for files in located]


def contents(files: Sequence[File]) -> list[tuple[str, int]]:
    """Digest and size (0 where it is not told) of each file's content. Losing the memo costs a hash, never a wrong answer."""
    path = data_root() / "identities.json"
    memo = _load(path)
    with ThreadPoolExecutor(READERS) as readers:
        found = list(
            readers.map(carried(lambda file: _digest(file, memo)), files) if _slow(files) else _each(files, memo)
        )
    _save(path, {key: (mark, digest) for key, mark, digest, _ in found if key})
    return [(digest, size) for _, _, digest, size in found]


def _with(file: File, digest: str, size: int) -> File:
    return replace(file, digest=digest, size=size)


def told_size(file: File) -> int:
    """Bytes of the file, as the file system says; 0 where it does not."""
    return 0 if file.url.startswith("sklearn:") else int((file.told or _told(file)).get("size") or 0)


def check_unchanged(entries: Iterable[Entry]) -> None:
    """SchemaError where a file is not what it was when it was identified: nothing that was read of it may be kept."""
    wanted: dict[str, tuple[str, Entry]] = {}
    for entry in entries:
        urls = [entry.url, *_labels(entry)]
        wanted |= {url: (digest, entry) for url, digest in zip(urls, entry.digest.split("+"), strict=False) if digest}
    found = contents([File(entry.name, url) for url, (_, entry) in wanted.items()])
    for (digest, _), (then, entry) in zip(found, wanted.values(), strict=True):
        if digest != then:
            raise SchemaError(f"{entry.name}: was changed while it was read; its rows are not kept, run again")


def _labels(entry: Entry) -> list[str]:
    """The labels file beside IDX images, whose digest comes second in the entry's."""
    if "+" not in entry.digest:
        return []
    fs, path = filesystem(entry.url)
    return [fs.unstrip_protocol(labels_beside(fs, path))]


def _each(files: Iterable[File], memo: Memo) -> Iterator[Found]:
    return (_digest(file, memo) for file in files)


def _slow(files: Iterable[File]) -> bool:
    return not all(file.url.startswith(("file://", "sklearn:")) for file in files)


def _digest(file: File, memo: Memo) -> Found:
    if file.url.startswith("sklearn:"):
        return "", "", f"scikit-learn {version('scikit-learn')}", 0
    told = _told(file)
    size = int(told.get("size") or 0)
    if not _tells_change(told):
        return "", "", _hash(file.url), size
    marked = {name: _plain(told[name]) for name in ("size", "ino", *TIMES, *VERSIONS) if told.get(name)}
    key, mark = (hashlib.sha256(json.dumps(part).encode()).hexdigest() for part in (file.url, marked))
    known = memo.get(key)
    return key, mark, known[1] if known and known[0] == mark else _hash(file.url), size


def _told(file: File) -> Mapping[str, Any]:
    """What the file system says of the file that is read: of a link, what it points to."""
    if file.url.startswith(SCHEME):
        return file.told or version_of(file.url)
    with reading(file.url):
        if file.url.startswith("file://") and "::" not in file.url:
            status = os.stat(file.url.removeprefix("file://"))
            since = time.time_ns() - status.st_ctime_ns
            if 0 <= since < TICK_NANOSECONDS:
                time.sleep((TICK_NANOSECONDS - since) / 1e9)
            times = {"mtime": status.st_mtime_ns, "created": status.st_ctime_ns}
            return {"size": status.st_size, "ino": status.st_ino, **times}
        if file.told and file.url.startswith(tuple(f"{name}://" for name in TOLD_IN_LISTINGS)):
            return file.told
        fs, path = filesystem(file.url)
        return fs.info(path)


def _plain(value: Any) -> str:
    """A listing gives times more exactly than the answer about one object does."""
    return str(value.replace(microsecond=0)) if isinstance(value, datetime) else str(value)


def _tells_change(told: Mapping[str, Any]) -> bool:
    """Whether a change of the file would show in what was told."""
    if any(told.get(name) for name in VERSIONS):
        return True
    if "Last-Modified" in told:
        try:
            return time.time() - parsedate_to_datetime(told["Last-Modified"]).timestamp() > HTTP_TIME_SECONDS
        except ValueError:
            return False
    return any(told.get(name) for name in TIMES)


def _hash(url: str) -> str:
    digest = hashlib.sha256()
    with reading(url), opened(url) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _load(path: Path) -> Memo:
    try:
        status = path.stat()
        return _parsed(path, status.st_ino, status.st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=1)
def _parsed(path: Path, _inode: int, _time: int) -> Memo:
    try:
        return {key: (str(mark), str(digest)) for key, (mark, digest) in json.loads(path.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _save(path: Path, found: Memo) -> None:
    known = _load(path)
    if found.items() <= known.items():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder("memo") as folder:
        partial = folder / "identities.json"
        partial.write_text(json.dumps({**known, **found}))
        partial.replace(path)
