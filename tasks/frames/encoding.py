"""Every row of every split as model inputs and targets, in NumPy files."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.schema import Column
from tasks.frames.splitting import SPLITS
from tasks.frames.stored_rows import as_columns, columns_of, open_dataset, split_rows
from tasks.frames.windows import encode_windows
from tasks.transforms import Transforms
from tasks.transforms.tokens import TokenInput

BATCH_NUMBERS = 1 << 24  # bounds the memory of a batch, which holds its features more than once


def encode(
    store: ObjectStore, dataset_digest: str, transforms_files: Mapping[str, bytes], folder: Path
) -> tuple[dict[str, Path], dict[str, Any]]:
    """`{split}/x.npy` and `{split}/y.npy` (a language model's windows: and more) written to `folder`, by name, and what is known of them.

    Rows are in the order of the shards. Written batch by batch: memory holds one shard at a time.
    """
    manifest = open_dataset(store, dataset_digest)
    transforms = Transforms.load(transforms_files)
    if isinstance(transforms.input, TokenInput):
        return encode_windows(store, manifest, transforms, transforms.input, folder)
    files: dict[str, Path] = {}
    for split in SPLITS:
        files.update(_encode_split(store, manifest, transforms, split, folder))
    meta = {
        "task": transforms.task,
        "classes": list(transforms.classes),
        "input": {"shape": list(transforms.input_shape), "dtype": transforms.input_dtype},
        "target_scale": transforms.target_scale,
        "rows": dict(manifest.meta["splits"]),
    }
    return files, meta


def _encode_split(
    store: ObjectStore, manifest: Manifest, transforms: Transforms, split: str, folder: Path
) -> dict[str, Path]:
    rows = manifest.meta["splits"][split]
    paths = {f"{split}/{array}.npy": folder / split / f"{array}.npy" for array in ("x", "y")}
    (folder / split).mkdir(parents=True, exist_ok=True)
    target_dtype = np.int64 if transforms.task == "classification" else np.float32
    x = _array_file(paths[f"{split}/x.npy"], (rows, *transforms.input_shape), np.dtype(transforms.input_dtype))
    y = _array_file(paths[f"{split}/y.npy"], (rows,), np.dtype(target_dtype))
    columns, start = columns_of(manifest), 0
    for table in split_rows(store, manifest, split, [column.name for column in columns]):
        start = _fill(transforms, columns, table, x, y, start)
    x.flush()
    y.flush()
    return paths


def _array_file(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _fill(
    transforms: Transforms, columns: tuple[Column, ...], table: pa.Table, x: np.ndarray, y: np.ndarray, start: int
) -> int:
    batch = max(1, min(2000, BATCH_NUMBERS // math.prod(transforms.input_shape)))
    for offset in range(0, table.num_rows, batch):
        values = as_columns(table.slice(offset, batch), columns)
        stop = start + len(values[columns[-1].name])
        x[start:stop] = transforms.features(values)
        y[start:stop] = transforms.targets(values[columns[-1].name])
        start = stop
    return start
