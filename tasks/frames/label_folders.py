"""Files in folders, one a row: what a file holds is the one feature, its folder's name (or a part of its own) the label."""

import posixpath
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from storage.errors import Unreadable
from storage.metering import carried
from tasks.frames import audio_files, image_files, text_files
from tasks.frames.faults import read_twice
from tasks.frames.long_lines import LONGEST_LINE
from tasks.frames.pieces import Piece
from tasks.frames.raw import FILE, ROW, UNREADABLE, Raw, Refusal
from tasks.frames.streams import Entry, open_entry, read_members
from tasks.sections import DataSection
from tasks.transforms.items import Refused

READERS, HELD = 8, 32  # files read at once, as object stores answer slowly; and held in memory
CONTENTS = {"text_folders": text_files, "image_folders": image_files, "audio_folders": audio_files}
"""By format: `NAME` of the feature, `decode(section, content)`, `column(section, values)`, and `describe(content)` for a refusal."""


def read(section: DataSection, piece: Piece) -> Raw:
    """The files of `piece`; one that cannot be decoded is refused with its reason."""
    content_of = CONTENTS[piece.format]
    names: list[str] = []
    values: list[Any] = []
    refused: list[Refusal] = []
    for name, content in files(piece):
        if isinstance(content, Unreadable):
            refused.append(Refusal(name, 1, UNREADABLE, str(content), ""))
            continue
        try:
            values.append(content_of.decode(section, content))
            names.append(name)
        except Refused as error:
            refused.append(Refusal(name, 1, error.rule, str(error), content_of.describe(content)))
    label = _labels(section)
    table = pa.table(
        {
            section.features[0] if section.features else content_of.NAME: content_of.column(section, values),
            section.target: pa.array([label(name) for name in names], pa.string()),
            FILE: pa.array(names, pa.string()),
            ROW: pa.array([1] * len(names), pa.int64()),
        }
    )
    return Raw(table, refused)


def files(piece: Piece) -> Iterator[tuple[str, bytes | Unreadable]]:
    """Origin and content of each file of `piece`, or why it cannot be read; of an archive's in one pass over it."""
    if piece.pattern is None:
        yield from _loose(piece)
        return
    archive = piece.entries[0]
    for member, content in read_members(archive.url, piece.pattern, piece.start, piece.stop):
        yield f"{archive.name}::{member}", content


def _loose(piece: Piece) -> Iterator[tuple[str, bytes | Unreadable]]:
    with ThreadPoolExecutor(READERS) as readers:
        for at in range(0, len(piece.entries), HELD):
            entries = piece.entries[at : at + HELD]
            yield from zip((entry.name for entry in entries), readers.map(carried(_content), entries), strict=True)


def _content(entry: Entry) -> bytes | Unreadable:
    return read_twice(lambda: _read(entry))


def _read(entry: Entry) -> bytes:
    with open_entry(entry) as stream:
        content = stream.read(LONGEST_LINE + 1)
    if len(content) > LONGEST_LINE:
        raise Unreadable(f"{entry.name}: is longer than {LONGEST_LINE:,} bytes, and each file is one row; cut it")
    return content


def _labels(section: DataSection) -> Callable[[str], str | None]:
    """From a file's origin to its label; None where there is none."""
    if not section.label_pattern:
        return lambda name: posixpath.basename(posixpath.dirname(name.rsplit("::", 1)[-1])) or None
    pattern = re.compile(section.label_pattern)

    def label(name: str) -> str | None:
        found = pattern.search(posixpath.basename(name))
        return found.group(1) if found else None

    return label
