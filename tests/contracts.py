"""A table and a contract for it, prepared in a store of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shard_files import no_cluster
from tables import section

from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore, open_store
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.frames.quarantine import read_quarantine
from tasks.frames.stored_rows import read_table, stored_shards
from tasks.sections import DataSection


def table(rows: int = 200) -> list[str]:
    """Lines of a CSV file: `id` counts, `age` is 20 to 59, `city` one of three, `label` one of two."""
    return ["id,age,city,label", *(f"{n},{20 + n % 40},{'ABC'[n % 3]}town,{'yn'[n % 2]}" for n in range(rows))]


def written(folder: Path, lines: Sequence[str], **more: Any) -> DataSection:
    """A section over that one file, in shards of 50 rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    return section(sources=[{"url": "rows.csv"}], root=str(folder), shard_rows=50, **more)


def prepared(data: DataSection, folder: Path) -> tuple[ObjectStore, str, Manifest]:
    """The data set, made here."""
    store = open_store(str(folder / "store"))
    digest = prepare_dataset(data, identified(data), store, no_cluster, lambda event: None, alone=True)
    return store, digest, read_manifest(store, digest)


def kept(store: ObjectStore, manifest: Manifest) -> list[dict[str, Any]]:
    """All rows that are in a split, in order."""
    found = []
    for shard in stored_shards(manifest):
        splits = read_table(store, shard.overlay).column("split").to_pylist()
        rows = read_table(store, shard.rows).to_pylist()
        found += [row for row, split in zip(rows, splits, strict=True) if split in shard.splits]
    return found


def refused(store: ObjectStore, digest: str) -> list[tuple[int, str]]:
    """Row and rule of each refused row."""
    return [(row["_row"], row["label"]) for row in read_quarantine(store, digest, 1000)]
