"""Features made without a cluster, as whole arrays, for tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.manifests import put_files, read_manifest
from storage.objects import ObjectStore
from tasks.arrays import fetch_arrays
from tasks.frames.encoding import encode
from tasks.frames.shelved import here


def encoded(store: ObjectStore, dataset: str, fitted: Mapping[str, bytes]) -> tuple[dict[str, Path], dict[str, Any]]:
    """The arrays of every split by name, and what is known of them."""
    transforms = put_files(store, "transforms", fitted, {})
    digest = encode(store, dataset, transforms, here, lambda event: None)
    return fetch_arrays(store, digest), dict(read_manifest(store, digest).meta)
