"""Opening what rows come from: any fsspec URL, decompressed by its suffix, and members of tar and zip archives."""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any

import fsspec.asyn
import fsspec.utils
import zstandard

from storage.errors import ConfigError, NotFound
from storage.root import work_folder
from tasks.frames.counting import counted
from tasks.frames.databases import SCHEME, opened_range
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem

DECOMPRESS: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda raw: io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)),
}
TAR = re.compile(r"\.(tar(\.(gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)
ZIP = re.compile(r"\.zip$", re.IGNORECASE)
SHORT_TAR = {".tgz": ".gz", ".tbz": ".bz2", ".tbz2": ".bz2", ".txz": ".xz", ".tzst": ".zst"}
IN_MEMORY_BYTES = 8 << 20  # a file from an HTTP server is held in memory up to this size, and on disk above it


@dataclass(frozen=True)
class Entry:
    """A file, or a member of an archive. `name` is its origin: the same on every machine; `digest`, `size`: of the file's content, where they are known."""

    url: str
    member: str
    name: str
    digest: str = ""
    size: int = 0


def is_archive(url: str) -> bool:
    """Whether the name says tar (of any compression) or zip."""
    return bool(TAR.search(url) or ZIP.search(url))


def plain_name(name: str) -> str:
    """`name` without a compression suffix, in lower case."""
    lower = name.lower()
    return next((lower.removesuffix(suffix) for suffix in DECOMPRESS if lower.endswith(suffix)), lower)


def is_plain(entry: Entry) -> bool:
    """Whether any part of its bytes can be read without those before."""
    packed = entry.member or plain_name(entry.url) != entry.url.lower() or is_archive(entry.url)
    return not packed and not entry.url.startswith(("http://", "https://"))


@contextmanager
def open_entry(entry: Entry) -> Iterator[Any]:
    """The decompressed bytes of `entry` as a stream that can at least be read forwards."""
    with reading(entry.name, entry.url):
        if entry.member:
            with _open_member(entry) as stream:
                yield decompressed(stream, entry.member)
        else:
            with opened(entry.url) as raw:
                yield decompressed(raw, entry.url)


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """The bytes of `url` as they lie there, as a stream that can seek."""
    with opened_range(url) if url.startswith(SCHEME) else _opened(url) as raw, counted(raw) as stream:
        yield stream


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    fs, path = filesystem(url)
    if not path.startswith(("http://", "https://")):
        with fs.open(path, "rb") as file:
            yield file
        return
    size = fs.info(path)["size"]
    if size and size > IN_MEMORY_BYTES and fsspec.asyn.sync(fs.loop, _gives_ranges, fs, path):
        with fs.open(path, "rb", size=size) as file:
            yield file
        return
    with SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(work_folder("scratch"))) as whole:
        fsspec.asyn.sync(fs.loop, partial(fs._get_file, path, whole, timeout=_patience()))
        whole.seek(0)
        yield whole


async def _gives_ranges(fs: Any, path: str) -> bool:
    """Whether the HTTP server gives a part of the file when it is asked for one; many give the whole."""
    session = await fs.set_session()
    headers = {**fs.kwargs.get("headers", {}), "Range": "bytes=0-0", "Accept-Encoding": "identity"}
    async with session.get(fs.encode_url(path), **{**fs.kwargs, "headers": headers}) as answer:
        return answer.status == 206


def _patience() -> Any:
    """No limit for the whole, which may be long, but one for silence (aiohttp's own limit is five minutes for the whole)."""
    from aiohttp import ClientTimeout

    return ClientTimeout(total=None, sock_connect=30, sock_read=60)


def list_members(url: str, pattern: str) -> Iterator[str]:
    """Names of the archive's files that match the glob `pattern` (empty: all that are not hidden), in its order, as they are found."""
    return (name for name, _ in _members(url, pattern, read=False))


def read_members(url: str, pattern: str, start: int, stop: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of the matching members number `start` to `stop` of `list_members`, in one pass over the archive."""
    for index, (name, content) in enumerate(_members(url, pattern, read=True)):
        if index >= stop:
            return
        if index >= start:
            yield name, content()


def decompressed(raw: Any, name: str) -> Any:
    """`raw` read through the decompressor that the suffix of `name` asks for."""
    lower = name.lower()
    opener = next((opener for suffix, opener in DECOMPRESS.items() if lower.endswith(suffix)), None)
    return opener(raw) if opener else raw


def skip(stream: Any, count: int) -> None:
    """Move `count` bytes forward from the start, by seeking where the stream can."""
    if count and stream.seekable():
        stream.seek(count)
        return
    while count > 0:
        block = stream.read(min(count, 1 << 20))
        if not block:
            raise EOFError("the file is shorter than when it was planned")
        count -= len(block)


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a member's name matches: `*` stays in one folder, `**` does not. Hidden and __MACOSX members match no empty pattern."""
    if not pattern:
        return lambda name: not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    try:
        regex = re.compile(fsspec.utils.glob_translate(pattern))
    except (ValueError, re.error) as error:
        raise ConfigError(f"data.sources.members: {pattern!r} is no glob: {error}; wanted one as '**/*.txt'") from None
    return lambda name: bool(regex.match(name))


def _members(url: str, pattern: str, *, read: bool) -> Iterator[tuple[str, Callable[[], bytes]]]:
    matches = glob_matcher(pattern)
    with reading(url.rsplit("/", 1)[-1], url), opened(url) as raw:
        if ZIP.search(url):
            with zipfile.ZipFile(raw) as archive:
                for info in archive.infolist():
                    if not info.is_dir() and matches(info.filename):
                        yield info.filename, lambda info=info: archive.read(info)
            return
        with tarfile.open(fileobj=_tar_stream(raw, url), mode="r|") as archive:
            for info in archive:
                name = info.name.removeprefix("./")
                if info.isfile() and matches(name):
                    yield name, lambda info=info: _tar_read(archive, info)
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]  # else every header stays in memory


def _tar_read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    member = archive.extractfile(info)
    return member.read() if member else b""


def _tar_stream(raw: Any, url: str) -> Any:
    lower = url.lower()
    short = next((suffix for ending, suffix in SHORT_TAR.items() if lower.endswith(ending)), "")
    return decompressed(raw, short or lower)


@contextmanager
def _open_member(entry: Entry) -> Iterator[Any]:
    with opened(entry.url) as raw:
        if ZIP.search(entry.url):
            with zipfile.ZipFile(raw) as archive, archive.open(entry.member) as stream:
                yield stream
            return
        with tarfile.open(fileobj=_tar_stream(raw, entry.url), mode="r|") as archive:
            for info in archive:
                if info.name.removeprefix("./") == entry.member and info.isfile():
                    yield io.BufferedReader(_Forwards(archive.extractfile(info)))
                    return
    raise NotFound(f"{entry.name}: no such member; check data.sources.members")


class _Forwards(io.RawIOBase):
    """A member of a tar stream: it can be read forwards and no other way, and says so."""

    def __init__(self, member: Any) -> None:
        self._member = member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._member.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
