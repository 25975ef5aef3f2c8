"""Text files in label folders: one file a row, the folder's name is the label."""

import posixpath
from collections.abc import Iterable

import pyarrow as pa

from tasks.frames.raw import FILE, ROW, Raw, Refusal, cut, decode
from tasks.frames.streams import Entry, open_entry, read_members
from tasks.sections import DataSection

TEXT = "text"


def read_archive(section: DataSection, archive: Entry, pattern: str, start: int, stop: int) -> Raw:
    """Members `start` to `stop` of those that match, in one pass over the archive."""
    members = read_members(archive.url, pattern, start, stop)
    return _rows(section, ((f"{archive.name}::{member}", content) for member, content in members))


def read_files(section: DataSection, entries: Iterable[Entry]) -> Raw:
    """The files `entries`."""
    return _rows(section, ((entry.name, _content(entry)) for entry in entries))


def _rows(section: DataSection, files: Iterable[tuple[str, bytes]]) -> Raw:
    names, texts, labels = [], [], []
    refused: list[Refusal] = []
    for name, content in files:
        text = decode(content)
        if text is None:
            reason = "not UTF-8 text, or a NUL in it; convert the file to UTF-8"
            refused.append(Refusal(name, 1, "encoding", reason, cut(content.decode("latin-1"))))
            continue
        names.append(name)
        texts.append(text)
        labels.append(posixpath.basename(posixpath.dirname(name.rsplit("::", 1)[-1])) or None)
    columns = {section.features[0] if section.features else TEXT: texts, section.target: labels, FILE: names}
    table = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    return Raw(table.append_column(ROW, pa.array([1] * len(names), pa.int64())), refused)


def _content(entry: Entry) -> bytes:
    with open_entry(entry) as stream:
        return stream.read()
