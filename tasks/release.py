"""Stage release: parity in a fresh process, signature, version, the real server tried; only then the alias moves.

A failure anywhere leaves the alias, and so the old champion, where it is.
"""

import json
from collections.abc import Mapping
from typing import Any

from storage.blobs import read_blob
from storage.manifests import Manifest, put_blobs, put_manifest, read_manifest
from storage.objects import ObjectStore, open_store
from storage.refs import ArtifactRef, DatasetRef, ReleaseRef, ScoresRef
from storage.registry import open_registry
from storage.root import scratch_folder
from tasks.judgement import holds_alias
from tasks.policies import step
from tasks.progress import current_run_id, reporter
from tasks.proving import prove_parity
from tasks.sections import ReleaseSection
from tasks.stored import lay_out


@step("release", valid=holds_alias)
def release(
    release: ReleaseSection,
    name: str,
    artifact: ArtifactRef,
    dataset: DatasetRef,
    scores: ScoresRef,
    expected_version: int | None,
    storage: str,
) -> ReleaseRef:
    """Make the artifact a numbered version of model `name`, prove that it serves, and move the alias to it.

    `expected_version`: what the alias pointed at when the gate decided; has it moved since, this fails with `Conflict`.
    """
    from tasks.service.smoke import smoke_test

    store, registry = open_store(storage), open_registry(storage)
    report = reporter("release")
    manifest = read_manifest(store, artifact.digest)
    golden = _golden(store, manifest, dataset, release.golden_rows)
    prove_parity(store, manifest, golden, release.tolerance)
    report({"event": "parity holds", "rows": len(golden["items"])})
    released = ReleaseRef(storage, _put_release(store, name, manifest, artifact, dataset, scores, golden))
    version = registry.register(name, artifact.digest, released.digest, current_run_id())
    smoke_test(storage, name, version, golden, release.tolerance)
    report({"event": "server answered", "version": version})
    reason = f"released by run {current_run_id()}"
    registry.promote(name, version, release.alias, reason, expected_version, automatic=True)
    if version != expected_version:
        report({"event": "alias moved", "alias": release.alias, "version": version})
    return released


def _golden(store: ObjectStore, manifest: Manifest, dataset: DatasetRef, count: int) -> dict[str, Any]:
    """The first `count` test rows as a client would send them, with the answers wanted."""
    from tasks.frames.sampling import read_rows, rows_as_items
    from tasks.inference.predictor import Predictor

    with scratch_folder("golden") as folder:
        root = lay_out(store, manifest, folder)
        predictor = Predictor.load({file: root / file for file in manifest.files})
        columns = read_rows(store, dataset.digest, "test", count)
        items = rows_as_items(predictor.transforms, columns)
        predictions, outputs = predictor.predict(predictor.parse(items))
    return {"items": items, "predictions": predictions, "outputs": outputs.tolist()}


def _put_release(
    store: ObjectStore,
    name: str,
    manifest: Manifest,
    artifact: ArtifactRef,
    dataset: DatasetRef,
    scores: ScoresRef,
    golden: Mapping[str, Any],
) -> str:
    data = read_manifest(store, dataset.digest)
    metrics = json.loads(read_blob(store, read_manifest(store, scores.digest).files["scores.json"]))["test"]["metrics"]
    extra = put_blobs(
        store,
        {
            "golden.json": json.dumps(golden, sort_keys=True).encode(),
            "profile.json": json.dumps(data.meta["profile"], sort_keys=True).encode(),
        },
    )
    meta = {
        "model": name,
        "artifact": artifact.digest,
        "metrics": metrics,
        "lineage": {"dataset": dataset.digest, "scores": scores.digest, "recipe": manifest.meta["recipe"]},
    }
    return put_manifest(store, Manifest("release", {**manifest.files, **extra}, meta))
