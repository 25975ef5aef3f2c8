"""Planning: which rows make which shard. A shard's boundaries depend on its file and `data.shard_rows` alone."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from typing import Any

from storage.objects import ObjectStore
from tasks.frames import delimited, documents, jsonlines
from tasks.frames.by_rows import BY_ROWS
from tasks.frames.encodings import open_text
from tasks.frames.kept_text import Teed, keep
from tasks.frames.raw import UNREADABLE, Mark
from tasks.frames.sources import FOLDERS, Group
from tasks.frames.spans import marks, spans
from tasks.frames.streams import Entry, is_plain, read_members
from tasks.frames.stretches import Stretch, records_before, stretches, wrongly_begun
from tasks.sections import DataSection

FILES_AT_ONCE = {"image_folders": 2000, "audio_folders": 500}  # of one shard, at most: they are larger than rows
OF_ARRAYS = (*FILES_AT_ONCE, "idx", "sklearn")
ARRAY_WEIGHT = 10  # an image or recording is about as much work as so many rows of a table
ROW_BYTES = 100  # of a table, about
MARKERS = {"csv": delimited, "tsv": delimited, "jsonl": jsonlines, "lines": jsonlines}


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one entry (or of a group of files), read and checked as one shard.

    `offset`, `length`: where those rows lie in the decompressed bytes of a file of lines (CSV, TSV, JSON lines, text). `header`: its columns;
    `torn`: as in Mark.
    `pattern`: for files in an archive, which is then the one entry, the glob whose matches are numbered.
    Documents: rows are passages. `document`: the hash of one that is cut into several pieces; in an archive `offset` and `length`
    are the number of the first member and how many there are. `kept`: as in Mark; it is no part of the key, as the text is the file's.
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
    kept: tuple[str, int, str] | None = None

    @property
    def weight(self) -> int:
        """How much work its shard is, in rows of a table: of long texts bytes tell more than rows."""
        in_bytes = self.length if len(self.entries) == 1 else sum(entry.size for entry in self.entries)
        return max((self.stop - self.start) * (ARRAY_WEIGHT if self.format in OF_ARRAYS else 1), in_bytes // ROW_BYTES)

    @property
    def key(self) -> str:
        """The digest of what its shard depends on, beside section and schema. Names count, as a row keeps its origin."""
        return self._key

    @cached_property
    def _key(self) -> str:
        entries = [_identity(entry) for entry in self.entries]
        return digest_of(
            [entries, *(getattr(self, one.name) for one in fields(self) if one.name not in ("entries", "kept"))]
        )


@dataclass(frozen=True)
class Survey:
    """What is read of one entry before its rows can be cut: all of a CSV, TSV, JSON lines or text file, of others their counts.

    `pattern`, `members`: of an archive of documents, the glob and how many match. `begin`, `end`: of a stretch of a big file, the records
    that start there (0, 0: all); `known`: a record is known to start at `begin`.
    """

    format: str
    entry: Entry
    pattern: str = ""
    members: int = 0
    begin: int = 0
    end: int = 0
    known: bool = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (self.entry,)

    @property
    def weight(self) -> int:
        return (self.end - self.begin or self.entry.size) // ROW_BYTES

    @property
    def key(self) -> str:
        """The digest of what its outcome depends on, beside the section."""
        return self._key

    @cached_property
    def _key(self) -> str:
        numbers = [self.members, self.begin, self.end, int(self.known)]
        return digest_of([self.format, _identity(self.entry), self.pattern, *numbers])


def surveys(group: Group) -> list[Survey]:
    """What must be read to plan `group`; nothing of files in folders, each of which is a row."""
    if group.format in FOLDERS:
        return []
    if group.format == "documents" and group.archive:
        return [Survey(group.format, group.archive, group.pattern, len(group.entries))]
    if group.format in MARKERS and (found := stretches(group.entries[0])):
        return [Survey(group.format, group.entries[0], begin=begin, end=end) for begin, end in found]
    return [Survey(group.format, entry) for entry in group.entries]


def carry_out(section: DataSection, survey: Survey, store: ObjectStore | None = None) -> Any:
    """What was found, as plain JSON: columns and marks; a document's hash and marks; passages of each member; or a count of rows.

    Of a stretch: columns (of the first), marks, and what `wrongly_begun` reads. `store`: where text is kept that can only be read from its start.
    """
    if survey.pattern or survey.members:
        found = read_members(survey.entry.url, survey.pattern, 0, survey.members)
        return [documents.count_passages(content, section) for _, content in found]
    if survey.format != "documents" and survey.format not in MARKERS:
        return BY_ROWS[survey.format].count(section, survey.entry)
    with open_text(survey.entry, section.encoding) as stream:
        if survey.end and stream.seekable():
            return _stretch(section, survey, stream)
        if survey.begin:  # of a file that can only be read from its start, which its first survey does
            return [[], [], None, None]
        apart = store is not None and not (is_plain(survey.entry) and stream.seekable())
        head, marks = _survey(section, survey, stream, store if apart else None)
    return [head, marks, None, None] if survey.end else [head, marks]


def kept_blobs(survey: Survey, found: Any) -> list[tuple[str, int, str]]:
    """The blobs that the marks in what a survey found name."""
    if survey.pattern or survey.members or not isinstance(found, list):
        return []
    return [mark.kept for mark in map(_mark, found[1]) if mark.kept]


def outcomes(group: Group, known: Mapping[str, Any]) -> tuple[list[Any], list[Survey]]:
    """What the surveys of `group` found, in order, and those that must be carried out yet. `known`: what was found, by a survey's key.

    Some show only by what others found; what is known is all there is once none must be carried out.
    """
    wanted = surveys(group)
    missing = [survey for survey in wanted if survey.key not in known]
    if missing:
        return [], missing
    found = [known[survey.key] for survey in wanted]
    if wanted and wanted[0].end and not any(map(_is_bad, found)):
        for number, begin in wrongly_begun(found):  # which sees at once what is put right here
            end = wanted[number].end
            again = replace(
                wanted[number], begin=group.entries[0].size if begin is None else begin, end=end, known=True
            )
            if again.key in known:
                found[number] = known[again.key]
            else:
                missing.append(again)
    return found, missing


def cut(section: DataSection, group: Group, found: Sequence[Any]) -> list[Piece]:
    """The pieces of `group`. `found`: the outcomes of its surveys, in order; a file that cannot be read is a piece of one row."""
    if len(found) > len(_surveyed(group)):  # stretches of one file
        found = [one for one in found if _is_bad(one)][:1] or found
    if bad := [(entry, one[UNREADABLE]) for entry, one in zip(_surveyed(group), found, strict=False) if _is_bad(one)]:
        left = [(entry, one) for entry, one in zip(_surveyed(group), found, strict=True) if not _is_bad(one)]
        rest = replace(group, entries=tuple(entry for entry, _ in left))
        refused = [Piece(UNREADABLE, group.split, (entry,), 0, 1, header=(said,)) for entry, said in bad]
        return [*(cut(section, rest, [one for _, one in left]) if left else []), *refused]
    if group.format in FOLDERS:
        return list(_file_pieces(group, min(section.shard_rows, FILES_AT_ONCE.get(group.format, section.shard_rows))))
    if group.format == "documents":
        return list((_archived_documents if group.archive else _documents)(section, group, found))
    whole = Piece(group.format, group.split, group.entries, 0, 0)
    if group.format in MARKERS:
        header = tuple(found[0][0])
        return [replace(_part(whole, mark), header=header) for mark in _numbered(one[1] for one in found)]
    rows = found[0]
    return [replace(whole, start=a, stop=min(a + section.shard_rows, rows)) for a in range(0, rows, section.shard_rows)]


def _surveyed(group: Group) -> tuple[Entry, ...]:
    """What each survey of `group` reads."""
    return (group.archive,) if group.archive else group.entries


def _is_bad(found: Any) -> bool:
    return isinstance(found, dict)


def plan_group(section: DataSection, group: Group) -> list[Piece]:
    """The pieces of `group`, surveyed here and now."""
    known: dict[str, Any] = {}
    while missing := outcomes(group, known)[1]:
        known |= {survey.key: carry_out(section, survey) for survey in missing}
    return cut(section, group, outcomes(group, known)[0])


def _survey(section: DataSection, survey: Survey, stream: Any, store: ObjectStore | None) -> tuple[Any, list[Any]]:
    """Header or hash, and marks; of a text that is kept in `store` these say where."""
    source = Teed(stream) if store else stream
    if survey.format == "documents":
        document = documents.Survey(source, section)
        header, found = None, iter(document)
    else:
        document = None
        header, spans = MARKERS[survey.format].begin(source, section, survey.format, survey.entry.name)
        found = marks(spans, section.shard_rows)
    kept = [astuple(mark) for mark in (keep(store, source, found) if store else found)]
    return (document.digest if document else header), kept


def _stretch(section: DataSection, survey: Survey, stream: Any) -> list[Any]:
    kind, header = MARKERS[survey.format], list[str]()
    if survey.known:
        stream.seek(survey.begin)
        found = spans(stream, kind.cutting(section, survey.format), survey.begin, kind.ENDS)
    elif survey.begin:
        found = records_before(stream, kind.cutting(section, survey.format), survey.begin, kind.ENDS)
    else:
        header, found = kind.begin(stream, section, survey.format, survey.entry.name)
    some = Stretch(found, survey.begin, survey.end)
    return [header, [astuple(mark) for mark in marks(some, section.shard_rows)], some.first, some.following]


def _numbered(stretches: Iterable[Sequence[Any]]) -> Iterator[Mark]:
    """The marks of all stretches, their rows counted through."""
    before = 0
    for one in stretches:
        found = [_mark(mark) for mark in one]
        yield from (replace(mark, start=mark.start + before, stop=mark.stop + before) for mark in found)
        before += found[-1].stop if found else 0


def _mark(found: Sequence[Any]) -> Mark:
    start, stop, offset, length, torn, kept = found
    return Mark(start, stop, offset, length, tuple((row, at, size) for row, at, size in torn), kept and tuple(kept))


def _part(whole: Piece, mark: Mark) -> Piece:
    return replace(whole, **{field.name: getattr(mark, field.name) for field in fields(mark)})


def _file_pieces(group: Group, shard_rows: int) -> Iterator[Piece]:
    if group.archive:
        for start in range(0, len(group.entries), shard_rows):
            stop = min(start + shard_rows, len(group.entries))
            yield Piece(group.format, group.split, (group.archive,), start, stop, pattern=group.pattern)
        return
    for entries, rows in _together([(entry, 1) for entry in group.entries], shard_rows):
        yield Piece(group.format, group.split, entries, 0, rows)


def _documents(section: DataSection, group: Group, surveyed: Sequence[Any]) -> Iterator[Piece]:
    """A file of more than one shard by itself, cut; then whole files together, as far as their passages fit a shard."""
    whole: list[tuple[Entry, int]] = []
    for entry, (document, parts) in zip(group.entries, surveyed, strict=True):
        if len(parts) > 1:
            one = Piece(group.format, group.split, (entry,), 0, 0, document=document)
            yield from (_part(one, _mark(mark)) for mark in parts)
        elif parts:
            whole.append((entry, _mark(parts[0]).stop))
    for entries, rows in _together(whole, section.shard_rows):
        yield Piece(group.format, group.split, entries, 0, rows)


def _together(files: Sequence[tuple[Entry, int]], shard_rows: int) -> Iterator[tuple[tuple[Entry, ...], int]]:
    """Files with their rows, in order, in shards of at most so many rows (or of one file), and the rows of each.

    A shard that is not the last ends, once it is half full, before the file whose name has the least hash of those it could end before:
    a file more or less changes the shard that it is in and perhaps the next, and not all that follow.
    """
    marks = [hashlib.blake2b(entry.name.encode(errors="surrogatepass"), digest_size=8).digest() for entry, _ in files]
    start = 0
    while start < len(files):
        rows, stop, best = files[start][1], start + 1, start + 1
        while stop < len(files) and rows + files[stop][1] <= shard_rows:
            rows += files[stop][1]
            stop += 1
            if stop < len(files) and (2 * rows <= shard_rows or marks[stop] < marks[best]):
                best = stop
        best = stop if stop == len(files) else best
        yield tuple(entry for entry, _ in files[start:best]), sum(rows for _, rows in files[start:best])
        start = best


def _archived_documents(section: DataSection, group: Group, surveyed: Sequence[Any]) -> Iterator[Piece]:
    archive: Entry = group.archive  # pyright: ignore[reportAssignmentType]
    first = rows = member = 0
    for member, found in enumerate(surveyed[0], 1):
        if rows and rows + found > section.shard_rows:
            yield Piece(
                group.format, group.split, (archive,), 0, rows, first, member - 1 - first, pattern=group.pattern
            )
            first, rows = member - 1, 0
        rows += found
    if rows:
        yield Piece(group.format, group.split, (archive,), 0, rows, first, member - first, pattern=group.pattern)


def _identity(entry: Entry) -> list[str]:
    return [entry.digest, entry.member, entry.name]


def digest_of(parts: list[Any]) -> str:
    """The SHA-256 of texts, whole numbers and lists of these."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
