"""Formats whose rows are counted, and then read by their numbers: how, of each."""

from collections.abc import Callable
from typing import NamedTuple

from tasks.frames import arrow_files, idx, json_files, own_reader, parquet_rows, sklearn_sets, web_archives
from tasks.frames.raw import Raw
from tasks.frames.streams import Entry
from tasks.sections import DataSection


class ByRows(NamedTuple):
    """`count`: the rows of an entry. `read`: those from one number to another, with their origin."""

    count: Callable[[DataSection, Entry], int]
    read: Callable[[DataSection, Entry, int, int], Raw]


BY_ROWS = {
    "parquet": ByRows(
        lambda _, entry: parquet_rows.count_rows(entry),
        lambda _, entry, start, stop: parquet_rows.read(entry, start, stop),
    ),
    "arrow": ByRows(
        lambda _, entry: arrow_files.count_rows(entry),
        lambda _, entry, start, stop: arrow_files.read(entry, start, stop),
    ),
    "idx": ByRows(lambda _, entry: idx.count_rows(entry), idx.read),
    "sklearn": ByRows(
        lambda _, entry: sklearn_sets.count_rows(entry.name),
        lambda section, entry, start, stop: sklearn_sets.read(section, entry.name, start, stop),
    ),
    "json": ByRows(json_files.count_rows, json_files.read),
    "warc": ByRows(web_archives.count_rows, web_archives.read),
    "own": ByRows(own_reader.count_rows, own_reader.read),
}
