"""The rows of a data set that were refused, and those that passes left out."""

from typing import Any

from storage.objects import ObjectStore
from tasks.frames.stored_rows import open_dataset, read_table, stored_shards


def read_quarantine(store: ObjectStore, dataset_digest: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` refused rows in the order of the shards: `_file`, `_row`, `rule`, `reason`, `raw`."""
    return _read(store, dataset_digest, "quarantine", limit)


def read_filtered(store: ObjectStore, dataset_digest: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` rows that `data.passes` left out, in the same form; `raw` is the row before the passes."""
    return _read(store, dataset_digest, "filtered", limit)


def _read(store: ObjectStore, dataset_digest: str, kind: str, limit: int) -> list[dict[str, Any]]:
    manifest = open_dataset(store, dataset_digest)
    found: list[dict[str, Any]] = []
    for shard in stored_shards(manifest):
        blob = manifest.files.get(f"{kind}/{shard.name}.parquet")
        if blob is not None and len(found) < limit:
            found.extend(read_table(store, blob).slice(0, limit - len(found)).to_pylist())
    return found
