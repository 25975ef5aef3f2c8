"""Texts in other encodings than UTF-8: what is read from a file is turned into UTF-8 before anything looks at it."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storage.errors import Unreadable
from tasks.frames.streams import Entry, open_entry

CHUNK_BYTES = 1 << 20
GUESSED_BYTES = 1 << 16
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
REFUSE = "millrace-refuse"
UTF8 = {"utf-8", "utf-8-sig", "ascii"}

codecs.register_error(REFUSE, lambda error: ("\udcff", error.end))  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def open_text(entry: Entry, encoding: str) -> Iterator[Any]:
    """The decompressed bytes of `entry` in UTF-8; what is no text in `encoding` becomes a byte that no UTF-8 has.

    auto: UTF-16 where a byte order mark says so, else the bytes as they are.
    """
    with open_entry(entry) as stream:
        if encoding == "auto":
            stream, encoding = _looked_at(stream)
        yield stream if encoding in UTF8 else io.BufferedReader(_Recoded(stream, encoding, entry.name), CHUNK_BYTES)


def guess_encoding(entry: Entry) -> str:
    """auto where the beginning of `entry` is UTF-8 or has a byte order mark; else what it can be: Chinese, or Western European."""
    with open_entry(entry) as stream:
        head = stream.read(GUESSED_BYTES)
    if not head or head[:2] in MARKS or _fits(head, "utf-8"):
        return "auto"
    chinese = _fits(head, "gb18030")
    han = sum("\u4e00" <= char <= "\u9fff" for char in chinese)
    others = sum(char > "\x7f" for char in chinese)
    return "gb18030" if chinese and han > others / 2 else "cp1252"


def _fits(head: bytes, encoding: str) -> str:
    """`head` as text, but for a character that it may end in the middle of; empty where it is none."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeError:
        return ""


def decode_text(content: bytes, encoding: str) -> str | None:
    """`content` as text without its byte order mark, or None where it is not in `encoding` or holds a NUL."""
    if encoding == "auto":
        encoding = MARKS.get(content[:2], "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeError:
        return None
    return None if "\0" in text else text.removeprefix("\ufeff")


def as_utf8(content: bytes, encoding: str) -> bytes:
    """`content` in UTF-8; as it is, where it is no text in `encoding`. A byte order mark of UTF-8 stays, as in `open_text`."""
    marked = MARKS.get(content[:2], "utf-8") if encoding == "auto" else encoding
    text = None if marked in UTF8 else decode_text(content, marked)
    return content if text is None else text.encode()


def not_text(encoding: str) -> str:
    """What is wrong with a text that could not be decoded, and what to do."""
    name = "UTF-8" if encoding == "auto" else encoding
    return f"not {name} text; name its encoding in data.encoding (gb18030 for Chinese, cp1252 for Western Europe), or convert it"


def _looked_at(stream: Any) -> tuple[Any, str]:
    """The stream from its start, and its encoding by its byte order mark."""
    if stream.seekable():
        head = stream.read(2)
        stream.seek(0)
    else:
        stream = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
        head = stream.peek(2)[:2]
    return stream, MARKS.get(head, "utf-8")


class _Recoded(io.RawIOBase):
    """Bytes in UTF-8 of a stream in another encoding; it can be read forwards and no other way."""

    def __init__(self, stream: Any, encoding: str, name: str) -> None:
        self._encoding, self._name = encoding, name
        self._stream, self._held, self._ended, self._mark = stream, b"", False, "\ufeff"
        self._decoder = codecs.getincrementaldecoder(encoding)(REFUSE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held and not self._ended:
            chunk = self._stream.read(CHUNK_BYTES)
            self._ended = not chunk
            text = self._decoded(chunk)
            self._held = text.removeprefix(self._mark).encode("utf-8", "surrogateescape")
            self._mark = "" if text else self._mark
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count

    def _decoded(self, chunk: bytes) -> str:
        try:
            return self._decoder.decode(chunk, final=self._ended)
        except UnicodeError:  # no row's fault, else it were handled by REFUSE: as UTF-16 without its byte order mark
            raise Unreadable(f"{self._name}: {not_text(self._encoding)}") from None
