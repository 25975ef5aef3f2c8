"""Some rows of a source, enough to guess by: the first ones, and some from later where that costs little. Never all of a large file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import SchemaError
from storage.root import scratch_folder
from tasks.frames import idx
from tasks.frames.by_rows import BY_ROWS
from tasks.frames.encodings import guess_encoding, open_text
from tasks.frames.looking import Found
from tasks.frames.pieces import Piece, plan_group
from tasks.frames.raw import FILE, ROW, Raw
from tasks.frames.reading import read_piece
from tasks.frames.sniffing import Dialect, header_names, sniff
from tasks.frames.sources import Group
from tasks.frames.streams import Entry, is_archive, plain_name
from tasks.sections import DataSection, Source

BYTES = 16 << 20  # read of one source, decompressed
PLACES = 8  # of a large file here: its start and seven more
ROWS = 40_000  # of a typed file
FILES = 8  # of a folder of tables
TEXTS = 400  # of label folders
IMAGES = 5_000
SNIFFED = 1 << 16
REFUSED_SHARE = 0.05
JSON_OPTIONS = ("json_records", "json_fields", "encoding")
COMPRESSED = 4  # so many times larger is a text before gzip, about


@dataclass(frozen=True)
class Sample:
    """`table`: columns as read. `rows`: of the files that may be learned from, exact where `whole`, which is: all of them are in the
    table; else about. `columns`: those of each declared split's first file.
    """

    table: pa.Table
    rows: int
    whole: bool
    dialect: Dialect | None = None
    encoding: str = "auto"
    columns: dict[str, list[str]] = field(default_factory=dict)


def sample_rows(found: Found, wanted: Sequence[str] = (), data: Mapping[str, Any] | None = None) -> Sample:
    """A sample of what was found. `wanted`: columns that the user named; `data`: what they set of the data section. SchemaError where more than 5 % of its rows cannot be read."""
    if found.format in ("csv", "tsv", "jsonl"):
        return _lines(found, wanted, data or {})
    if found.format in ("parquet", "arrow", "json"):
        return _by_rows(found, data or {})
    if found.format == "idx":
        return _idx(found)
    if found.format == "text_folders":
        return Sample(_texts(found, data or {}), len(_learned_from(found)), found.all_seen)
    return Sample(pa.table({}), len(_learned_from(found)), found.all_seen)


def _first_of_splits(found: Found) -> dict[str, Entry]:
    return {split: entry for entry, split in reversed(found.entries)}


def _learned_from(found: Found) -> list[Entry]:
    """The entries whose rows may be for training."""
    return [entry for entry, split in found.entries if split in ("any", "train")]


def _lines(found: Found, wanted: Sequence[str], data: Mapping[str, Any]) -> Sample:
    encoding = str(data.get("encoding") or guess_encoding(_learned_from(found)[0]))
    heads = {split: _head(entry, encoding) for split, entry in _first_of_splits(found).items()}
    csv: Mapping[str, Any] = data.get("csv") or {}
    csv = {**csv, "delimiter": "\t"} if found.format == "tsv" else csv
    first = heads["train" if "train" in heads else "any"]
    dialect = sniff(first, _learned_from(found)[0].name, wanted, csv) if found.format != "jsonl" else None
    entries, raws, read, whole = _learned_from(found), list[Raw](), 0, True
    with scratch_folder("sample") as folder:
        for number, entry in enumerate(entries[:FILES]):
            copy = folder / str(number)
            whole &= _copy(entry, encoding, copy, BYTES // min(FILES, len(entries)))
            read += copy.stat().st_size
            raws += _read(found.format, dialect, Entry(str(copy), "", entry.name))
    table, whole = _joined(raws), whole and len(entries) <= FILES and found.all_seen
    rows = table.num_rows if whole else max(table.num_rows, round(table.num_rows * _unpacked(found, entries) / read))
    columns = {one: _names(found, head, wanted, csv) for one, head in heads.items()} if len(heads) > 1 else {}
    return Sample(table, rows, whole, dialect, encoding, columns)


def _unpacked(found: Found, entries: Sequence[Entry]) -> float:
    """Bytes of the entries when they are decompressed, about."""
    packed = plain_name(entries[0].url) != entries[0].url.lower() or is_archive(entries[0].url)
    return found.bytes * found.learned_share * (COMPRESSED if packed else 1)


def _head(entry: Entry, encoding: str) -> bytes:
    """The first whole lines, in UTF-8."""
    with open_text(entry, encoding) as stream:
        head: bytes = stream.read(SNIFFED)
        return head if len(head) < SNIFFED else head + stream.readline()


def _names(found: Found, head: bytes, wanted: Sequence[str], csv: Mapping[str, Any]) -> list[str]:
    """Column names of a file that begins with `head`; JSON lines need not all have the same, so none are told."""
    if found.format == "jsonl":
        return []
    dialect = sniff(head, found.root, wanted, csv)
    if not dialect.header:
        return list(dialect.columns)
    return header_names(head, dialect.delimiter)


def _copy(entry: Entry, encoding: str, path: Path, budget: int) -> bool:
    """Write whole lines of `entry`, of about `budget` bytes in all, to `path` in UTF-8; whether they are all there are."""
    with open_text(entry, encoding) as stream, path.open("wb") as copy:
        head = stream.read(budget)
        if len(head) < budget or not (rest := stream.readline()):
            copy.write(head)
            return True
        plain = entry.url.startswith("file://") and not entry.member and plain_name(entry.url) == entry.url.lower()
        if not plain or not stream.seekable():
            copy.write(head + rest)
            return False
        part = budget // PLACES
        copy.write(head[: head.rindex(b"\n", 0, part) + 1] if b"\n" in head[:part] else head + rest)
        size = stream.seek(0, 2)
        for place in range(1, PLACES):
            stream.seek(size * place // PLACES)
            stream.readline()
            copy.write(stream.read(part) + stream.readline())
        return False


def _read(format: str, dialect: Dialect | None, entry: Entry) -> Iterator[Raw]:
    csv = {"delimiter": dialect.delimiter, "header": dialect.header, "columns": dialect.columns} if dialect else {}
    section = _section(format, csv=csv, shard_rows=10_000_000)
    for piece in plan_group(section, Group(format, "any", (entry,))):
        yield read_piece(section, piece)


def _section(format: str, **more: object) -> DataSection:
    given = {"kind": "table", "format": format, "sources": (Source(url="sample"),), **more}
    return DataSection.model_validate(given)


def _joined(raws: Sequence[Raw]) -> pa.Table:
    """All rows as read, without their origin."""
    refusals = [refusal for raw in raws for refusal in raw.refused]
    rows = sum(raw.table.num_rows for raw in raws)
    if not rows and not refusals:
        raise SchemaError("the data: found no rows, wanted some; check the file")
    if len(refusals) > REFUSED_SHARE * (rows + len(refusals)):
        first = refusals[0]
        raise SchemaError(
            f"{first.file}: {len(refusals)} of {rows + len(refusals)} rows cannot be read, the first is row {first.row}: {first.reason}"
        )
    table = pa.concat_tables([raw.table for raw in raws], promote_options="permissive")
    return table.drop_columns([FILE, ROW])


def _by_rows(found: Found, data: Mapping[str, Any]) -> Sample:
    entries, (count, read) = _learned_from(found), BY_ROWS[found.format]
    section = _section(found.format, **{name: data[name] for name in JSON_OPTIONS if name in data})
    counts = {entry: count(section, entry) for entry in entries[:FILES]}
    seen = sum(counts.values())
    raws = [
        read(section, entry, start, stop)
        for entry, rows in counts.items()
        for start, stop in _ranges(rows, ROWS // len(counts))
    ]
    firsts = _first_of_splits(found)
    columns = {split: read(section, entry, 0, 1).table.column_names for split, entry in firsts.items()}
    rows = seen if len(entries) <= FILES else round(seen / len(counts) * len(entries))
    whole = seen <= ROWS and len(entries) <= FILES
    return Sample(_joined(raws), rows, whole, columns=columns if len(firsts) > 1 else {})


def _ranges(rows: int, budget: int) -> list[tuple[int, int]]:
    """Where to read `budget` of so many rows: all, or as many places as there are, evenly spread."""
    if rows <= budget:
        return [(0, rows)] if rows else []
    part = max(1, budget // PLACES)
    starts = [(rows - part) * place // (PLACES - 1) for place in range(PLACES)]
    return [(start, start + part) for start in starts]


def _idx(found: Found) -> Sample:
    counts = {entry: idx.count_rows(entry) for entry in _learned_from(found)}
    entry, rows = next(iter(counts.items()))
    table = idx.read(_section("idx"), entry, 0, min(rows, IMAGES)).table
    return Sample(table.drop_columns([FILE, ROW]), sum(counts.values()), table.num_rows == sum(counts.values()))


def _texts(found: Found, data: Mapping[str, Any]) -> pa.Table:
    """Texts of some files: evenly spread, or the first ones of an archive."""
    entries = _learned_from(found)
    if entries[0].member:
        archive, pattern = Entry(entries[0].url, "", "archive"), found.sources[0].members
        piece = Piece("text_folders", "any", (archive,), 0, min(TEXTS, len(entries)), pattern=pattern)
    else:
        some = tuple(islice(entries, 0, None, max(1, len(entries) // TEXTS)))
        piece = Piece("text_folders", "any", some, 0, len(some))
    section = _section("text_folders", encoding=data.get("encoding", "auto"))
    return _joined([read_piece(section, piece)])
