"""What the recorder must know of a released version: its columns' names, its target's, and the reference histograms to keep beside."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.blobs import Blob, read_blob
from storage.errors import NotFound
from storage.manifests import read_manifest
from storage.objects import ObjectStore
from storage.registry import Registry
from tasks.captures.objects import put_bytes
from tasks.captures.places import reference_key


@dataclass(frozen=True)
class Version:
    """`columns`: of a table in their order, else of the one input; `target`: the name of what is predicted."""

    table: bool
    columns: tuple[str, ...]
    target: str

    def named(self, item: Any) -> tuple[Any, str]:
        """An item, a table's as an object by column however it was sent; and the column that it is the value of, if it is one's."""
        if not self.table:
            return item, self.columns[0]
        return (dict(zip(self.columns, item, strict=True)) if isinstance(item, list) else item), ""


def open_version(store: ObjectStore, registry: Registry, model: str, number: int) -> Version:
    """The version as its release tells of it. NotFound."""
    return _described(
        json.loads(read_blob(store, _files(store, registry, model, number)["transforms/transforms.json"]))
    )


def keep_reference(store: ObjectStore, registry: Registry, model: str, number: int) -> None:
    """Have a version's reference histograms lie beside its captured rows."""
    if store.head(reference_key(model, number)) is None:
        profile = _files(store, registry, model, number)["profile.json"]
        put_bytes(store, reference_key(model, number), read_blob(store, profile))


def all_targets(store: ObjectStore, registry: Registry) -> frozenset[str]:
    """The names of what the store's models predict, each by its latest version."""
    latest = ((model, registry.versions(model)[-1].number) for model in registry.names())
    return frozenset(open_version(store, registry, *one).target for one in latest)


def _files(store: ObjectStore, registry: Registry, model: str, number: int) -> Mapping[str, Blob]:
    version = next((one for one in registry.versions(model) if one.number == number), None)
    if version is None:
        raise NotFound(f"model {model!r}: version {number} is not in the registry of {store.url}")
    return read_manifest(store, version.release).files


def _described(transforms: Mapping[str, Any]) -> Version:
    told, target = transforms["input"], transforms["target"]["name"]
    if transforms["kind"] == "table":
        return Version(True, tuple(column["name"] for column in told["columns"]), target)
    return Version(False, (told["name"],), target)
