"""WARC archives of web pages (ISO 28500; the library warcio): each HTML or plain text answer is a row with its text, URL and date.

The text is the page as it was sent; what makes plain text of HTML is a pass of its own. Other records (requests, images …) are no rows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from storage.errors import ConfigError, SchemaError
from tasks.frames.raw import Raw, Refusal, unprintable, with_origin
from tasks.frames.streams import Entry, open_entry
from tasks.frames.text_files import NAME
from tasks.sections import DataSection

URL, DATE = "url", "date"
KINDS = ("text/html", "application/xhtml+xml", "text/plain")
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
HEAD_BYTES = 2048  # of a page, in which it may name its encoding (HTML Living Standard §13.2.3.2: 1024)


def count_rows(_section: DataSection, entry: Entry) -> int:
    """Pages in the archive."""
    with _pages(entry) as pages:
        return sum(1 for _ in pages)


def read(section: DataSection, entry: Entry, start: int, stop: int) -> Raw:
    """Pages `start` to `stop`; one that is in none of the encodings that it may be in is refused."""
    rows: list[tuple[str, str | None, str | None]] = []
    numbers: list[int] = []
    refused: list[Refusal] = []
    with _pages(entry) as pages:
        for number, page in enumerate(pages, 1):
            if number > stop:
                break
            if number <= start:
                continue
            content = page.content_stream().read()
            text = _decoded(content, page.http_headers.get_header("Content-Type") or "")
            if text is None:
                reason = "the page is neither in the encoding that it names nor UTF-8, or holds a NUL"
                refused.append(Refusal(entry.name, number, "encoding", reason, unprintable(content)))
                continue
            headers = page.rec_headers
            rows.append((text, headers.get_header("WARC-Target-URI"), headers.get_header("WARC-Date")))
            numbers.append(number)
    texts, urls, dates = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {section.features[0] if section.features else NAME: texts, URL: urls, DATE: dates}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return Raw(with_origin(table, entry.name, numbers), refused)


@contextmanager
def _pages(entry: Entry) -> Iterator[Iterator[Any]]:
    """The records that are pages."""
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError as error:
        raise ConfigError(
            f"{entry.name}: reading it needs warcio, which is not here ({error}); pip install 'millrace[web]'"
        ) from error
    with open_entry(entry) as stream:
        try:
            yield (record for record in ArchiveIterator(stream) if _is_page(record))
        except ArchiveLoadFailed as error:
            raise SchemaError(f"{entry.name}: is no readable WARC file ({error}); fetch it again") from error


def _is_page(record: Any) -> bool:
    if record.rec_type != "response" or record.http_headers is None:
        return False
    kind = (record.http_headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
    return kind in KINDS


def _decoded(content: bytes, kind: str) -> str | None:
    """The page by the encoding that its answer names, else that it names itself, else UTF-8."""
    named = CHARSET.search(kind) or CHARSET.search(content[:HEAD_BYTES].decode("latin-1"))
    for encoding in (*([named.group(1)] if named else []), "utf-8"):
        try:
            text = content.decode(encoding)
        except (UnicodeError, LookupError):
            continue
        return None if "\0" in text else text.removeprefix("\ufeff")
    return None
