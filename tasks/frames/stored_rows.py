"""A stored data set read back, a shard at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.blobs import Blob, read_blob
from storage.errors import CorruptArtifact
from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore
from tasks.frames.arrow import pc
from tasks.frames.schema import ARRAYS, Column


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


def shard_names(manifest: Manifest) -> list[str]:
    """The shards' names in order."""
    return [shard["name"] for shard in manifest.meta["shards"]]


def read_table(store: ObjectStore, blob: Blob, columns: Sequence[str] | None = None) -> pa.Table:
    """A stored Parquet blob, verified; only `columns` are decoded."""
    return pq.read_table(
        pa.BufferReader(read_blob(store, blob)), columns=list(columns) if columns is not None else None
    )


def split_rows(
    store: ObjectStore, manifest: Manifest, split: str, columns: Sequence[str]
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """For each shard that has any: the `split`'s rows in order, and their content hashes as uint64."""
    for name in shard_names(manifest):
        overlay = read_table(store, manifest.files[f"overlay/{name}.parquet"])
        mask = pc.equal(overlay.column("split"), split)
        if pc.any(mask).as_py():
            rows = read_table(store, manifest.files[f"rows/{name}.parquet"], columns).filter(mask)
            hashes = overlay.column("hash").filter(mask).to_pylist()
            yield rows, np.array([int(value, 16) for value in hashes], dtype=np.uint64)


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
