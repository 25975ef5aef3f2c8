"""Planning: which rows make which shard. A shard's boundaries depend on its file and `data.shard_rows` alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.frames import delimited, documents, idx, jsonlines, parquet_rows, sklearn_sets
from tasks.frames.encodings import open_text
from tasks.frames.sources import FOLDERS, Group
from tasks.frames.streams import Entry, read_members
from tasks.sections import DataSection

FILES_AT_ONCE = {"image_folders": 2000, "audio_folders": 500}  # of one shard, at most: they are larger than rows
MARKERS = {"csv": delimited, "tsv": delimited, "jsonl": jsonlines}


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one entry (or of a group of files), read and checked as one shard.

    `offset`, `length`: where those rows lie in the decompressed bytes of a CSV, TSV or JSON lines file. `header`: its columns;
    `torn`: as in Mark.
    `pattern`: for files in an archive, which is then the one entry, the glob whose matches are numbered.
    Documents: rows are passages. `document`: the hash of one that is cut into several pieces; in an archive `offset` and `length`
    are the number of the first member and how many there are.
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
    document: str = ""


def plan_group(section: DataSection, group: Group) -> list[Piece]:
    """The pieces of `group`. Reads CSV, TSV and JSON lines once to find their rows; of other formats only counts."""
    if group.format in FOLDERS:
        return list(_file_pieces(group, min(section.shard_rows, FILES_AT_ONCE.get(group.format, section.shard_rows))))
    if group.format == "documents":
        return list(_archived_documents(section, group) if group.archive else _documents(section, group))
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


def _documents(section: DataSection, group: Group) -> Iterator[Piece]:
    """Whole files together as far as their passages fit a shard; a file of more than one shard by itself, cut."""
    whole, rows = list[Entry](), 0
    for entry in group.entries:
        with open_text(entry, section.encoding) as stream:
            document, marks = documents.survey(stream, section)
        if len(marks) > 1:
            for m in marks:
                yield Piece(group.format, group.split, (entry,), m.start, m.stop, m.offset, m.length, document=document)
            continue
        found = marks[0].stop if marks else 0
        if whole and rows + found > section.shard_rows:
            yield Piece(group.format, group.split, tuple(whole), 0, rows)
            whole, rows = [], 0
        whole, rows = [*whole, entry], rows + found
    if rows:
        yield Piece(group.format, group.split, tuple(whole), 0, rows)


def _archived_documents(section: DataSection, group: Group) -> Iterator[Piece]:
    archive: Entry = group.archive  # pyright: ignore[reportAssignmentType]
    first = rows = member = 0
    for member, (_, content) in enumerate(read_members(archive.url, group.pattern, 0, len(group.entries)), 1):
        found = documents.count_passages(content, section)
        if rows and rows + found > section.shard_rows:
            yield Piece(
                group.format, group.split, (archive,), 0, rows, first, member - 1 - first, pattern=group.pattern
            )
            first, rows = member - 1, 0
        rows += found
    if rows:
        yield Piece(group.format, group.split, (archive,), 0, rows, first, member - first, pattern=group.pattern)
