"""A stored data set read back, a shard at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.blobs import Blob, read_blob
from storage.errors import CorruptArtifact
from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore
from tasks.frames.arrow import pc
from tasks.frames.pieces import ROW_BYTES, digest_of
from tasks.frames.schema import ARRAYS, Column
from tasks.frames.streams import Entry


def open_dataset(store: ObjectStore, digest: str) -> Manifest:
    """The data set's manifest; CorruptArtifact when the digest names something else."""
    manifest = read_manifest(store, digest)
    if manifest.kind != "dataset":
        raise CorruptArtifact(
            f"manifest {digest}: found kind {manifest.kind!r}, wanted 'dataset'; pass a data set's digest"
        )
    return manifest


def columns_of(manifest: Manifest) -> tuple[Column, ...]:
    """Features in order, then the target."""
    return tuple(Column.from_json(dict(column)) for column in manifest.meta["schema"])


@dataclass(frozen=True)
class StoredShard:
    """One shard of a data set. `splits`: rows of each."""

    name: str
    rows: Blob
    overlay: Blob
    splits: Mapping[str, int]

    @property
    def key(self) -> str:
        """The digest of its content."""
        return self._key

    @cached_property
    def _key(self) -> str:
        return digest_of([self.rows.digest, self.overlay.digest])

    @property
    def weight(self) -> int:
        """How much work it is, in rows of a table: bytes tell more than rows, which may be images."""
        return max(sum(self.splits.values()), self.rows.size // ROW_BYTES)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """It reads no files but its own blobs."""
        return ()


def stored_shards(manifest: Manifest) -> list[StoredShard]:
    """The data set's shards in order."""
    return [_shard(manifest, shard["name"], shard["splits"]) for shard in manifest.meta["shards"]]


def _shard(manifest: Manifest, name: str, splits: Mapping[str, int]) -> StoredShard:
    rows, overlay = (manifest.files[f"{kind}/{name}.parquet"] for kind in ("rows", "overlay"))
    return StoredShard(name, rows, overlay, splits)


def read_table(store: ObjectStore, blob: Blob, columns: Sequence[str] | None = None) -> pa.Table:
    """A stored Parquet blob, verified; only `columns` are decoded."""
    return pq.read_table(
        pa.BufferReader(read_blob(store, blob)), columns=list(columns) if columns is not None else None
    )


def split_rows(store: ObjectStore, manifest: Manifest, split: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """For each shard that has any: the `split`'s rows in order."""
    for shard in stored_shards(manifest):
        if shard.splits[split]:
            yield read_split(store, shard, split, columns)


def read_split(store: ObjectStore, shard: StoredShard, split: str, columns: Sequence[str]) -> pa.Table:
    """The shard's rows of that split, in order."""
    mask = pc.equal(read_table(store, shard.overlay).column("split"), split)
    return read_table(store, shard.rows, columns).filter(mask)


def as_columns(table: pa.Table, schema: Sequence[Column]) -> dict[str, Any]:
    """Columns as `Transforms.features` takes them: numbers as float64 (null: NaN), texts as lists, images as (B, H·W·C) uint8,
    recordings as (B, N) int16."""
    return {column.name: _values(table.column(column.name), column.type) for column in schema}


def arrays(values: Any) -> np.ndarray:
    """(B, n): a column of images or recordings, a flat array each."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.flatten().to_numpy().reshape(len(array), -1)


def _values(values: pa.ChunkedArray, kind: str) -> Any:
    if kind in ARRAYS:
        return arrays(values)
    if kind in ("integer", "number"):
        return values.cast(pa.float64(), safe=False).to_numpy()
    return values.to_pylist()
