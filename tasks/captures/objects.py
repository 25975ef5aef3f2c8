"""Captured objects in the store: every byte of them goes there and comes from there here."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from storage.encryption import decrypt_if_encrypted, encrypt_if_enabled
from storage.errors import CorruptArtifact, NotFound
from storage.objects import ObjectStore
from tasks.captures.places import Captured

pc: Any = pyarrow.compute  # its functions are made when it is imported, where no type checker sees them
_PARALLEL = 8
_AT_ONCE = 32  # tables that are in memory before they are asked for

TIME = pa.timestamp("us", tz="UTC")
ROWS = pa.schema(
    [
        ("time", TIME),
        ("request_id", pa.string()),
        ("item", pa.int32()),  # its place in the request
        ("subject", pa.string()),
        ("key", pa.string()),
        ("role", pa.string()),
        ("input", pa.string()),  # JSON: of a table an object by column, however it was sent
        ("prediction", pa.string()),  # JSON
    ]
)
LABELS = pa.schema([("time", TIME), ("request_id", pa.string()), ("item", pa.int32()), ("label", pa.string())])
UNKNOWN_LABELS = LABELS.append(pa.field("models", pa.string()))  # JSON: for which models who told them may tell any


def put_bytes(store: ObjectStore, key: str, content: bytes) -> None:
    """Write a captured object, whole or not at all."""
    store.put(key, encrypt_if_enabled(content))


def get_bytes(store: ObjectStore, key: str) -> bytes:
    """A captured object's content; NotFound."""
    return decrypt_if_encrypted(store.get(key), f"captured object {key}")


def put_table(store: ObjectStore, key: str, table: pa.Table) -> None:
    """Write a table as one Parquet object."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    put_bytes(store, key, buffer.getvalue())


def get_table(store: ObjectStore, key: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet object's columns, by default all; NotFound, CorruptArtifact."""
    try:
        return pq.ParquetFile(io.BytesIO(get_bytes(store, key))).read(columns)
    except pa.ArrowException as error:
        raise CorruptArtifact(
            f"captured object {key}: found no whole Parquet ({error}); delete it: what was captured is not made again"
        ) from None


def get_tables(
    store: ObjectStore, objects: Sequence[Captured], columns: list[str] | None = None
) -> Iterator[tuple[Captured, pa.Table]]:
    """The objects with their columns, in order. One that goes away meanwhile, as by its age, is left out."""

    def get(one: Captured) -> pa.Table | None:
        try:
            return get_table(store, one.key, columns)
        except NotFound:
            return None

    with ThreadPoolExecutor(_PARALLEL) as pool:
        for start in range(0, len(objects), _AT_ONCE):
            some = objects[start : start + _AT_ONCE]
            yield from ((one, table) for one, table in zip(some, pool.map(get, some), strict=True) if table is not None)
