"""A few stored rows, and the items that a client would send for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.errors import ConfigError
from storage.objects import ObjectStore
from tasks.frames.stored_rows import columns_of, open_dataset, split_rows
from tasks.splits import SPLITS
from tasks.transforms import Transforms


def read_rows(store: ObjectStore, dataset_digest: str, split: str, count: int) -> dict[str, list[Any]]:
    """Features and target of the first `count` rows of `split` (fewer where it has fewer), in the order of `encode`."""
    if split not in SPLITS:
        raise ConfigError(f"split: found {split!r}, wanted one of {', '.join(SPLITS)}")
    manifest = open_dataset(store, dataset_digest)
    names = [column.name for column in columns_of(manifest)]
    found: dict[str, list[Any]] = {name: [] for name in names}
    for table in split_rows(store, manifest, split, names):
        part = table.slice(0, count - len(found[names[0]]))
        for name in names:
            found[name].extend(part.column(name).to_pylist())
        if len(found[names[0]]) >= count:
            break
    return found


def rows_as_items(transforms: Transforms, columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """The JSON items of `columns` (as `read_rows` gives them): texts, nested pixels, files in base64, or objects."""
    return transforms.items(columns)
