"""Documents prepared without a cluster, for tests."""

from pathlib import Path

import pyarrow.parquet as pq

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.assembling import assemble
from tasks.frames.pieces import plan_group
from tasks.frames.settling import infer, settling
from tasks.frames.shards import process_shard
from tasks.frames.sources import find_groups
from tasks.sections import DataSection

LINE = "     x = 'größer' # 空白 😀\t\n"


def section(root: Path, **more: object) -> DataSection:
    given = {"sources": [{"url": "*"}], "kind": "text", "task": "language_model", "format": "documents"}
    return DataSection.model_validate({**given, "root": str(root), "passage_bytes": 64, **more})


def prepared(data: DataSection, store: ObjectStore) -> tuple[Manifest, list[dict]]:
    """The data set's manifest, and its clean rows with their splits."""
    pieces = [piece for group in find_groups(data) for piece in plan_group(data, group)]
    schema = infer(data, settling(pieces))
    shards = [process_shard(data, schema, store, piece) for piece in pieces]
    rows = []
    for shard in shards:
        tables = [pq.read_table(store.url + "/" + shard.blobs[name].key) for name in ("rows", "overlay")]
        rows += [{**a, **b} for a, b in zip(*(table.to_pylist() for table in tables), strict=True)]
    return assemble(data, schema, shards, store), rows
