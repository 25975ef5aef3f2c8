"""An imported artifact becomes a numbered version: signed, and tried on the real server before anything points at it."""

import json
from collections.abc import Mapping
from typing import Any

from storage.manifests import Manifest, put_blobs, put_manifest
from storage.objects import ObjectStore
from storage.registry import Registry
from tasks.imports.artifacts import RECIPE, Imported
from tasks.service.smoke import smoke_test


def register(
    store: ObjectStore,
    registry: Registry,
    name: str,
    imported: Imported,
    golden: Mapping[str, Any],
    metrics: Mapping[str, Any],
    origin: Mapping[str, Any],
    tolerance: float,
) -> int:
    """The version's number, after the server has answered the golden requests with it; an artifact that has a version keeps it.

    `origin`: where it comes from, kept in the release manifest as `lineage.imported`.
    """
    extra = put_blobs(
        store,
        {
            "golden.json": json.dumps(golden, sort_keys=True).encode(),
            "profile.json": json.dumps(imported.profile, sort_keys=True).encode(),
        },
    )
    meta = {
        "model": name,
        "artifact": imported.artifact.digest,
        "metrics": dict(metrics),
        "lineage": {"dataset": imported.sample, "recipe": RECIPE["name"], "imported": dict(origin)},
    }
    released = put_manifest(store, Manifest("release", {**imported.manifest.files, **extra}, meta))
    version = registry.register(name, imported.artifact.digest, released)
    smoke_test(store.url, name, version, golden, tolerance)
    return version
