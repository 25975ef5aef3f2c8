"""Pinned transforms: whose they are. Where they are pinned nothing is fitted, so that one new shard changes that shard's features alone."""

from storage.manifests import read_manifest
from storage.objects import open_store
from storage.registry import open_registry

CHAMPION = "champion"


def pinned_transforms(pin: str, storage: str, name: str, alias: str) -> str:
    """The digest of the transforms that `pin` means: itself, or for `champion` that of the model `name` which `alias` points at.

    Empty where nothing is pinned, and where there is no champion yet.
    """
    if pin != CHAMPION:
        return pin
    serving = open_registry(storage).alias(name, alias)
    return str(read_manifest(open_store(storage), serving.artifact).meta["transforms"]) if serving else ""
