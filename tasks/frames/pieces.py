"""Planning: which rows make which shard. A shard's boundaries depend on its file and `data.shard_rows` alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.frames import delimited, idx, jsonlines, parquet_rows, sklearn_sets
from tasks.frames.encodings import open_text
from tasks.frames.sources import FOLDERS, Group
from tasks.frames.streams import Entry
from tasks.sections import DataSection

FILES_AT_ONCE = {"image_folders": 2000, "audio_folders": 500}  # of one shard, at most: they are larger than rows
MARKERS = {"csv": delimited, "tsv": delimited, "jsonl": jsonlines}


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one entry (or of a group of files), read and checked as one shard.

    `offset`, `length`: where those rows lie in the decompressed bytes of a CSV, TSV or JSON lines file. `header`: its columns;
    `torn`: as in Mark.
    `pattern`: for label folders in an archive, which is then the one entry, the glob whose matches are numbered.
    """

    format: str
    split: str
    entries: tuple[Entry, ...]
    start: int
    stop: int
    offset: int = 0
    length: int = 0
    header: tuple[str, ...] = ()
    torn: tuple[tuple[int, int, int], ...] = ()
    pattern: str | None = None


def plan_group(section: DataSection, group: Group) -> list[Piece]:
    """The pieces of `group`. Reads CSV, TSV and JSON lines once to find their rows; of other formats only counts."""
    if group.format in FOLDERS:
        return list(_file_pieces(group, min(section.shard_rows, FILES_AT_ONCE.get(group.format, section.shard_rows))))
    whole = Piece(group.format, group.split, group.entries, 0, 0)
    if group.format in MARKERS:
        return _marked(section, whole, group.entries[0])
    rows = _count(group.format, group.entries[0])
    return [replace(whole, start=a, stop=min(a + section.shard_rows, rows)) for a in range(0, rows, section.shard_rows)]


def _count(format: str, entry: Entry) -> int:
    if format == "sklearn":
        return sklearn_sets.count_rows(entry.name)
    return idx.count_rows(entry) if format == "idx" else parquet_rows.count_rows(entry)


def _marked(section: DataSection, whole: Piece, entry: Entry) -> list[Piece]:
    with open_text(entry, section.encoding) as stream:
        header, marks = MARKERS[whole.format].mark(stream, section, whole.format, entry.name)
    return [
        replace(whole, start=m.start, stop=m.stop, offset=m.offset, length=m.length, header=tuple(header), torn=m.torn)
        for m in marks
    ]


def _file_pieces(group: Group, shard_rows: int) -> Iterator[Piece]:
    for start in range(0, len(group.entries), shard_rows):
        stop = min(start + shard_rows, len(group.entries))
        if group.archive:
            yield Piece(group.format, group.split, (group.archive,), start, stop, pattern=group.pattern)
        else:
            yield Piece(group.format, group.split, group.entries[start:stop], start, stop)
