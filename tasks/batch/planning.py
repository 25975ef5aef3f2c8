"""Which rows make which part: Parquet by row groups, CSV by lines. What is found of a file is kept, and not looked for again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from storage.errors import ConfigError
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.identity import with_contents
from tasks.frames.parquet_rows import opened_file
from tasks.frames.pieces import Piece, Survey, cut, surveys
from tasks.frames.planning import look_into
from tasks.frames.shelved import Report, Spread, complete, make_work
from tasks.frames.sources import FORMATS, File, Group, group, locate, members_of
from tasks.frames.streams import Entry, is_archive, plain_name
from tasks.sections import BatchSection, CsvOptions, DataSection, Source

SUFFIXES = tuple(suffix for suffix, format in FORMATS.items() if format in ("parquet", "csv", "tsv"))
# Rows of a part, and how many rows of a table one of them is worth: some seconds of work at most
PART_ROWS = {"table": 100_000, "text": 10_000, "image": 2_000, "audio": 500}
WEIGHTS = {"table": 1, "text": 10, "image": 50, "audio": 200}


@dataclass(frozen=True)
class Part:
    """A piece of a file. `whole`: the rows of the row groups that it lies in, from and to; `heavy`: what a row is worth, see WEIGHTS."""

    piece: Piece
    whole: tuple[int, int]
    heavy: int

    @property
    def key(self) -> str:
        """The digest of content, name and place of its rows."""
        return self.piece.key

    @property
    def weight(self) -> int:
        return (self.piece.stop - self.piece.start) * self.heavy

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.piece.entries


def source_section(batch: BatchSection, kind: str) -> DataSection:
    """The sources as the readers of stage prepare take them. `kind`: of the model's rows, by which parts are cut."""
    return DataSection(
        sources=tuple(Source(url=url) for url in batch.sources),
        kind="table",
        csv=CsvOptions(delimiter=batch.delimiter),
        shard_rows=batch.part_rows or PART_ROWS[kind],
    )


def located_sources(batch: BatchSection) -> list[list[File]]:
    """The files of each source, with their digests. NotFound where a source matches nothing; ConfigError for a file of another format.

    What other programs leave among the files of a folder (`_SUCCESS`, `_metadata`) is passed over, as readers of such folders do.
    """
    section = source_section(batch, "table")
    located = [[file for file in locate(section, source) if not _is_mark(file.name)] for source in section.sources]
    other = next((file for files in located for file in files if not _is_readable(file.name)), None)
    if other is not None:
        raise ConfigError(
            f"{other.name}: found no {', '.join(SUFFIXES)} in its name, compressed or not, wanted one; narrow --batch with a glob, or give "
            "a few items of another kind with --input"
        )
    return with_contents(located)


def _is_mark(name: str) -> bool:
    return name.rpartition("/")[2].startswith("_") and not _is_readable(name)


def _is_readable(name: str) -> bool:
    return is_archive(name) or plain_name(name).endswith(SUFFIXES)


def plan_parts(
    section: DataSection,
    kind: str,
    check: Callable[[str, Sequence[str]], None],
    located: Sequence[Sequence[File]],
    store: ObjectStore,
    spread: Spread,
    report: Report,
) -> list[Part]:
    """The parts of all files in order. `check`: is given each file's name and columns."""
    groups = group(section, located, members_of)
    looked = dict(zip(groups, _look(groups, section, store, spread, report), strict=True))
    parts: list[Part] = []
    for one, (header, found) in looked.items():
        check(one.entries[0].name, header)
        parts += _parts(section, one, found, WEIGHTS[kind])
    return parts


def look_into_footer(_store: ObjectStore, survey: Survey) -> ShardResult:
    """Facts of a Parquet file: its column names, and the rows of each row group."""
    with opened_file(survey.entry) as file:
        groups = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
        return ShardResult(facts={"found": [list(file.schema_arrow.names), groups]})


def _look(
    groups: Sequence[Group], section: DataSection, store: ObjectStore, spread: Spread, report: Report
) -> Iterator[tuple[list[str], Any]]:
    """Column names, and row groups or marks, of each file."""
    footers = make_work("footer", look_into_footer, ["tasks.batch.planning:look_into_footer"], None, store.url)
    typed = [one for one in groups if one.format == "parquet"]
    texts = [one for one in groups if one.format != "parquet"]
    told = _told(report)
    rows = iter(complete(footers, [surveys(one)[0] for one in typed], spread, told))
    marks = iter(look_into(section, texts, store, spread, told))
    for one in groups:
        if one.format == "parquet":
            yield tuple(next(rows).facts["found"])
        else:
            found = next(marks)
            yield found[0][0], found


def _told(report: Report) -> Report:
    """Files are looked into, and where all are known there is nothing to say."""

    def told(event: dict[str, Any]) -> None:
        if "event" not in event and event["done"] < event["total"]:
            report({"files": event["total"], "looked into": event["done"]})

    return told


def _parts(section: DataSection, one: Group, found: Any, heavy: int) -> Iterator[Part]:
    if one.format != "parquet":
        for piece in cut(section, one, found):
            yield Part(piece, (piece.start, piece.stop), heavy)
        return
    whole = Piece(one.format, one.split, one.entries, 0, 0)
    for first, end in _together(found, section.shard_rows):
        count = -(-(end - first) // section.shard_rows)
        bounds = [first + (end - first) * number // count for number in range(count + 1)]
        for start, stop in pairwise(bounds):
            yield Part(replace(whole, start=start, stop=stop), (first, end), heavy)


def _together(groups: Sequence[int], rows: int) -> Iterator[tuple[int, int]]:
    """From and to of row groups that follow one another, together as far as they have no more than so many rows."""
    first = end = 0
    for count in groups:
        if end > first and end + count - first > rows:
            yield first, end
            first = end
        end += count
    if end > first:
        yield first, end
