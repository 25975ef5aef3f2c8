"""Every row of every split as model inputs and targets, in NumPy files: one pair for each shard, or for each split of a large one.

What reads them wants whole arrays of a split: `tasks.stored` puts them together.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.blobs import Blob, put_blob
from storage.manifests import Manifest, put_manifest, read_manifest
from storage.objects import ObjectStore, open_store
from storage.root import scratch_folder
from storage.shards import ShardResult
from tasks.frames.arrow import pc
from tasks.frames.raw import DOCUMENT
from tasks.frames.schema import Column
from tasks.frames.shelved import Report, Spread, Work, complete, make_work
from tasks.frames.stored_rows import StoredShard, as_columns, columns_of, open_dataset, read_table, stored_shards
from tasks.frames.windows import compressed_sizes, token_arrays
from tasks.splits import SPLITS
from tasks.stored import read_files
from tasks.transforms import Transforms
from tasks.transforms.tokens import TokenInput

BATCH_NUMBERS = 1 << 24  # bounds the memory of a batch, which holds its features more than once
TOGETHER_BYTES = 1 << 20  # up to so much all splits of a shard lie in one file: a small file costs more than its bytes
LITTLE_ITEMS, LITTLE_WEIGHT = 8, 100_000  # beyond both of them a cluster is worth its start
Arrays = Mapping[str, np.ndarray]


def encode(store: ObjectStore, dataset_digest: str, transforms_digest: str, spread: Spread, report: Report) -> str:
    """The digest of the features: for each shard `x/<number>.npy` and `y/<number>.npy`, its splits one after the other, or
    `x/<number>-<split>.npy` where they are large; of a language model tokens and rows.

    Only shards that are not known are encoded, a shard at a time in memory.
    """
    manifest = open_dataset(store, dataset_digest)
    shards = stored_shards(manifest)
    results = complete(encoding(store, manifest, transforms_digest), shards, spread, report)
    files = {
        _file_name(name, index): blob for index, result in enumerate(results) for name, blob in result.blobs.items()
    }
    meta = {
        **_meta(store, manifest, load_transforms(store.url, transforms_digest)),
        "shards": [[shard.splits[split] for split in SPLITS] for shard in shards],
        "dataset": dataset_digest,
        "transforms": transforms_digest,
    }
    return put_manifest(store, Manifest("features", files, meta))


def encoding(store: ObjectStore, manifest: Manifest, transforms_digest: str) -> Work:
    """What is done with each shard of a data set."""
    columns = columns_of(manifest)
    shared = [transforms_digest, [column.to_json() for column in columns]]
    compute = partial(encode_shard, transforms_digest, columns)
    return make_work("encode", compute, ["tasks.frames.encoding:encode_shard"], shared, store.url)


def encode_shard(
    transforms_digest: str, columns: tuple[Column, ...], store: ObjectStore, shard: StoredShard
) -> ShardResult:
    """Features and targets of one shard's rows, by split."""
    transforms = load_transforms(store.url, transforms_digest)
    names = [column.name for column in columns] + [DOCUMENT] * isinstance(transforms.input, TokenInput)
    rows, split = read_table(store, shard.rows, names), read_table(store, shard.overlay).column("split")
    parts = {name: rows.filter(pc.equal(split, name)) for name in SPLITS if shard.splits[name]}
    with ExitStack() as stack:
        folder = cache(lambda: stack.enter_context(scratch_folder("encode")))
        arrays = {name: _arrays(transforms, columns, part, folder) for name, part in parts.items()}
        blobs = _stored(store, arrays)
    return ShardResult(blobs, {"rows_in": rows.num_rows})


def is_little(batches: Sequence[Sequence[StoredShard]]) -> bool:
    """Whether the work is done in this process sooner than a cluster starts: encoding is quicker than reading and checking."""
    items = [item for batch in batches for item in batch]
    return len(items) <= LITTLE_ITEMS or sum(item.weight for item in items) <= LITTLE_WEIGHT


@lru_cache(maxsize=2)
def load_transforms(store_url: str, digest: str) -> Transforms:
    """The fitted transforms of that digest, kept for the next shard."""
    store = open_store(store_url)
    return Transforms.load(read_files(store, read_manifest(store, digest)))


def _meta(store: ObjectStore, manifest: Manifest, transforms: Transforms) -> dict[str, Any]:
    known = {
        "task": transforms.task,
        "classes": list(transforms.classes),
        "input": {"shape": list(transforms.input_shape), "dtype": transforms.input_dtype},
        "target_scale": transforms.target_scale,
        "rows": dict(manifest.meta["splits"]),
    }
    if not isinstance(transforms.input, TokenInput):
        return known
    tokens = transforms.input
    return {
        **known,
        "vocabulary": tokens.vocabulary,
        "windows": {"context": tokens.context, "end": tokens.end, "packing": tokens.packing},
        "compressors": compressed_sizes(store, manifest),
    }


def _file_name(name: str, index: int) -> str:
    array, _, split = name.partition("-")
    return f"{array}/{index:05d}{split and '-' + split}.npy"


def _stored(store: ObjectStore, arrays: Mapping[str, Arrays]) -> dict[str, Blob]:
    """Blobs by `x` and `y`, or by these and the split."""
    if sum(array.nbytes for named in arrays.values() for array in named.values()) <= TOGETHER_BYTES:
        names = next(iter(arrays.values()), {})
        together = {name: np.concatenate([named[name] for named in arrays.values()]) for name in names}
        return {name: put_blob(store, _as_bytes(array), ".npy") for name, array in together.items()}
    return {
        f"{name}-{split}": put_blob(store, _as_file(array), ".npy")
        for split, named in arrays.items()
        for name, array in named.items()
    }


def _as_file(array: np.ndarray) -> Path | bytes:
    if isinstance(array, np.memmap) and array.filename:
        array.flush()
        return Path(array.filename)
    return _as_bytes(array)


def _as_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _arrays(transforms: Transforms, columns: tuple[Column, ...], table: pa.Table, folder: Callable[[], Path]) -> Arrays:
    """Features and targets of rows; features that are large lie in a file in `folder`."""
    if isinstance(transforms.input, TokenInput):
        return token_arrays(transforms.input, table)
    x = _room((table.num_rows, *transforms.input_shape), np.dtype(transforms.input_dtype), folder)
    y = np.empty(table.num_rows, np.int64 if transforms.task == "classification" else np.float32)
    batch = max(1, min(2000, BATCH_NUMBERS // math.prod(transforms.input_shape)))
    for start in range(0, table.num_rows, batch):
        values = as_columns(table.slice(start, batch), columns)
        x[start : start + batch] = transforms.features(values)
        y[start : start + batch] = transforms.targets(values[columns[-1].name])
    return {"x": x, "y": y}


def _room(shape: tuple[int, ...], dtype: np.dtype, folder: Callable[[], Path]) -> np.ndarray:
    if math.prod(shape) * dtype.itemsize <= TOGETHER_BYTES:
        return np.empty(shape, dtype)
    path = folder() / f"{len(list(folder().iterdir()))}.npy"
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
