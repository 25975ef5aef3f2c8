"""Plain text files as documents, cut into passages: a passage is a row, and keeps every byte of its text.

A passage ends with a line, where a line ends within `data.passage_bytes`; else it is cut between two characters. Where it ends depends
on nothing before its start. All passages of a document bear the document's hash, by which its split is drawn. One that is no UTF-8 is
refused by itself.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from storage.objects import ObjectStore
from tasks.frames.encodings import as_utf8, not_text, open_text
from tasks.frames.kept_text import content_of
from tasks.frames.raw import DOCUMENT, FILE, ROW, Mark, Raw, Refusal, cut, decode
from tasks.frames.streams import Entry, read_members
from tasks.sections import DataSection

TEXT = "text"
Document = tuple[str, str, int, Iterable[bytes]]
"""Name, hash, number of its first passage (from 1), and its passages."""


class Survey:
    """The passages of a stream in marks of `data.shard_rows`, and when all are given the document's hash: `digest`."""

    def __init__(self, stream: Any, section: DataSection) -> None:
        self._passages, self._shard_rows = passages(stream, section.passage_bytes), section.shard_rows
        self._hash = hashlib.blake2b(digest_size=8)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Mark]:
        row = start = offset = end = 0
        for passage in self._passages:
            self._hash.update(passage)
            row, end = row + 1, end + len(passage)
            if row - start == self._shard_rows:
                yield Mark(start, row, offset, end - offset)
                start, offset = row, end
        if row > start:
            yield Mark(start, row, offset, end - offset)


def passages(stream: Any, limit: int) -> Iterator[bytes]:
    """The stream's bytes in passages of at most `limit`; memory holds one."""
    held = b""
    while True:
        while len(held) <= limit and (block := stream.read(limit + 1 - len(held))):
            held += block
        if len(held) <= limit:
            break
        end = _border(held, limit)
        yield held[:end]
        held = held[end:]
    if held:
        yield held


def read_files(section: DataSection, entries: Iterable[Entry]) -> Raw:
    """All passages of the files `entries`."""
    return _rows(section, (_document(section, entry.name, _content(section, entry)) for entry in entries))


def read_archive(section: DataSection, archive: Entry, pattern: str, first: int, count: int) -> Raw:
    """All passages of `count` members from number `first` on of those that match, in one pass over the archive."""
    members = read_members(archive.url, pattern, first, first + count)
    texts = ((f"{archive.name}::{member}", as_utf8(content, section.encoding)) for member, content in members)
    return _rows(section, (_document(section, name, content) for name, content in texts))


def read_part(section: DataSection, entry: Entry, part: Mark, document: str, store: ObjectStore | None = None) -> Raw:
    """The passages of `part` of one large file, whose hash is `document`."""
    content = io.BytesIO(content_of(section, entry, part, store))
    return _rows(section, [(entry.name, document, part.start + 1, passages(content, section.passage_bytes))])


def count_passages(content: bytes, section: DataSection) -> int:
    """How many passages a document has."""
    return sum(1 for _ in passages(io.BytesIO(as_utf8(content, section.encoding)), section.passage_bytes))


def _rows(section: DataSection, documents: Iterable[Document]) -> Raw:
    rows: list[tuple[str, str, str, int]] = []
    refused: list[Refusal] = []
    for name, document, first, found in documents:
        for number, passage in enumerate(found, first):
            text = decode(passage)
            if text is None:
                refused.append(
                    Refusal(name, number, "encoding", not_text(section.encoding), cut(passage.decode("latin-1")))
                )
            else:
                rows.append((text, document, name, number))
    texts, hashes, files, numbers = zip(*rows, strict=True) if rows else ((), (), (), ())
    columns = {section.features[0] if section.features else TEXT: texts, DOCUMENT: hashes, FILE: files}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return Raw(table.append_column(ROW, pa.array(numbers, pa.int64())), refused)


def _document(section: DataSection, name: str, content: bytes) -> Document:
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return name, digest, 1, passages(io.BytesIO(content), section.passage_bytes)


def _content(section: DataSection, entry: Entry) -> bytes:
    with open_text(entry, section.encoding) as stream:
        return stream.read()


def _border(held: bytes, limit: int) -> int:
    """Where a passage of at most `limit` bytes ends in `held`, which is longer."""
    line = held.rfind(b"\n", 0, limit) + 1
    if line:
        return line
    end = limit
    while end > limit - 4 and held[end] & 0xC0 == 0x80:  # within a character of UTF-8
        end -= 1
    return end
