"""Keys that no two rows of a data set may share: found among the shards when all are done, in bounded memory.

Each shard keeps a hash of each row's key. They are sorted in partitions by hash, on disk; of rows with the same key that with the least
content hash stays, then the first: a new shard never changes which of the others' rows that is, but by a lesser hash.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.objects import ObjectStore
from storage.root import scratch_folder
from storage.shards import ShardResult
from tasks.frames.stored_rows import read_table
from tasks.sections import UniqueRule

PARTITION_ROWS = 4_000_000  # sorted at once, in about 300 MB
KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("content", "<u8"), ("place", "<i8")])


def keys_of(rules: Sequence[UniqueRule], rows: pa.Table, watched: pa.Table, hashes: np.ndarray) -> pa.Table:
    """(B rows): `content`, the rows' own hashes, and for rule number i the key's hash as `high i` and `low i`, null where a value is missing."""
    columns: dict[str, Any] = {"content": pa.array(hashes)}
    for place, rule in enumerate(rules):
        cells = [_cells((rows if name in rows.column_names else watched).column(name)) for name in rule.columns]
        found = [None if None in row else _hash(row) for row in zip(*cells, strict=True)]
        for half, name in enumerate(("high", "low")):
            columns[f"{name} {place}"] = pa.array([one and one[half] for one in found], pa.uint64())
    return pa.table(columns)


def repeated(store: ObjectStore, shards: Sequence[ShardResult], rule: int) -> dict[int, np.ndarray]:
    """By shard the numbers of its rows whose key another row has that stays. `rule`: its number."""
    starts = np.cumsum([0, *(shard.facts["rows_out"] for shard in shards)])
    partitions = int(starts[-1]) // PARTITION_ROWS + 1
    with scratch_folder("unique") as folder:
        _scatter(store, shards, rule, starts, folder, partitions)
        found = [_repeats(folder / str(number)) for number in range(partitions)]
    places = np.sort(np.concatenate([np.empty(0, np.int64), *found]))
    owners = np.searchsorted(starts, places, side="right") - 1
    return {int(one): places[owners == one] - starts[one] for one in np.unique(owners)}


def _scatter(
    store: ObjectStore, shards: Sequence[ShardResult], rule: int, starts: np.ndarray, folder: Path, partitions: int
) -> None:
    files = [(folder / str(number)).open("wb") for number in range(partitions)]
    try:
        for keys in _keys(store, shards, rule, starts):
            for number, file in enumerate(files):
                keys[keys["high"] % partitions == number].tofile(file)
    finally:
        for file in files:
            file.close()


def _keys(store: ObjectStore, shards: Sequence[ShardResult], rule: int, starts: np.ndarray) -> Iterator[np.ndarray]:
    names = [f"high {rule}", f"low {rule}", "content"]
    for shard, start in zip(shards, starts, strict=False):
        table = read_table(store, shard.blobs["keys"], names)
        keys = np.empty(table.num_rows, KEY)
        for field, name in zip(KEY.names or (), names, strict=False):
            keys[field] = table.column(name).fill_null(0).to_numpy()
        keys["place"] = start + np.arange(len(keys))
        yield keys[table.column(names[0]).is_valid().to_numpy()]


def _repeats(path: Path) -> np.ndarray:
    keys = np.fromfile(path, KEY)
    keys = keys[np.lexsort((keys["place"], keys["content"], keys["low"], keys["high"]))]
    same = (keys["high"][1:] == keys["high"][:-1]) & (keys["low"][1:] == keys["low"][:-1])
    return keys["place"][1:][same]


def _cells(values: pa.ChunkedArray) -> list[bytes | None]:
    values = values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
    if pa.types.is_string(values.type):
        return [None if text is None else b"s" + text.encode() for text in values.to_pylist()]
    # -0.0 and 0.0 are one key
    return [None if number is None else b"n" + repr(number + 0).encode() for number in values.to_pylist()]


def _hash(cells: Sequence[bytes]) -> tuple[int, int]:
    digest = hashlib.blake2b(b"".join(struct.pack("<Q", len(cell)) + cell for cell in cells), digest_size=16).digest()
    high, low = struct.unpack("<QQ", digest)
    return high, low
